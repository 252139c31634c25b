"""Settings of the faster-whisper engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from deployments.settings import Fraction, PooledArgs, SpeechToTextConfig


class WhisperArgs(PooledArgs):
    """faster-whisper: Whisper models in CTranslate2's format."""

    engine: Literal["whisper"] = "whisper"
    model: str = Field(
        default="pocket/asr/weights",
        min_length=1,
        description="A model of the catalogue, such as whisper-base; a folder with a CTranslate2 model; a size such as "
        "large-v3-turbo, or owner/name, on the model hub.",
    )
    workers: PositiveInt = Field(
        default=2, description="Windows of up to 30 s recognized concurrently, each with `threads` threads."
    )
    min_window_s: float = Field(
        default=30,
        ge=1,
        le=30,
        description="Shorter audio is padded with silence to this length, which costs time. OpenAI's models need 30; "
        "the bundled model is trained on windows from 6 s on.",
    )
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    compute_type: Literal["auto", "int8", "int8_float16", "int8_bfloat16", "float16", "bfloat16", "float32"] = Field(
        default="auto", description="Numeric type of the weights; auto is int8 on a CPU and float16 on a GPU."
    )


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
        default=-1.0, le=0, description="Mean log probability below which a window counts as uncertain."
    )
    compression_ratio_threshold: PositiveFloat = Field(
        default=2.4, description="A window is dropped as repetitive if its text compresses better than this."
    )
    repetition_penalty: float = Field(default=1.0, ge=1, le=2, description="Above 1, repeated tokens are less likely.")
