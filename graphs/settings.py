"""Settings of the Gateway, and of the application as a whole."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from deployments.engines.registry import ChatArgs, SpeechToTextArgs, TextToSpeechArgs
from deployments.settings import Settings

PictureHost = Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9._-]+)(:[0-9]{1,5})?$")]

OPENAI_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip

# The bundled models, as paths from the root of the repository.
POCKET_ASR = {"engine": "whisper", "model": "pocket/asr/weights"}
POCKET_LLM = {"engine": "llama", "model": "pocket/llm/weights/pocket-llm.gguf"}
POCKET_VISION = POCKET_LLM | {"mmproj": "pocket/vision/weights/pocket-mmproj.gguf"}
POCKET_TTS = {
    "engine": "coqui",
    "model": "pocket/tts/weights/acoustic.pth",
    "config": "pocket/tts/weights/acoustic.json",
    "vocoder": "pocket/tts/weights/vocoder.pth",
    "vocoder_config": "pocket/tts/weights/vocoder.json",
}


class GatewayArgs(Settings):
    """Settings of the Gateway that need a new replica."""

    api_keys_file: str | None = Field(
        default=None,
        description="A file with one API key per line, in addition to those in PARLEY_API_KEYS.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose web pages may call the service from a browser; * allows all."
    )
    end_of_turn_model: str | None = Field(
        default=None,
        description="The model that hears whether a person has finished, for semantic_vad: smart-turn-v3 of the "
        "catalogue, or the path of its ONNX file. Without one, semantic_vad is refused.",
    )
    decode_threads: PositiveInt = Field(
        default=2,
        description="Processes that decode and threads that encode audio and pictures, and as many again for media "
        "above 1 MiB, so that small requests do not queue behind large ones. Set it to the Gateway's number of cores.",
    )
    decode_streams: PositiveInt = Field(
        default=16,
        description="Recordings to transcribe that are decoded at the same time, each in a process; others wait.",
    )
    decode_memory_bytes: PositiveInt = Field(default=768 * 2**20, description="Memory of one decoding process.")
    decode_cpu_s: PositiveInt = Field(
        default=20, description="Processor time for decoding a recording, a piece of a long one, or a picture."
    )
    decode_timeout_s: PositiveFloat = Field(default=60, description="Time limit for the same.")


class RealtimeConfig(Settings):
    """Live settings of ``/v1/realtime``: they hold for sessions that begin afterwards."""

    max_sessions: PositiveInt = Field(
        default=256, description="Open sessions of one Gateway replica; further ones are closed with code 1013."
    )
    max_sessions_per_key: PositiveInt | None = Field(
        default=32, description="Open sessions of one API key; null sets no limit per key."
    )
    max_session_s: PositiveFloat = Field(default=3600, description="Longest session.")
    max_idle_s: PositiveFloat = Field(
        default=900, description="A session that receives no message from its client for this long is closed."
    )
    max_message_bytes: PositiveInt = Field(
        default=8 * 2**20, description="Largest message of a client; it bounds a picture."
    )
    max_input_rate: PositiveFloat = Field(
        default=4.0, description="Audio that a client may send on average, in seconds of audio per second."
    )
    max_buffer_s: PositiveFloat = Field(default=120, description="Longest stretch of speech, and of audio to commit.")
    max_items: PositiveInt = Field(default=500, description="Items of one conversation.")
    max_responses: PositiveInt = Field(default=4, description="Concurrent responses of one session.")
    audio_ahead_s: PositiveFloat = Field(
        default=3.0, description="How far the audio of an answer is sent ahead of the time at which it is played."
    )
    partial_transcripts: bool = Field(
        default=True, description="Transcribe speech while it lasts; false waits for its end."
    )
    partial_interval_s: PositiveFloat = Field(
        default=0.8, description="New audio between two transcriptions of the same speech."
    )
    early_silence_ms: NonNegativeInt = Field(
        default=200,
        description="Silence after which the transcription of a turn begins, while turn detection still waits.",
    )
    min_speech_ms: NonNegativeInt = Field(
        default=100, description="Speech that begins a turn; a shorter noise does not."
    )
    min_interruption_ms: NonNegativeInt = Field(
        default=200, description="Speech that interrupts an answer; a shorter noise does not."
    )
    half_duplex: bool = Field(
        default=False, description="Ignore the input while an answer is played, where its echo would interrupt it."
    )


class GatewayConfig(Settings):
    """Live settings of the Gateway."""

    realtime: RealtimeConfig = Field(default_factory=RealtimeConfig, description="Live talk; see below.")

    max_body_bytes: PositiveInt = Field(default=32 * 2**20, description="Largest request body.")
    max_bodies_bytes: PositiveInt = Field(
        default=256 * 2**20, description="Request bodies of all requests together; further ones are refused with 503."
    )
    max_bodies_bytes_per_key: PositiveInt | None = Field(
        default=128 * 2**20, description="The same of one API key, with 429; null sets no limit per key."
    )
    min_body_rate: PositiveFloat = Field(
        default=1000,
        description="Slowest transfer of a request body, in bytes per second; it may fall behind by body_grace_s.",
    )
    body_grace_s: PositiveFloat = Field(
        default=10, description="Longest pause in a body, and time in which a slow one is not refused yet."
    )
    max_body_s: PositiveFloat = Field(
        default=600, description="Longest transfer of a request body, however fast: 32 MiB at 56 kB per second."
    )
    max_upload_s: PositiveFloat = Field(
        default=2 * 3600, description="The same of a recording to transcribe: 512 MiB at 75 kB per second."
    )
    max_json_items: PositiveInt = Field(
        default=200_000, description="Commas, colons and opening brackets of a JSON body, which bound its values."
    )
    max_messages: PositiveInt = Field(default=1000, description="Messages of one conversation.")
    max_text_chars: PositiveInt = Field(default=200_000, description="Longest text of one message.")
    max_conversation_chars: PositiveInt = Field(
        default=1_000_000, description="Longest text of all messages of one conversation together."
    )
    max_audio_s: PositiveFloat = Field(default=120, description="Longest recording, in seconds; decoding stops there.")
    max_conversation_audio_s: PositiveFloat = Field(
        default=600, description="Longest audio of all recordings of one conversation together, in seconds."
    )
    max_image_pixels: PositiveInt = Field(
        default=25_000_000, description="Largest picture; checked in its header, before decoding."
    )
    max_images: PositiveInt = Field(default=4, description="Pictures of one request.")
    image_side_px: PositiveInt = Field(default=1344, description="Larger pictures are scaled to this longer side.")
    picture_hosts: tuple[PictureHost, ...] = Field(
        default=(),
        description="Hosts from which an image_url may be fetched: example.org, *.example.org, either with :port, or "
        "* for all. The default allows none. Private addresses are always refused.",
    )
    picture_max_bytes: PositiveInt = Field(default=16 * 2**20, description="Largest picture that is fetched.")
    picture_timeout_s: PositiveFloat = Field(
        default=10, description="Time limit for fetching a picture, redirects included."
    )
    picture_redirects: NonNegativeInt = Field(
        default=3, description="Redirects followed; each target must be allowed as well."
    )
    picture_fetches: PositiveInt = Field(default=8, description="Concurrent fetches of one Gateway replica.")
    max_upload_bytes: PositiveInt = Field(
        default=512 * 2**20, description="Largest recording to transcribe; it is spooled to disk."
    )
    max_uploads_bytes: PositiveInt = Field(
        default=4 * 2**30, description="Recordings of all requests together; further ones are refused with 503."
    )
    max_uploads_bytes_per_key: PositiveInt | None = Field(
        default=2 * 2**30, description="The same of one API key, with 429; null sets no limit per key."
    )
    min_free_disk_bytes: PositiveInt = Field(
        default=2**30,
        description="Space that uploads leave free on the disk of temporary files; others are refused with 503.",
    )
    max_transcription_s: PositiveFloat = Field(
        default=4 * 3600, description="Longest recording to transcribe, in seconds; it is decoded in pieces of 30 s."
    )
    audio_id_ttl_s: PositiveFloat = Field(
        default=3600, description="How long a conversation may refer to a spoken answer by its id, in seconds."
    )
    model_aliases: dict[str, str] = Field(
        default_factory=dict, description="Additional names of served models, such as gpt-4o: parley."
    )
    voice_aliases: dict[str, str | None] = Field(
        default_factory=lambda: dict.fromkeys(OPENAI_VOICES),
        description="Additional names of voices; null is the default voice. OpenAI's names are aliases by default.",
    )
    image_prompt: str = Field(
        default="What do you see?", min_length=1, description="The prompt for a picture that is sent without text."
    )
    request_timeout_s: PositiveFloat = Field(default=300, description="Time limit of one answer, in seconds.")
    stage_timeout_s: PositiveFloat = Field(
        default=30,
        description="A replica that sends nothing for this long hangs, and its callers get 503. One that is only slow "
        "sends heartbeats.",
    )
    health_timeout_s: PositiveFloat = Field(
        default=3,
        description="Time limit for each deployment's answer to GET /health, in seconds. A deployment that stops "
        "answering is not ready after this time and the second for which a result is cached.",
    )
    retry_after_s: PositiveFloat = Field(default=2, description="Retry-After of a request that is refused with 503.")
    max_concurrent_requests: PositiveInt = Field(
        default=128,
        description="Concurrent requests of one Gateway replica; further ones are refused with 503. No more than every "
        "deployment behind it can queue.",
    )
    max_concurrent_per_key: PositiveInt | None = Field(
        default=16, description="Concurrent requests of one API key; null sets no limit per key."
    )
    requests_per_minute_per_key: PositiveInt | None = Field(
        default=None, description="Requests per minute of one API key to one Gateway replica; null sets no limit."
    )


class AppArgs(Settings):
    """The application's ``args`` in serve_config.yaml. A change starts new replicas."""

    speech_to_text: SpeechToTextArgs = Field(default=POCKET_ASR, validate_default=True)  # type: ignore[assignment]
    text_llm: ChatArgs = Field(default=POCKET_LLM, validate_default=True)  # type: ignore[assignment]
    vision_llm: ChatArgs = Field(default=POCKET_VISION, validate_default=True)  # type: ignore[assignment]
    text_to_speech: TextToSpeechArgs = Field(default=POCKET_TTS, validate_default=True)  # type: ignore[assignment]
    gateway: GatewayArgs = Field(default_factory=GatewayArgs)
