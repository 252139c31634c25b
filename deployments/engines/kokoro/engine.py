"""Kokoro-82M: kokoro-onnx turns text into phonemes with espeak-ng, and phonemes into audio with ONNX Runtime.

Concurrent sentences run in one thread each over the same weights.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncGenerator, Generator, Set
from contextlib import aclosing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.kokoro.settings import KokoroArgs
from deployments.engines.pool import PooledEngine
from deployments.engines.threads import prepare
from deployments.errors import InvalidRequest
from deployments.messages import Audio
from deployments.settings import TextToSpeechConfig, model_path

RATE_HZ = 24_000
STYLE_SHAPE = (510, 1, 256)  # one vector for each number of phonemes
SPEEDS = (0.5, 2.0)  # outside of these bounds the library raises
DEFAULT_LANGUAGE = "en"
LANGUAGES = {
    "en": "en-us",
    "en-us": "en-us",
    "en-gb": "en-gb",
    "es": "es",
    "fr": "fr-fr",
    "hi": "hi",
    "it": "it",
    "ja": "ja",
    "pt": "pt-br",
    "pt-br": "pt-br",
    "zh": "cmn",
}
"""The languages of Kokoro v1.0, by ISO code, and their names in espeak-ng."""

LANGUAGES_OF_VOICES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt-br", "z": "zh",
}  # fmt: skip
"""The languages of the voices, by the first letter of their names."""

# espeak-ng marks where it reads a word in another language, such as "(en)" and then "(fr)". They are not phonemes.
_LANGUAGE_MARK = re.compile(rf"\((?:{'|'.join(sorted({name[:3].rstrip('-') for name in LANGUAGES.values()}))})\)")


class KokoroSynthesizer(PooledEngine):
    """One model and its voices. A sentence is one step of a pool."""

    rate_hz = RATE_HZ
    characters: Set[str] | None = None  # espeak-ng reads all Latin letters

    def __init__(self, args: KokoroArgs) -> None:
        prepare(args)
        self._kokoro = _load(args)
        self._styles: dict[str, NDArray[np.float32]] = dict(self._kokoro.voices)
        super().__init__("kokoro", args, args.workers)
        self._probe()

    @property
    def voices(self) -> tuple[str, ...]:
        return tuple(sorted(self._styles))

    def language(self, voice: str | None) -> str | None:
        return LANGUAGES_OF_VOICES.get((voice or self.voices[0])[0], DEFAULT_LANGUAGE)

    async def speak(self, sentence: str, config: TextToSpeechConfig, rank: int = 0) -> AsyncGenerator[Audio, None]:
        async with aclosing(self._pool.stream(self._chunks(sentence, config), rank)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _chunks(self, sentence: str, config: TextToSpeechConfig) -> Generator[Audio, None, None]:
        style = self._style(config.voice)
        language = _language(config.language or self.language(config.voice))
        if not SPEEDS[0] <= config.speed <= SPEEDS[1]:
            raise InvalidRequest(f"the speed must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}", param="speed")
        phonemes = _LANGUAGE_MARK.sub("", self._kokoro.tokenizer.phonemize(sentence, language))
        if not any(phoneme.isalpha() for phoneme in phonemes):
            return
        samples, _ = self._kokoro.create(phonemes, style, config.speed, is_phonemes=True)
        self._count()
        yield Audio(np.asarray(samples, np.float32), RATE_HZ)

    def _style(self, name: str | None) -> NDArray[np.float32]:
        """Return the vectors of a voice, float32 of shape (510, 1, 256): one for each number of phonemes."""
        if name is not None and name not in self._styles:
            raise InvalidRequest(f"the model has no voice {name!r}; it has {', '.join(self.voices)}", param="voice")
        return self._styles[name or self.voices[0]]

    def _probe(self) -> None:
        self._kokoro.create("Yes.", self._style(None))

    def _release(self) -> None:
        del self._kokoro, self._styles


def _language(code: str | None) -> str:
    """Return espeak-ng's name of a language."""
    if code not in LANGUAGES:
        raise InvalidRequest(f"the model has no language {code!r}; it has {', '.join(LANGUAGES)}", param="language")
    return LANGUAGES[code]


def _load(args: KokoroArgs) -> Any:
    """Return the library's ``Kokoro``. Raise ``ImportError`` if it is not installed."""
    try:
        from kokoro_onnx import Kokoro
    except ModuleNotFoundError as error:
        if error.name != "kokoro_onnx":
            raise
        raise ImportError(
            "the engine kokoro needs the package kokoro-onnx; install it with: "
            ".venv/bin/uv pip install --python .venv/bin/python -r pyproject.toml --extra kokoro"
        ) from None
    from onnxruntime import InferenceSession, SessionOptions

    model, voices = model_path(args.model), model_path(args.voices, "voices")
    if missing := [str(path) for path in (model, voices) if not path.exists()]:
        raise FileNotFoundError(f"missing model file: {', '.join(missing)}")
    options = SessionOptions()
    options.intra_op_num_threads = args.threads
    spin = "0" if args.omp_wait_policy == "passive" else "1"
    options.add_session_config_entry("session.intra_op.allow_spinning", spin)
    session = InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    if not voices.is_dir():
        return Kokoro.from_session(session, str(voices))
    styles = {path.stem: np.fromfile(path, np.float32).reshape(STYLE_SHAPE) for path in sorted(voices.glob("*.bin"))}
    with tempfile.NamedTemporaryFile(suffix=".npz") as joined:  # the library reads the voices from one file
        np.savez(joined, **styles)  # type: ignore[arg-type]
        joined.flush()
        kokoro = Kokoro.from_session(session, joined.name)
        kokoro.voices = styles
    return kokoro
