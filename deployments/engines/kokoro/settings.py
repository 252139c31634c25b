"""Settings of the Kokoro engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from deployments.settings import PooledArgs


class KokoroArgs(PooledArgs):
    """Kokoro-82M through kokoro-onnx, an optional dependency."""

    engine: Literal["kokoro"] = "kokoro"
    model: str = Field(min_length=1, description="Path of the model, an .onnx file.")
    voices: str = Field(min_length=1, description="Path of the voices: an .npz archive of float32 arrays, or a .bin.")
    workers: PositiveInt = Field(
        default=1, description="Sentences synthesized concurrently, each with `threads` threads."
    )
