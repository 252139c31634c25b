"""Settings of the faster-whisper engine."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from deployments.settings import Fraction, PooledArgs, SpeechToTextConfig
from models.cache import is_hub_name


class WhisperArgs(PooledArgs):
    """faster-whisper: Whisper models in CTranslate2's format."""

    engine: Literal["whisper"] = "whisper"
    model: str = Field(
        default="pocket/asr/weights",
        min_length=1,
        description="A model of the catalogue, such as whisper-base; a folder with a CTranslate2 model; a size such as "
        "large-v3-turbo, or owner/name, on the model hub.",
    )
    revision: str | None = Field(
        default=None,
        min_length=1,
        description="Branch, tag or commit of the model's repository on the hub; null is its main branch.",
    )
    workers: PositiveInt = Field(
        default=2, description="Windows of up to 30 s recognized concurrently, each with `threads` threads."
    )
    min_window_s: float = Field(
        default=12,
        ge=1,
        le=30,
        description="Length of the shortest window; 30 hears whole windows only. The time is proportional to it. The "
        "bundled model is trained on windows from 6 s on, with 1 s after the speech.",
    )
    window_pad_s: float = Field(
        default=4, ge=1, le=30, description="How much follows the speech in a window that is shorter than 30 s."
    )
    pad_with: Literal["silence", "zeros"] = Field(
        default="silence",
        description="What follows the speech in a window: silence, as in the training of OpenAI's models, or features "
        "of zero, as in that of the bundled model.",
    )
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    compute_type: Literal["auto", "int8", "int8_float16", "int8_bfloat16", "float16", "bfloat16", "float32"] = Field(
        default="auto", description="Numeric type of the weights; auto is int8 on a CPU and float16 on a GPU."
    )

    @model_validator(mode="after")
    def _has_a_repository_for_the_revision(self) -> Self:
        if self.revision is not None and not is_hub_name(self.model):
            raise ValueError("revision is that of a repository of the hub, and model names none")
        return self


class WhisperConfig(SpeechToTextConfig):
    """Live settings of SpeechToText with engine whisper."""

    beam_size: int = Field(default=1, ge=1, le=10, description="Beams of the search; more is slower.")
    vad: bool = Field(default=True, description="Remove what is not speech before recognition (Silero VAD).")
    vad_threshold: Fraction = Field(default=0.5, description="Probability from which a frame counts as speech.")
    vad_min_speech_ms: NonNegativeInt = Field(default=100, description="Shorter sounds do not count as speech.")
    vad_min_silence_ms: NonNegativeInt = Field(default=500, description="Length of a pause that ends a speech stretch.")
    vad_pad_ms: NonNegativeInt = Field(default=300, description="Audio kept before and after each speech stretch.")
    no_speech_threshold: Fraction = Field(
        default=0.6,
        description="A window is dropped if its no-speech probability is higher and its mean log probability is below "
        "log_prob_threshold.",
    )
    log_prob_threshold: float = Field(
        default=-1.0,
        le=0,
        description="Mean log probability below which a window counts as uncertain and is heard again.",
    )
    compression_ratio_threshold: PositiveFloat = Field(
        default=2.4,
        description="A text that compresses better than this counts as repetitive: the window is cut and heard again.",
    )
    retry_limit_s: PositiveFloat = Field(
        default=10, description="No further try of a window begins once this much time has been spent on it."
    )
    repetition_penalty: float = Field(default=1.0, ge=1, le=2, description="Above 1, repeated tokens are less likely.")
