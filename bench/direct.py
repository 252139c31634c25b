"""The engines of a configuration in this process, called one after another: the cost of a request without a service.

They are loaded from the same YAML and through the same registry as in the replicas. There is no Ray and no HTTP, and
the stages do not overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from bench.audio import ASR_RATE_HZ, concatenate, read_wav, resample
from bench.client import Output, Request, Stopwatch
from bench.pictures import pixels
from deployments.engines.base import ChatModel, Recognizer, Synthesizer
from deployments.engines.registry import chat_model, entry_of, recognizer, synthesizer
from deployments.messages import Audio, ChatMessage, Image, TextDelta
from deployments.postprocess import AudioPostprocessor
from deployments.sentence import Prepared, prepare
from deployments.settings import ChatConfig, ModelArgs, Settings, SpeechToTextConfig, TextToSpeechConfig
from graphs.pipeline.sentences import Sentences
from graphs.settings import AppArgs

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A serve_config.yaml: the application's settings, and the ``user_config`` of each deployment by its name."""

    args: AppArgs
    user_configs: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read the file. Raise pydantic's ``ValidationError`` for an invalid setting."""
        application = yaml.safe_load(file.read_text())["applications"][0]
        user_configs = {d["name"]: d.get("user_config") or {} for d in application.get("deployments", ())}
        return cls(AppArgs.model_validate(application.get("args") or {}), user_configs)

    @property
    def models(self) -> list[str]:
        """The names of the models, as clients use them."""
        args = self.args
        return [it.public_name for it in (args.speech_to_text, args.text_llm, args.vision_llm, args.text_to_speech)]

    def live_settings(self, deployment: str, args: ModelArgs, kind: type[S], **overrides: Any) -> S:
        """Return the live settings of a deployment whose engine has ``args``."""
        config = entry_of(args).config.model_validate({**self.user_configs.get(deployment, {}), **overrides})
        assert isinstance(config, kind)
        return config


@dataclass(frozen=True, slots=True)
class DirectResult:
    """The answer of the engines, and the duration of their calls in seconds.

    ``first_s`` is the time to the first delta or, with a voice, to the first chunk of audio; ``last_s`` is the sum of
    all calls. ``arrivals_s`` are the times of all deltas or chunks, from the start of the first call of that kind.
    """

    text: str
    audio: Audio | None
    first_s: float
    last_s: float
    arrivals_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _ChatResult:
    """An answer of a chat model, with the times of its deltas, its first complete sentence and its end."""

    text: str
    sentences: tuple[str, ...]
    arrivals_s: tuple[float, ...]
    first_s: float
    first_sentence_s: float
    last_s: float


class Engines:
    """The four engines, each loaded at its first call. Input and output are decoded media."""

    def __init__(self, configuration: Configuration) -> None:
        self._args = args = configuration.args
        settings = configuration.live_settings
        self._asr_config = settings("SpeechToText", args.speech_to_text, SpeechToTextConfig)
        self._tts_config = settings("TextToSpeech", args.text_to_speech, TextToSpeechConfig)
        # The benches send temperature 0 to the service, too.
        self._text_config = settings("TextLLM", args.text_llm, ChatConfig, temperature=0)
        self._vision_config = settings("VisionLLM", args.vision_llm, ChatConfig, temperature=0)

    @cached_property
    def _recognizer(self) -> Recognizer:
        return recognizer(self._args.speech_to_text)

    @cached_property
    def _text_llm(self) -> ChatModel:
        return chat_model(self._args.text_llm)

    @cached_property
    def _vision_llm(self) -> ChatModel:
        return chat_model(self._args.vision_llm)

    @cached_property
    def _synthesizer(self) -> Synthesizer:
        return synthesizer(self._args.text_to_speech)

    async def respond_to(self, request: Request) -> DirectResult:
        """Answer a request of the HTTP client; its media are decoded before the timing starts."""
        speech = read_wav(request.audio) if request.audio else None
        image = pixels(request.image) if request.image else None
        return await self.respond(request.output, request.text or "", speech, image)

    async def respond(self, output: Output, text: str, speech: Audio | None, image: Image | None) -> DirectResult:
        """Run the stages of the graph for this input, one after another. ``speech`` has 16 kHz."""
        watch = Stopwatch()
        if speech is not None:
            text = f"{text}\n{await self.transcribe(speech)}".strip()
        asr_s = watch.elapsed_s()
        answer = await self._chat(text, image)
        if output == "text":
            return DirectResult(answer.text, None, asr_s + answer.first_s, asr_s + answer.last_s, answer.arrivals_s)
        watch = Stopwatch()
        audio = concatenate([await self.speak(sentence, watch) for sentence in answer.sentences])
        first_s = asr_s + answer.first_sentence_s + (watch.first_s or 0)
        last_s = asr_s + answer.last_s + watch.elapsed_s()
        return DirectResult(answer.text, audio, first_s, last_s, tuple(watch.arrivals_s))

    async def transcribe(self, audio: Audio) -> str:
        """Return the transcript of audio of any sample rate; empty without speech."""
        resampled = resample(audio, ASR_RATE_HZ)
        async with aclosing(self._recognizer.transcribe(resampled, self._asr_config)) as segments:
            return " ".join([segment.text.strip() async for segment in segments])

    async def speak(self, text: str, watch: Stopwatch | None = None) -> Audio:
        """Return the audio that the deployment TextToSpeech makes of one sentence; ``watch`` records its chunks."""
        engine, config = self._synthesizer, self._tts_config
        chunks: list[Audio] = []

        def add(samples: Any) -> None:
            if len(samples):
                if watch:
                    watch.mark()
                chunks.append(Audio(samples, engine.rate_hz))

        for piece in self.prepared(text).pieces:
            processor = AudioPostprocessor(engine.rate_hz, config.volume, config.pause_s)
            async with aclosing(engine.speak(piece, config)) as raw:
                async for chunk in raw:
                    add(processor.add(chunk.samples))
            add(processor.finish())
        return concatenate(chunks)

    def prepared(self, text: str) -> Prepared:
        """Return the text as the voice reads it."""
        engine, config = self._synthesizer, self._tts_config
        language = config.language or engine.language(config.voice)
        return prepare(text, language, engine.characters, config.max_sentence_chars)

    async def _chat(self, text: str, image: Image | None) -> _ChatResult:
        vision = image is not None
        engine = self._vision_llm if vision else self._text_llm
        config = self._vision_config if vision else self._text_config
        messages = [ChatMessage("user", text, () if image is None else (image,))]
        if config.system_prompt is not None:
            messages.insert(0, ChatMessage("system", config.system_prompt))
        splitter, sentences, deltas = Sentences(), list[str](), list[str]()
        watch = Stopwatch()
        first_sentence_s: float | None = None
        async with aclosing(engine.chat(messages, config)) as values:
            async for value in values:
                if isinstance(value, TextDelta):
                    watch.mark()
                    deltas.append(value.text)
                    sentences += splitter.feed(value.text)
                    if sentences and first_sentence_s is None:
                        first_sentence_s = watch.elapsed_s()
        sentences += splitter.finish()
        last_s = watch.elapsed_s()
        return _ChatResult(
            "".join(deltas),
            tuple(sentences),
            tuple(watch.arrivals_s),
            first_s=last_s if watch.first_s is None else watch.first_s,
            first_sentence_s=last_s if first_sentence_s is None else first_sentence_s,
            last_s=last_s,
        )
