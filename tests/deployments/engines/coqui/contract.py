"""The cases of the Coqui engine in the contract test."""

from __future__ import annotations

from deployments.engines.coqui.settings import CoquiArgs
from graphs.settings import POCKET_TTS
from tests.deployments.engines.cases import Case, speak
from tests.deployments.engines.coqui import tiny

CASES = (
    Case("coqui", CoquiArgs, tiny.voice, speak()),
    Case(
        "coqui-pocket",
        CoquiArgs,
        lambda _: CoquiArgs.model_validate(POCKET_TTS),
        speak(),
        files=(POCKET_TTS["model"],),
    ),
)
