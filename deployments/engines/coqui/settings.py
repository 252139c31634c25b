"""Settings of the Coqui engine."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from deployments.settings import PooledArgs

UNSAFE = ("bark",)  # models whose loader unpickles any object of its checkpoint, and so runs code of the file


class CoquiArgs(PooledArgs):
    """Coqui TTS: a model from local files (with a vocoder, unless it is end-to-end), or one of Coqui's catalogue."""

    engine: Literal["coqui"] = "coqui"
    workers: PositiveInt = Field(
        default=2,
        description="Sentences synthesized concurrently, each with `threads` threads; models that are not safe for "
        "concurrent use get one.",
    )
    model: str | None = Field(
        default=None, min_length=1, description="A model of the catalogue, or the path of the weights."
    )
    config: str | None = Field(
        default=None, min_length=1, description="The same model of the catalogue, or the path of config.json."
    )
    vocoder: str | None = Field(default=None, min_length=1, description="Path of the vocoder's weights.")
    vocoder_config: str | None = Field(default=None, min_length=1, description="Path of the vocoder's config.json.")
    model_name: str | None = Field(
        default=None,
        description="A model of Coqui's catalogue, such as tts_models/en/ljspeech/vits, in place of the paths.",
    )
    device: Literal["cpu", "cuda"] = "cpu"

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.model is None) == (self.model_name is None):
            raise ValueError("give either model (and config) or model_name")
        if (self.model is None) != (self.config is None):
            raise ValueError("model and config belong together")
        if (self.vocoder is None) != (self.vocoder_config is None):
            raise ValueError("vocoder and vocoder_config belong together")
        if self.model_name is not None:
            refuse_unsafe(self.model_name.rpartition("/")[2])
        return self


def refuse_unsafe(model: str) -> None:
    """Raise ``ValueError`` for a model of Coqui that cannot be loaded safely."""
    if model.strip().lower() in UNSAFE:
        raise ValueError(f"{model} is not supported: Coqui loads its checkpoint in a way that runs code of the file")
