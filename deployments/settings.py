"""Every setting of the deployments, typed; unknown keys are refused.

Two kinds. ``*Args`` need a new replica when they change (weights, device, threads): they stand under ``args`` in
serve_config.yaml. ``*Config`` apply live (prompt, sampling, voice): they stand under a deployment's ``user_config``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from deployments.errors import InvalidRequest
from deployments.messages import ChatOptions, SpeakOptions, TranscribeOptions

ROOT = Path(__file__).resolve().parent.parent

Fraction = Annotated[float, Field(ge=0, le=1)]
PictureHost = Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9._-]+)(:[0-9]{1,5})?$")]
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z]{2,4})?$")]


def resolve(path: str) -> Path:
    """An absolute path as it stands; a relative one counts from the root of the repository."""
    return ROOT / Path(path).expanduser()


class Settings(BaseModel):
    """Strict and immutable, as every settings model is."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _name_the_valid_keys(cls, data: Any) -> Any:
        """Refuse an unknown key and say which there are; pydantic alone says only that it is not permitted."""
        if isinstance(data, dict) and (unknown := sorted(str(key) for key in data if key not in cls.model_fields)):
            names = ", ".join(cls.model_fields)
            raise ValueError(f"unknown setting {', '.join(map(repr, unknown))} of {cls.__name__}; valid: {names}")
        return data


class ModelArgs(Settings):
    """What every engine can be told, the pretended ones too."""

    served_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="The model's name for clients; null is its file's."
    )

    @property
    def public_name(self) -> str:
        """The name that clients know the model by."""
        file = getattr(self, "model", None) or getattr(self, "model_name", None)
        named = Path(file).name.removesuffix(".gguf").removesuffix(".pth") if file else getattr(self, "engine", "model")
        return self.served_name or str(named)


class EngineArgs(ModelArgs):
    """What every engine needs to know about its share of the processor."""

    threads: PositiveInt = Field(default=1, description="Threads of one inference.")
    omp_wait_policy: Literal["active", "brief", "passive"] = Field(
        default="passive",
        description="What idle OpenMP threads do: spin, sleep, or spin for the time of a pause between two steps.",
    )
    niceness: int = Field(
        default=10,
        ge=0,
        le=19,
        description="How far the model gives way to the Gateway and to Ray on a busy processor, as `nice` does: so "
        "requests are taken in and refused in time, however much there is to compute.",
    )
    stall_timeout_s: PositiveFloat = Field(
        default=120, description="A single token, segment or sentence that takes longer means that the engine hangs."
    )


class PooledArgs(EngineArgs):
    """What an engine needs to know whose callers share its threads."""

    max_waiting: PositiveInt = Field(
        default=64, description="Requests that may wait inside the engine; one more is refused."
    )


class FakeArgs(ModelArgs):
    """A pretended engine for tests: how long it takes and when it fails."""

    first_s: NonNegativeFloat = Field(default=0, description="Seconds before the first value.")
    step_s: NonNegativeFloat = Field(default=0, description="Seconds between values.")
    steps: PositiveInt = Field(default=3, description="Values of one answer, where the input does not decide.")
    fail_after: NonNegativeInt | None = Field(default=None, description="Fail after this many values of each answer.")
    fail_with: Literal["unavailable", "crash"] = Field(
        default="unavailable", description="The failure: a typed error, or one that nobody expects."
    )
    healthy: bool = Field(default=True, description="Whether a health check passes.")


# --- speech to text ---------------------------------------------------------------------------------------------------


class WhisperArgs(PooledArgs):
    """faster-whisper."""

    engine: Literal["whisper"] = "whisper"
    workers: PositiveInt = Field(
        default=2, description="Windows of up to 30 s heard at the same time, each by `threads` threads."
    )
    min_window_s: float = Field(
        default=30,
        ge=1,
        le=30,
        description="Shorter sound is filled up to this with silence, which costs time. Whisper's own models know no "
        "other windows than those of 30 s; the bundled one learned from 6 s on.",
    )
    model: str = Field(
        default="pocket/asr/weights",
        min_length=1,
        description="A folder with a CTranslate2 model, a size such as large-v3-turbo, or a hub's owner/name.",
    )
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    compute_type: Literal["auto", "int8", "int8_float16", "int8_bfloat16", "float16", "bfloat16", "float32"] = Field(
        default="auto", description="Arithmetic of the weights; auto is int8 on a CPU and float16 on a GPU."
    )


class SphinxArgs(PooledArgs):
    """PocketSphinx, with the English model of its package.

    Of the live settings it follows the language and those of voice activity; the rest are Whisper's.
    """

    engine: Literal["sphinx"] = "sphinx"
    language_model: str | None = Field(
        None, description="An ARPA file of the sentences to expect; null is the package's, of general English."
    )


class FakeRecognizerArgs(FakeArgs):
    """Pretends to hear."""

    engine: Literal["fake"] = "fake"
    transcript: str = Field(
        default="hello there",
        description="What is heard in anything louder than silence; {seconds} becomes its duration.",
    )


SpeechToTextArgs = Annotated[WhisperArgs | SphinxArgs | FakeRecognizerArgs, Field(discriminator="engine")]


class SpeechToTextConfig(Settings):
    """Live settings of SpeechToText."""

    language: LanguageCode | None = Field(default="en", description="Spoken language; null lets the model find out.")
    prompt: str | None = Field(default=None, max_length=1000, description="Text that sets spelling and style.")
    beam_size: int = Field(default=1, ge=1, le=10, description="Hypotheses held in parallel; more is slower.")
    vad: bool = Field(default=True, description="Leave out what is not speech before recognizing.")
    vad_threshold: Fraction = Field(default=0.5, description="Probability from which a frame counts as speech.")
    vad_min_speech_ms: NonNegativeInt = Field(default=100, description="Shorter sounds are no speech.")
    vad_min_silence_ms: NonNegativeInt = Field(default=500, description="A pause that ends a stretch of speech.")
    vad_pad_ms: NonNegativeInt = Field(default=300, description="Sound kept around a stretch of speech.")
    no_speech_threshold: Fraction = Field(
        default=0.6, description="A window whose probability of silence is above this, and that is unsure, is dropped."
    )
    log_prob_threshold: float = Field(
        default=-1.0, le=0, description="Mean log probability below which a window is unsure."
    )
    compression_ratio_threshold: PositiveFloat = Field(
        default=2.4, description="A window whose text compresses better than this repeats itself and is dropped."
    )
    repetition_penalty: float = Field(
        default=1.0, ge=1, le=2, description="Above 1, repeated words become less likely."
    )
    temperature: Fraction = Field(default=0.0, description="0 always takes the likeliest word.")
    words: bool = Field(default=False, description="Tell when each word was spoken, where the engine can.")
    max_audio_s: PositiveFloat = Field(default=120, description="Longer sound is refused.")

    def for_request(self, options: TranscribeOptions) -> Self:
        """These settings with what one request chose."""
        return _chosen(
            self,
            language=options.language,
            prompt=options.prompt,
            temperature=options.temperature,
            words=options.words or None,
        )


# --- chat -------------------------------------------------------------------------------------------------------------


class LlamaArgs(EngineArgs):
    """llama-cpp-python: many conversations in one model, with a projector for pictures if there is one."""

    engine: Literal["llama"] = "llama"
    omp_wait_policy: Literal["active", "brief", "passive"] = Field(
        default="brief",
        description="What idle OpenMP threads do; sleeping ones cost two or more threads most of their speed here, and "
        "active ones keep a core each busy while nothing is asked.",
    )
    model: str = Field(
        default="pocket/llm/weights/pocket-llm.gguf",
        min_length=1,
        description="Path of a GGUF file; with repo_id, the name of one in that repository.",
    )
    mmproj: str | None = Field(
        default=None, description="The GGUF file of the projector, found as model is; null reads no pictures."
    )
    repo_id: str | None = Field(default=None, description="A repository of the model hub to fetch the files from.")
    chat_handler: Literal["llava-1-5", "llava-1-6", "nanollava", "mtmd"] = Field(
        default="mtmd",
        description="How pictures stand in the prompt: a LLaVA's own words, or (mtmd) the chat template of the file.",
    )
    context_length: int = Field(
        default=2048,
        ge=128,
        description="Tokens of one conversation and its answer; the cache has parallel times as many.",
    )
    parallel: PositiveInt = Field(
        default=8, description="Conversations answered at once; each has a context of its own in the cache."
    )
    max_waiting: NonNegativeInt = Field(
        default=16, description="Conversations that wait in the engine for a place; more are refused."
    )
    workers: PositiveInt = Field(
        default=1,
        description="Groups that the conversations are shared out to; each makes passes of its own, by `threads` "
        "threads. For a small model on a CPU, several one-threaded groups are as fast as one of several threads, and "
        "a third faster where cores share no cache.",
    )
    batch_size: int = Field(default=512, ge=8, description="Tokens of all prompts read at once, at most.")
    prefill_chunk: int = Field(
        default=128, ge=8, description="Tokens of one prompt read at once, at most; fewer while others are answered."
    )
    batch_threads: PositiveInt | None = Field(
        default=None,
        description="Threads of a step over several tokens (prompts, several answers); null is threads. More are "
        "faster on cores that nothing else uses, and slower beside other models.",
    )
    gpu_layers: int = Field(default=0, ge=-1, description="Layers on the GPU; -1 is all.")
    flash_attention: bool = Field(
        default=True,
        description="Attention without a table of all scores: twice as fast for many callers. A CPU then reads a "
        "prompt in chunks of at most 60 tokens, and one answer of over 500 tokens alone is slower than without.",
    )
    chat_template: str | None = Field(
        default=None, description="Jinja text of a chat template; null is the model file's or the chat handler's own."
    )

    @model_validator(mode="after")
    def _has_work_for_all(self) -> Self:
        if self.workers > self.parallel:
            raise ValueError("each of the workers needs a conversation; parallel is less than workers")
        return self


class FakeChatArgs(FakeArgs):
    """Pretends to think."""

    engine: Literal["fake"] = "fake"
    vision: bool = Field(default=False, description="Whether pictures are taken.")
    answer: str | None = Field(
        default=None,
        description="What is said; null says the last message back. {clock} becomes the seconds of the machine's "
        "monotonic clock when the word is made.",
    )
    context_length: PositiveInt = Field(default=2048, description="Words of a conversation and its answer.")


ChatArgs = Annotated[LlamaArgs | FakeChatArgs, Field(discriminator="engine")]


class ChatConfig(Settings):
    """Live settings of TextLLM and VisionLLM."""

    system_prompt: str | None = Field(
        default=None, description="Stands before a conversation that has no system message."
    )
    max_tokens: PositiveInt = Field(default=256, description="Longest answer where a request does not say.")
    temperature: float = Field(default=0.7, ge=0, le=2, description="0 always takes the likeliest token.")
    top_p: float = Field(
        default=0.95, gt=0, le=1, description="Choose among the likeliest tokens of this total probability."
    )
    top_k: NonNegativeInt = Field(default=40, description="Choose among this many tokens; 0 is all.")
    min_p: Fraction = Field(default=0.05, description="Leave out tokens less likely than this share of the likeliest.")
    repeat_penalty: float = Field(
        default=1.0, ge=0.5, le=2, description="Above 1, tokens used before become less likely."
    )
    presence_penalty: float = Field(
        default=0.0, ge=-2, le=2, description="Taken from the score of every token that was said already."
    )
    frequency_penalty: float = Field(
        default=0.0, ge=-2, le=2, description="Taken from a token's score for each time that it was said already."
    )
    grammar: str | None = Field(default=None, description="GBNF with a rule root that every answer has to fit.")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), description="Texts that end an answer.")
    seed: NonNegativeInt | None = Field(
        default=None, description="The same seed gives the same answer; null is random."
    )

    def for_request(self, options: ChatOptions) -> Self:
        """These settings with what one request chose; its stop texts join those of the settings."""
        return _chosen(
            self,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            top_p=options.top_p,
            stop=(*self.stop, *options.stop) if options.stop else None,
            seed=options.seed,
            presence_penalty=options.presence_penalty,
            frequency_penalty=options.frequency_penalty,
            grammar=options.grammar,
        )


# --- text to speech ---------------------------------------------------------------------------------------------------


class CoquiArgs(PooledArgs):
    """Coqui TTS: a local model (with a vocoder, unless it makes sound itself), or one by name."""

    engine: Literal["coqui"] = "coqui"
    workers: PositiveInt = Field(
        default=2,
        description="Sentences spoken at the same time, each by `threads` threads; a model that cannot takes one.",
    )
    model: str | None = Field(default=None, min_length=1, description="Path of the model's weights.")
    config: str | None = Field(default=None, min_length=1, description="Path of the model's config.json.")
    vocoder: str | None = Field(default=None, min_length=1, description="Path of the vocoder's weights.")
    vocoder_config: str | None = Field(default=None, min_length=1, description="Path of the vocoder's config.json.")
    model_name: str | None = Field(
        default=None,
        description="A model of Coqui's catalogue, such as tts_models/en/ljspeech/vits, instead of the paths.",
    )
    device: Literal["cpu", "cuda"] = "cpu"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.model is None) == (self.model_name is None):
            raise ValueError("give either model (and config) or model_name")
        if (self.model is None) != (self.config is None):
            raise ValueError("model and config belong together")
        if (self.vocoder is None) != (self.vocoder_config is None):
            raise ValueError("vocoder and vocoder_config belong together")
        return self


class FakeSynthesizerArgs(FakeArgs):
    """Pretends to speak: a tone per word."""

    engine: Literal["fake"] = "fake"
    rate_hz: PositiveInt = Field(default=16_000, description="Samples per second.")
    word_s: PositiveFloat = Field(default=0.1, description="Seconds of sound per word.")


TextToSpeechArgs = Annotated[CoquiArgs | FakeSynthesizerArgs, Field(discriminator="engine")]


class TextToSpeechConfig(Settings):
    """Live settings of TextToSpeech."""

    voice: str | None = Field(default=None, description="A speaker of the model; null is its first or only one.")
    language: LanguageCode | None = Field(default=None, description="For a model that speaks several.")
    speed: float = Field(default=1.0, ge=0.25, le=4, description="2.0 is twice as fast.")
    volume: float = Field(default=1.0, gt=0, le=4, description="Factor of loudness; peaks are kept below clipping.")
    pause_s: float = Field(default=0.15, ge=0, le=2, description="Silence after each sentence.")
    max_sentence_chars: int = Field(default=240, ge=20, description="A longer sentence is split where it pauses.")
    max_text_chars: PositiveInt = Field(default=4096, description="Longer text is refused.")

    def for_request(self, options: SpeakOptions) -> Self:
        """These settings with what one request chose."""
        return _chosen(self, voice=options.voice, language=options.language, speed=options.speed)


# --- the gateway and the whole ----------------------------------------------------------------------------------------


OPENAI_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip


class GatewayArgs(Settings):
    """Who may ask the gateway, and with how many threads it reads what they send."""

    api_keys_file: str | None = Field(
        default=None, description="A file with an API key in each line, besides those in PARLEY_API_KEYS."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Web pages of these origins may call the service from a browser; * is all."
    )
    decode_threads: PositiveInt = Field(
        default=2,
        description="Threads that decode and encode sound and pictures, and as many again for those above 1 MiB, so "
        "that short turns do not wait behind them. As many as the gateway has cores.",
    )


class GatewayConfig(Settings):
    """Live settings of the Gateway: what may come in, what becomes of it, and how long an answer may take."""

    max_body_bytes: PositiveInt = Field(default=32 * 2**20, description="Largest request.")
    max_text_chars: PositiveInt = Field(default=200_000, description="Longest text of one message.")
    max_audio_s: PositiveFloat = Field(default=120, description="Longest sound, in seconds; no more is ever decoded.")
    max_image_pixels: PositiveInt = Field(default=25_000_000, description="Largest picture; looked at before decoding.")
    max_images: PositiveInt = Field(default=4, description="Pictures of one request.")
    image_side_px: PositiveInt = Field(default=1344, description="Larger pictures are shrunk to this longer side.")
    picture_hosts: tuple[PictureHost, ...] = Field(
        default=(),
        description="Hosts whose pictures an image_url may name: example.org, *.example.org, with :port for another "
        "than the usual, * for all. None as shipped. Private addresses are refused all the same.",
    )
    picture_max_bytes: PositiveInt = Field(default=16 * 2**20, description="Largest picture that is fetched.")
    picture_timeout_s: PositiveFloat = Field(default=10, description="Longest fetch of a picture, redirects included.")
    picture_redirects: NonNegativeInt = Field(default=3, description="Redirects followed; each has to be allowed, too.")
    picture_fetches: PositiveInt = Field(default=8, description="Pictures fetched at once by one gateway.")
    max_upload_bytes: PositiveInt = Field(
        default=512 * 2**20, description="Largest recording to transcribe; it waits on disk, not in memory."
    )
    max_transcription_s: PositiveFloat = Field(
        default=4 * 3600, description="Longest recording to transcribe; heard in pieces of half a minute."
    )
    audio_id_ttl_s: PositiveFloat = Field(
        default=3600, description="How long an answer's sound can be given back by its id in a conversation."
    )
    model_aliases: dict[str, str] = Field(
        default_factory=dict, description="Other names for served models, such as gpt-4o: parley."
    )
    voice_aliases: dict[str, str | None] = Field(
        default_factory=lambda: dict.fromkeys(OPENAI_VOICES),
        description="Names for voices of the speech model; null is its default voice. OpenAI's names as shipped.",
    )
    image_prompt: str = Field(
        default="What do you see?", min_length=1, description="Asked of a picture that comes without a word."
    )
    overlap_speech: bool = Field(
        default=True, description="Speak the first sentence while the rest is generated; off only to measure that."
    )
    request_timeout_s: PositiveFloat = Field(default=300, description="Longest answer as a whole.")
    health_timeout_s: PositiveFloat = Field(
        default=10, description="Wait for each deployment at GET /health; a busy one queues."
    )
    retry_after_s: PositiveFloat = Field(default=2, description="Advice to a client that found every place taken.")
    max_concurrent_requests: PositiveInt = Field(
        default=128,
        description="Requests under way in one gateway; at most what may wait at every deployment behind it, so that "
        "none refuses what came in.",
    )
    max_concurrent_per_key: PositiveInt | None = Field(
        default=None, description="Of these, requests with the same API key; null is all."
    )
    requests_per_minute_per_key: PositiveInt | None = Field(
        default=None, description="Requests with the same API key to one gateway; null is any number."
    )


POCKET_VOICE = CoquiArgs(
    model="pocket/tts/weights/acoustic.pth",
    config="pocket/tts/weights/acoustic.json",
    vocoder="pocket/tts/weights/vocoder.pth",
    vocoder_config="pocket/tts/weights/vocoder.json",
)


class AppArgs(Settings):
    """The application's ``args`` in serve_config.yaml. Changing any of them starts new replicas."""

    speech_to_text: SpeechToTextArgs = Field(default_factory=WhisperArgs)
    text_llm: ChatArgs = Field(default_factory=LlamaArgs)
    vision_llm: ChatArgs = Field(default_factory=lambda: LlamaArgs(mmproj="pocket/vision/weights/pocket-mmproj.gguf"))
    text_to_speech: TextToSpeechArgs = Field(default_factory=lambda: POCKET_VOICE)
    gateway: GatewayArgs = Field(default_factory=GatewayArgs)


def explain(error: ValidationError) -> str:
    """One line a person can act on: each setting at fault and what would be right."""
    return "; ".join(": ".join([".".join(map(str, part["loc"])) or "settings", part["msg"]]) for part in error.errors())


S = TypeVar("S", bound=Settings)


def _chosen(settings: S, **choices: object) -> S:
    """``settings`` with those choices that are not ``None``; raises ``InvalidRequest`` for one out of bounds."""
    given = {name: value for name, value in choices.items() if value is not None}
    if not given:
        return settings
    try:
        return settings.model_validate(settings.model_dump() | given)
    except ValidationError as error:
        raise InvalidRequest(explain(error), param=str(error.errors()[0]["loc"][0])) from None
