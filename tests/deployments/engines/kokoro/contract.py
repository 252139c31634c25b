"""The case of the Kokoro engine in the contract test."""

from __future__ import annotations

from deployments.engines.kokoro.settings import KokoroArgs
from tests.deployments.engines.cases import Case, speak
from tests.deployments.engines.kokoro import tiny

CASES = (Case("kokoro", KokoroArgs, tiny.voice, speak()),)
