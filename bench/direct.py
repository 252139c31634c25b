"""The engines of a configuration in this process, called one after another: what a request costs without a service.

Built from the same YAML and through the same ``deployments.engines.base`` as the replicas. No Ray, no HTTP, no overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml

from bench.client import Output, Request, Stopwatch, read_wav, resample
from bench.pictures import pixels
from deployments.engines.base import ChatModel, Recognizer, Synthesizer, chat_model, recognizer, synthesizer
from deployments.messages import Audio, ChatMessage, Image, TextDelta
from deployments.settings import AppArgs, ChatConfig, SpeechToTextConfig, TextToSpeechConfig
from graphs.pipeline.sentences import Sentences

HEARD_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Answered:
    """What the engines made and how long their calls took, in seconds.

    ``first_s`` ends at the first words, or at the first chunk of sound when a voice was wanted; ``last_s`` is the sum
    of all the calls. ``pieces_s`` are the times of all the words or chunks, from the beginning of the call that made
    the first of them.
    """

    text: str
    audio: Audio | None
    first_s: float
    last_s: float
    pieces_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer of a chat model: when its first words and its first whole sentence came, and when it was complete."""

    text: str
    sentences: tuple[str, ...]
    pieces_s: tuple[float, ...]
    words_s: float
    sentence_s: float
    last_s: float


class Engines:
    """The four engines, each loaded when it is first called. Decoded media in, decoded media out."""

    def __init__(self, args: AppArgs, live: Mapping[str, Mapping[str, Any]]) -> None:
        """``live`` is the user_config of each deployment by its name."""
        self._args = args
        self._hearing = SpeechToTextConfig.model_validate(live.get("SpeechToText", {}))
        self._speaking = TextToSpeechConfig.model_validate(live.get("TextToSpeech", {}))
        # The likeliest answer always, as the benches ask the service for it.
        self._talking, self._seeing = (
            ChatConfig.model_validate({**live.get(name, {}), "temperature": 0}) for name in ("TextLLM", "VisionLLM")
        )

    @classmethod
    def of(cls, config: Path) -> Self:
        """The engines of a serve_config.yaml."""
        application = yaml.safe_load(config.read_text())["applications"][0]
        live = {d["name"]: d.get("user_config") or {} for d in application.get("deployments", ())}
        return cls(AppArgs.model_validate(application.get("args") or {}), live)

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

    async def worked_out(self, request: Request) -> Answered:
        """The answer to a request as it is sent; its media are decoded first, off the clock."""
        speech = read_wav(request.audio) if request.audio else None
        image = pixels(request.image) if request.image else None
        return await self.answer(request.output, request.text or "", speech, image)

    async def answer(self, output: Output, text: str, speech: Audio | None, image: Image | None) -> Answered:
        """Do what the graph does for such a request, one call after another. ``speech`` is 16 kHz."""
        watch = Stopwatch()
        if speech is not None:
            text = f"{text}\n{await self.read(speech)}".strip()
        heard_s = watch.elapsed_s()
        said = await self._chat(text, image)
        if output == "text":
            return Answered(said.text, None, heard_s + said.words_s, heard_s + said.last_s, said.pieces_s)
        watch = Stopwatch()
        sound = _joined([await self.speak(sentence, watch) for sentence in said.sentences])
        first_s = heard_s + said.sentence_s + (watch.first_s or 0)
        return Answered(said.text, sound, first_s, heard_s + said.last_s + watch.elapsed_s(), tuple(watch.pieces_s))

    async def read(self, speech: Audio) -> str:
        """What is said in a sound of any rate; empty when nothing is."""
        heard = resample(speech, HEARD_RATE_HZ)
        async with aclosing(self._recognizer.transcribe(heard, self._hearing)) as segments:
            return " ".join([segment.text.strip() async for segment in segments])

    async def speak(self, sentence: str, watch: Stopwatch | None = None) -> Audio:
        """The sentence as sound; ``watch`` notes its chunks."""
        chunks: list[Audio] = []
        async with aclosing(self._synthesizer.speak(sentence, self._speaking)) as sounds:
            async for sound in sounds:
                if watch:
                    watch.mark()
                chunks.append(sound)
        return _joined(chunks)

    async def _chat(self, text: str, image: Image | None) -> _Said:
        engine, config = (self._text_llm, self._talking) if image is None else (self._vision_llm, self._seeing)
        messages = [ChatMessage("user", text, () if image is None else (image,))]
        if config.system_prompt is not None:
            messages.insert(0, ChatMessage("system", config.system_prompt))
        splitter, sentences, pieces = Sentences(), list[str](), list[str]()
        words = Stopwatch()
        sentence_s: float | None = None
        async with aclosing(engine.chat(messages, config)) as values:
            async for value in values:
                if isinstance(value, TextDelta):
                    words.mark()
                    pieces.append(value.text)
                    sentences += splitter.feed(value.text)
                    if sentences and sentence_s is None:
                        sentence_s = words.elapsed_s()
        sentences += splitter.finish()
        last_s = words.elapsed_s()
        return _Said(
            "".join(pieces),
            tuple(sentences),
            tuple(words.pieces_s),
            words_s=last_s if words.first_s is None else words.first_s,
            sentence_s=last_s if sentence_s is None else sentence_s,
            last_s=last_s,
        )


def _joined(chunks: Sequence[Audio]) -> Audio:
    """Chunks of one rate as one sound; where nothing was spoken, a sound without samples."""
    spoken = [chunk for chunk in chunks if len(chunk.samples)]
    if not spoken:
        return Audio(np.zeros(0, np.float32), HEARD_RATE_HZ)
    return Audio(np.concatenate([chunk.samples for chunk in spoken]), spoken[0].rate_hz)
