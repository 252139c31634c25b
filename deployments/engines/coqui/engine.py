"""Coqui TTS: the voices that the library loads. A model with a vocoder yields a sentence in chunks.

Concurrent sentences run in one thread each over the same weights: on a CPU, a batch of the vocoder, which is nearly all
the work, takes as long as its parts one after another.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import AsyncGenerator, Generator, Iterator, Set
from contextlib import aclosing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.coqui.settings import CoquiArgs, refuse_unsafe
from deployments.engines.coqui.vocoder import Vocoder
from deployments.engines.pool import PooledEngine
from deployments.engines.threads import prepare
from deployments.errors import InvalidRequest
from deployments.messages import Audio
from deployments.settings import TextToSpeechConfig, model_path
from models.cache import not_downloaded

logger = logging.getLogger("ray.serve")

CONCURRENT = ("Vits", "ForwardTTS")  # models without state between calls, except their speed
MIN_CHARACTERS = 3  # some models fail on shorter input


class CoquiSynthesizer(PooledEngine):
    """One voice model. Sentences, and chunks of them, are steps of a pool."""

    def __init__(self, args: CoquiArgs) -> None:
        prepare(args)
        import torch

        torch.set_num_threads(args.threads)
        self._torch = torch
        self._synthesizer = _load(args)
        self._model = self._synthesizer.tts_model
        self._rate_hz = int(self._synthesizer.output_sample_rate)
        self._voices = list(self._model.speaker_manager.speaker_names) if self._model.speaker_manager else []
        self._languages = list(self._model.language_manager.language_names)
        self._length_scale = float(getattr(self._model, "length_scale", 1.0))
        self._vocoder = self._make_vocoder()
        super().__init__("coqui", args, self._concurrency(args.workers))
        self._warm_up()

    @property
    def rate_hz(self) -> int:
        return self._rate_hz

    @property
    def voices(self) -> tuple[str, ...]:
        return tuple(self._voices)

    @property
    def characters(self) -> Set[str] | None:
        tokenizer = self._model.tokenizer
        if tokenizer.use_phonemes:
            return None
        return frozenset(f"{tokenizer.characters.characters}{tokenizer.characters.punctuations}".lower())

    def language(self, voice: str | None) -> str | None:
        if "english" in getattr(self._model.tokenizer.text_cleaner, "__name__", ""):
            return "en"
        return self._languages[0] if self._languages else None

    async def speak(self, sentence: str, config: TextToSpeechConfig, rank: int = 0) -> AsyncGenerator[Audio, None]:
        async with aclosing(self._pool.stream(self._chunks(sentence, config), rank)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _concurrency(self, workers: int) -> int:
        """Return how many sentences the model can process at a time, at most ``workers``."""
        kind = type(self._model).__name__
        if workers == 1 or kind in CONCURRENT:
            return workers
        logger.warning("%s synthesizes one sentence at a time, not %d: it is not thread-safe", kind, workers)
        return 1

    def _chunks(self, sentence: str, config: TextToSpeechConfig) -> Generator[Audio, None, None]:
        voice, language = self._voice(config.voice), self._language(config.language)
        padded = self._padded(sentence, language)
        if padded is None:
            return
        for samples in self._synthesize(padded, voice, language, config.speed):
            yield Audio(samples, self._rate_hz)
        self._count()

    def _padded(self, sentence: str, language: str | None) -> str | None:
        """Return the sentence in the form that the model needs; ``None`` if the model can pronounce none of it."""
        tokenizer = self._model.tokenizer
        names = map(tokenizer.characters.id_to_char, tokenizer.text_to_ids(sentence, language=language))
        pronounced = sum(len(name) == 1 and name.isalnum() for name in names)
        if pronounced == 0:
            return None
        sentence = sentence if sentence[-1] in ".!?," else f"{sentence}."
        return sentence if pronounced >= MIN_CHARACTERS else f"{sentence} "

    def _synthesize(
        self, sentence: str, voice: str | None, language: str | None, speed: float
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the samples of one sentence, float32 of shape (n,), in chunks."""
        model = copy.copy(self._model)  # the same weights, but another length_scale
        model.length_scale = self._length_scale / speed
        with self._torch.inference_mode():
            made = model.synthesize(sentence, speaker=voice, language=language, use_griffin_lim=self._vocoder is None)
        if self._vocoder is None:
            yield self._samples(made["wav"])
        else:
            yield from self._vocoder.chunks(made["outputs"]["model_outputs"][0].cpu().numpy())

    def _make_vocoder(self) -> Vocoder | None:
        vocoder = self._synthesizer.vocoder_model
        if vocoder is None:
            return None
        device = next(vocoder.parameters()).device
        if device.type == "cpu":
            _use_channels_last(vocoder)

        def run(spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
            with self._torch.inference_mode():
                return self._samples(self._synthesizer._run_vocoder(self._torch.from_numpy(spectrogram), device))

        return Vocoder(run, self._model.ap.num_mels, self._rate_hz)

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
        for _ in self._chunks("This is a sentence to warm up.", TextToSpeechConfig()):
            pass
        self.produced = 0

    def _probe(self) -> None:
        for _ in self._synthesize("Yes.", self._voice(None), self._language(None), speed=1.0):
            pass

    def _release(self) -> None:
        del self._model, self._synthesizer, self._vocoder


def _load(args: CoquiArgs) -> Any:
    """Load the library's own ``Synthesizer``."""
    cuda = args.device == "cuda"
    if args.model_name is not None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's library is imported
        _require_downloaded(args.model_name)
        from TTS.api import TTS

        try:
            return TTS(args.model_name, progress_bar=False, gpu=cuda).synthesizer
        except FileNotFoundError as error:  # in the hub's cache
            raise not_downloaded(f"{args.model_name} of Coqui TTS") from error
    settings = {
        "tts_checkpoint": "model",
        "tts_config_path": "config",
        "vocoder_checkpoint": "vocoder",
        "vocoder_config": "vocoder_config",
    }
    files = {
        name: model_path(value, setting)
        for name, setting in settings.items()
        if (value := getattr(args, setting)) is not None
    }
    if missing := [str(path) for path in files.values() if not path.exists()]:
        raise FileNotFoundError(f"missing model file: {', '.join(missing)}")
    from TTS.config import load_config
    from TTS.utils.synthesizer import Synthesizer

    refuse_unsafe(load_config(files["tts_config_path"]).model)

    return Synthesizer(**files, use_cuda=cuda)


def _require_downloaded(name: str) -> None:
    """Raise ``models.errors.NotPulled`` if the library would download a model of its catalogue, or its vocoder.

    Models of the hub are not looked for here: they are in the hub's cache, and the library cannot reach the hub.
    """
    from TTS.utils.manage import ModelManager

    manager = ModelManager()

    def item(of: str) -> dict[str, Any]:
        kind, language, dataset, model = of.split("/")
        found: dict[str, Any] = manager.models_dict.get(kind, {}).get(language, {}).get(dataset, {}).get(model, {})
        return found

    for each in filter(None, (name, item(name).get("default_vocoder"))):
        if "repo_id" not in item(each) and not (manager.output_prefix / each.replace("/", "--")).is_dir():
            raise not_downloaded(f"{each} of Coqui TTS")


def _use_channels_last(vocoder: Any) -> None:
    """Change the memory layout of all HiFi-GAN generators of a vocoder."""
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

    from deployments.engines.coqui.hifigan import use_channels_last

    for generator in vocoder.modules():
        if isinstance(generator, HifiganGenerator):
            use_channels_last(generator)


def _one_of(what: str, name: str, valid: list[str]) -> str:
    if name not in valid:
        choice = f"it has {', '.join(valid)}" if valid else "it has only one, without a name"
        raise InvalidRequest(f"the model has no {what} {name!r}; {choice}", param=what)
    return name
