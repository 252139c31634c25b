"""Every setting of the deployments, typed; unknown keys are refused.

Two kinds. ``*Args`` need a new replica when they change (weights, device, threads): they stand under ``args`` in
serve_config.yaml. ``*Config`` apply live (prompt, sampling, voice): they stand under a deployment's ``user_config``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt


class Settings(BaseModel):
    """Strict and immutable, as every settings model is."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
