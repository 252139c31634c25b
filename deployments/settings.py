"""Settings that deployments and engines share, typed; unknown keys are refused.

There are two kinds. ``*Args`` need a new replica when they change (weights, device, threads); they stand under ``args``
in serve_config.yaml. ``*Config`` apply to a running replica (prompt, sampling, voice); they stand under a deployment's
``user_config``. The settings of one engine are in its own folder, those of the Gateway in ``graphs.settings``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from deployments.errors import InvalidRequest
from deployments.language import language_code
from deployments.messages import ChatOptions, SpeakOptions, TranscribeOptions
from models.cache import find

ROOT = Path(__file__).resolve().parent.parent

Fraction = Annotated[float, Field(ge=0, le=1)]
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z]{2,4})?$")]
OmpWaitPolicy = Literal["active", "brief", "passive"]


def resolve(path: str) -> Path:
    """Return ``path`` as an absolute path; a relative one counts from the root of the repository."""
    return ROOT / Path(path).expanduser()


def model_path(value: str, setting: str = "model") -> Path:
    """Return the path that an engine's setting means: of a model in the catalogue, by its name, or ``resolve(value)``.

    Raise ``models.errors.NotPulled`` for a model that is not in the cache: a replica downloads none.
    """
    return find(value, setting) or resolve(value)


class Settings(BaseModel):
    """Base of all settings: strict and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _name_the_valid_keys(cls, data: Any) -> Any:
        """Refuse an unknown key and list the valid ones; pydantic's own message only says "not permitted"."""
        if isinstance(data, dict) and (unknown := sorted(str(key) for key in data if key not in cls.model_fields)):
            names = ", ".join(cls.model_fields)
            raise ValueError(f"unknown setting {', '.join(map(repr, unknown))} of {cls.__name__}; valid: {names}")
        return data


class ModelArgs(Settings):
    """Settings of every engine. A subclass has a field ``engine``, a ``Literal`` with the engine's name."""

    served_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The model's name in GET /v1/models; null derives it from the model's file name.",
    )

    @property
    def public_name(self) -> str:
        """The name under which clients request the model."""
        file = getattr(self, "model", None) or getattr(self, "model_name", None)
        derived = Path(file).name.removesuffix(".gguf").removesuffix(".pth").removesuffix(".onnx") if file else ""
        return self.served_name or derived or str(getattr(self, "engine", "model"))


class EngineArgs(ModelArgs):
    """Settings of every engine that runs a model in its replica's process."""

    threads: PositiveInt = Field(default=1, description="Threads of one inference.")
    omp_wait_policy: OmpWaitPolicy = Field(
        default="passive",
        description="What idle OpenMP threads do: active spins, passive sleeps, brief spins for a few milliseconds and "
        "then sleeps.",
    )
    niceness: int = Field(
        default=10,
        ge=0,
        le=19,
        description="Scheduling priority of the replica's process, as for `nice`. With a positive value the Gateway "
        "and Ray keep responding while models use the whole CPU.",
    )
    stall_timeout_s: PositiveFloat = Field(
        default=120,
        description="The engine counts as hung when one token, segment or sentence takes longer than this.",
    )


class PooledArgs(EngineArgs):
    """Settings of an engine that runs in a ``Pool`` of threads."""

    max_waiting: PositiveInt = Field(
        default=64, description="Requests that may queue inside the engine; further ones are refused with 503."
    )


class SpeechToTextConfig(Settings):
    """Live settings of SpeechToText, with every engine."""

    language: Annotated[LanguageCode | None, BeforeValidator(language_code)] = Field(
        default="en",
        description="Spoken language, such as en, en-US or English; null, auto and an empty text let the model detect "
        "it, where it can.",
    )
    prompt: str | None = Field(default=None, max_length=1000, description="Text that sets spelling and style.")
    temperature: Fraction = Field(default=0.0, description="Sampling temperature; 0 always takes the likeliest token.")
    words: bool = Field(default=False, description="Report the times of each word, where the engine can.")
    tries: int = Field(
        default=6,
        ge=1,
        le=7,
        description="How often a stretch of speech may be heard until its transcript is certain, where the engine can.",
    )
    max_audio_s: PositiveFloat = Field(default=120, description="Longest audio of one call, in seconds.")

    def for_request(self, options: TranscribeOptions) -> Self:
        """Return these settings with the options of one request applied."""
        return _with_choices(
            self,
            language=options.language,
            prompt=options.prompt,
            temperature=options.temperature,
            words=options.words or None,
            tries=options.tries,
        )


class ChatConfig(Settings):
    """Live settings of TextLLM and VisionLLM, with every engine."""

    system_prompt: str | None = Field(
        default=None, description="Put before a conversation that has no system message of its own."
    )
    max_tokens: PositiveInt = Field(default=256, description="Longest answer where a request sets no limit, in tokens.")
    temperature: float = Field(
        default=0.7, ge=0, le=2, description="Sampling temperature; 0 always takes the likeliest token."
    )
    top_p: float = Field(
        default=0.95, gt=0, le=1, description="Sample from the likeliest tokens that reach this total probability."
    )
    presence_penalty: float = Field(
        default=0.0, ge=-2, le=2, description="Subtracted from the logit of every token that the answer contains."
    )
    frequency_penalty: float = Field(
        default=0.0, ge=-2, le=2, description="Subtracted from a token's logit for each time that the answer has it."
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), description="Strings that end an answer.")
    context_overflow: Literal["drop", "refuse"] = Field(
        default="drop",
        description="What becomes of a conversation that does not fit into the context together with max_tokens: drop "
        "leaves its oldest turns out of the prompt, refuse is a 400. The system prompt and the last message stay.",
    )
    seed: NonNegativeInt | None = Field(
        default=None, description="Seed of the sampling; null draws one for each request."
    )

    def for_request(self, options: ChatOptions) -> Self:
        """Return these settings with the options of one request applied; its stop strings are added to these."""
        return _with_choices(
            self,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            top_p=options.top_p,
            stop=(*self.stop, *options.stop) if options.stop else None,
            seed=options.seed,
            presence_penalty=options.presence_penalty,
            frequency_penalty=options.frequency_penalty,
        )


class TextToSpeechConfig(Settings):
    """Live settings of TextToSpeech, with every engine."""

    voice: str | None = Field(default=None, description="A voice of the model; null is its first or only one.")
    language: LanguageCode | None = Field(
        default=None, description="For a model with several languages; null is its first."
    )
    speed: float = Field(default=1.0, ge=0.25, le=4, description="Speaking rate; 2.0 is twice as fast.")
    volume: float = Field(default=1.0, gt=0, le=4, description="Gain; peaks are kept below clipping.")
    pause_s: float = Field(default=0.15, ge=0, le=2, description="Silence after each sentence, in seconds.")
    max_sentence_chars: int = Field(
        default=240, ge=20, description="A longer sentence is split, at a clause if it has one."
    )
    first_piece_chars: int | None = Field(
        default=None,
        ge=10,
        description="For a slow voice: a sentence is spoken in pieces, the first of about this length and each further "
        "one little longer, so that the voice starts early and pauses briefly; null synthesizes it as a whole.",
    )
    max_text_chars: PositiveInt = Field(default=4096, description="Longest text of one call.")

    def for_request(self, options: SpeakOptions) -> Self:
        """Return these settings with the options of one request applied."""
        return _with_choices(self, voice=options.voice, language=options.language, speed=options.speed)


def explain(error: ValidationError) -> str:
    """Return one line that names each invalid setting and what is valid."""
    return "; ".join(": ".join([".".join(map(str, part["loc"])) or "settings", part["msg"]]) for part in error.errors())


S = TypeVar("S", bound=Settings)


def _with_choices(settings: S, **choices: object) -> S:
    """Return ``settings`` with those choices that are not ``None``. Raise ``InvalidRequest`` for an invalid one."""
    given = {name: value for name, value in choices.items() if value is not None}
    if not given:
        return settings
    try:
        return settings.model_validate(settings.model_dump() | given)
    except ValidationError as error:
        raise InvalidRequest(explain(error), param=str(error.errors()[0]["loc"][0])) from None
