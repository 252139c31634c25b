"""Coqui TTS: voices in its formats, a sentence at a time, and with a vocoder of its own a piece of it at a time.

Sentences of several callers are spoken side by side, each by a thread of its own over the same weights: on a processor
a batch of the vocoder, which is nearly all the work, takes as long as its parts one after another.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deployments.postprocess import Polish
from deployments.engines.pooled import Pooled
from deployments.engines.coqui.vocoder import Vocoder
from deployments.errors import InvalidRequest
from deployments.messages import Audio
from deployments.settings import CoquiArgs, TextToSpeechConfig, resolve
from deployments.engines.threads import prepare

logger = logging.getLogger("ray.serve")

T = TypeVar("T")

PARALLEL = ("Vits", "ForwardTTS")  # the models that keep nothing between two calls, or only their speed
MIN_LETTERS = 3  # some models fail on less

# What Coqui's cleaner for English drops in silence.
_SYMBOLS = (
    (re.compile(r"(?<=\d)\s*[*×]\s*(?=\d)"), " times "),
    (re.compile(r"(?<=\d)\s*÷\s*(?=\d)"), " divided by "),
    (re.compile(r"(?<=\d)\s+[-−–]\s+(?=\d)"), " minus "),
    (re.compile(r"\s*\+\s*"), " plus "),
    (re.compile(r"\s*=\s*"), " equals "),
    (re.compile(r"\s*%"), " percent"),
    (re.compile(r"\s*°"), " degrees "),
    (re.compile(r"€\s*(\d[\d.,]*(?<=\d))"), r"\1 euros"),
    (re.compile(r"(?<=[A-Za-z])\s*/\s*(?=[A-Za-z])"), " or "),
)
_PAUSES = re.compile(r"(?<=[,;:])\s+|\s+(?=[-–—(])")


class CoquiSynthesizer(Pooled):
    """One voice model; sentences, and pieces of them, wait for it."""

    def __init__(self, args: CoquiArgs) -> None:
        prepare(args)
        import torch

        torch.set_num_threads(args.threads)
        self._torch = torch
        _import_inflect()
        self._synthesizer = _load(args)
        self._model = self._synthesizer.tts_model
        self._rate_hz = int(self._synthesizer.output_sample_rate)
        self._voices = list(self._model.speaker_manager.speaker_names) if self._model.speaker_manager else []
        self._languages = list(self._model.language_manager.language_names)
        self._length_scale = float(getattr(self._model, "length_scale", 1.0))
        self._vocoder = self._opened_vocoder()
        self._split = _one_at_a_time(self._synthesizer.split_into_sentences)  # it keeps the text that it is at
        tokenizer = self._model.tokenizer
        tokenizer.text_to_ids = _one_at_a_time(tokenizer.text_to_ids)  # the reader of numbers keeps its place
        super().__init__("coqui", args, self._parallel(args.workers))
        self._warm_up()

    async def speak(self, text: str, config: TextToSpeechConfig, rank: int = 0) -> AsyncGenerator[Audio, None]:
        async with aclosing(self._pool.stream(self._say(text, config), rank)) as chunks:
            async for audio in chunks:
                yield audio

    def _parallel(self, workers: int) -> int:
        """How many sentences the model can be at."""
        kind = type(self._model).__name__
        if workers == 1 or kind in PARALLEL:
            return workers
        logger.warning("%s speaks one sentence at a time, not %d", kind, workers)
        return 1

    def _say(self, text: str, config: TextToSpeechConfig) -> Generator[Audio, None, None]:
        voice, language = self._voice(config.voice), self._language(config.language)
        for sentence in self._sentences(text, language, config.max_sentence_chars):
            speakable = self._speakable(sentence, language)
            if speakable is None:
                continue
            polish = Polish(self._rate_hz, config.volume, config.pause_s)
            for samples, last in self._synthesize(speakable, voice, language, config.speed):
                sound = polish.add(samples, last)
                if len(sound):
                    yield Audio(sound, self._rate_hz)
            self._count()

    def _sentences(self, text: str, language: str | None, longest: int) -> Iterator[str]:
        # The library's splitter reads a line break as the end of a sentence only where the line is empty.
        for line in filter(None, map(str.strip, text.splitlines())):
            for sentence in self._split(line, language):
                yield from _split(sentence.strip(), longest)

    def _speakable(self, sentence: str, language: str | None) -> str | None:
        """The sentence, made long enough for the model; ``None`` if the model has no sound for any of it."""
        if not any(letter.isalnum() for letter in sentence):
            return None
        tokenizer = self._model.tokenizer
        if "english" in getattr(tokenizer.text_cleaner, "__name__", ""):
            sentence = _with_symbols_as_words(sentence)
        names = map(tokenizer.characters.id_to_char, tokenizer.text_to_ids(sentence, language=language))
        letters = sum(len(name) == 1 and name.isalnum() for name in names)
        if letters == 0:
            return None
        sentence = sentence if sentence[-1] in ".!?," else f"{sentence}."
        return sentence if letters >= MIN_LETTERS else f"{sentence} "

    def _synthesize(
        self, sentence: str, voice: str | None, language: str | None, speed: float
    ) -> Iterator[tuple[NDArray[np.float32], bool]]:
        """The sound of one sentence, as the model makes it; each piece with whether it is the last."""
        model = copy.copy(self._model)  # the same weights, with a speed of its own
        model.length_scale = self._length_scale / speed
        with self._torch.inference_mode():
            made = model.synthesize(sentence, speaker=voice, language=language, use_griffin_lim=self._vocoder is None)
        if self._vocoder is None:
            yield self._samples(made["wav"]), True
        else:
            yield from self._vocoder.pieces(made["outputs"]["model_outputs"][0].cpu().numpy())

    def _opened_vocoder(self) -> Vocoder | None:
        vocoder = self._synthesizer.vocoder_model
        if vocoder is None:
            return None
        device = next(vocoder.parameters()).device
        if device.type == "cpu":
            _lay_out(vocoder)

        def make(spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
            with self._torch.inference_mode():
                return self._samples(self._synthesizer._run_vocoder(self._torch.from_numpy(spectrogram), device))

        return Vocoder(make, self._model.ap.num_mels, self._rate_hz)

    def _samples(self, wave: Any) -> NDArray[np.float32]:
        return np.asarray(self._torch.as_tensor(wave).cpu(), np.float32).reshape(-1)

    def _voice(self, name: str | None) -> str | None:
        if name is None:
            return self._voices[0] if self._voices else None
        return _one_of("voice", name, self._voices)

    def _language(self, code: str | None) -> str | None:
        if len(self._languages) < 2:
            return None
        return self._languages[0] if code is None else _one_of("language", code, self._languages)

    def _warm_up(self) -> None:
        """Say something that brings in what the library imports late: its splitter, its way with numbers."""
        for _ in self._say("Dr. Who, 2. $3.40!", TextToSpeechConfig()):
            pass
        self.produced = 0

    def _probe(self) -> None:
        for _ in self._synthesize("Yes.", self._voice(None), self._language(None), speed=1.0):
            pass

    def _release(self) -> None:
        del self._model, self._synthesizer, self._vocoder, self._split


def _one_at_a_time(call: Callable[..., T]) -> Callable[..., T]:
    """``call``, which must not run in two threads at once."""
    lock = Lock()

    def locked(*args: Any, **kwargs: Any) -> T:
        with lock:
            return call(*args, **kwargs)

    return locked


def _import_inflect() -> None:
    """What says numbers for Coqui. It has its own types checked by a library that compiles it anew 23 times for that,
    which takes longer than all the rest of a start: so it is brought in without.
    """
    import typeguard

    typechecked = typeguard.typechecked
    typeguard.typechecked = lambda target: target  # type: ignore[assignment]
    try:
        import inflect  # noqa: F401
    finally:
        typeguard.typechecked = typechecked


def _load(args: CoquiArgs) -> Any:
    """Coqui's own synthesizer over the model that ``args`` name."""
    cuda = args.device == "cuda"
    if args.model_name is not None:
        from TTS.api import TTS

        return TTS(args.model_name, progress_bar=False, gpu=cuda).synthesizer
    paths = {
        "tts_checkpoint": args.model,
        "tts_config_path": args.config,
        "vocoder_checkpoint": args.vocoder,
        "vocoder_config": args.vocoder_config,
    }
    files = {name: resolve(path) for name, path in paths.items() if path is not None}
    if missing := [str(path) for path in files.values() if not path.exists()]:
        raise FileNotFoundError(f"there is no model file {', '.join(missing)}")
    from TTS.utils.synthesizer import Synthesizer

    return Synthesizer(**files, use_cuda=cuda)


def _lay_out(vocoder: Any) -> None:
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

    from deployments.engines.coqui.hifigan import lay_out

    for generator in vocoder.modules():
        if isinstance(generator, HifiganGenerator):
            lay_out(generator)


def _one_of(what: str, name: str, known: list[str]) -> str:
    if name not in known:
        choice = f"it has {', '.join(known)}" if known else "it has only one, without a name"
        raise InvalidRequest(f"the model has no {what} {name!r}; {choice}", param=what)
    return name


def _with_symbols_as_words(sentence: str) -> str:
    for symbol, words in _SYMBOLS:
        sentence = symbol.sub(words, sentence)
    return sentence.strip()


def _split(sentence: str, longest: int) -> Iterator[str]:
    """``sentence`` in pieces of at most ``longest`` characters, cut where it pauses, or else between words."""
    piece = ""
    for word in _units(sentence, longest):
        if piece and len(piece) + 1 + len(word) > longest:
            yield piece
            piece = ""
        piece = f"{piece} {word}" if piece else word
    if piece:
        yield piece


def _units(sentence: str, longest: int) -> Iterator[str]:
    """What a cut may not part: phrases, the words of a phrase that is too long, the pieces of such a word."""
    for phrase in _PAUSES.split(sentence):
        for word in [phrase] if len(phrase) <= longest else phrase.split():
            yield from (word[at : at + longest] for at in range(0, len(word), longest))
