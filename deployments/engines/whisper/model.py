"""A Whisper model of faster-whisper, one operation at a time: encode a window, decode it, find segments and words."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.whisper.attempt import Attempt
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.errors import InvalidRequest
from deployments.settings import model_path
from models.cache import is_hub_name, not_downloaded

FILES = ("model.bin", "config.json", "tokenizer.json")  # if one is missing, the library downloads it
FRAMES_PER_S = 100
PROBE_FRAMES = 100  # a second, where a window has up to thirty

# Silence in log-mel features: eight decades of power below the loudest, in steps of four decades (Radford et al. 2022).
SILENCE_BELOW_LOUDEST = 2.0

# The longest text of a short window, so that a decoding loop in it is short as well. Scripts of which the model spells
# each character with several tokens need about thirty tokens per second.
TOKENS = 32
TOKENS_PER_S = 30

# The library's defaults: signs that belong to the following or the preceding word.
BEFORE_WORDS = "\"'“¿([{-"
AFTER_WORDS = "\"'.。,，!！?？:：”)]}、"

SAMPLES_PER_TEMPERATURE = 5  # of which the likeliest counts, as with OpenAI's code


class Model:
    """The weights, shared by all threads. Windows and features are counted in frames of 10 ms."""

    def __init__(self, args: WhisperArgs) -> None:
        from faster_whisper import WhisperModel

        device = _device(args.device)
        self._library = WhisperModel(
            str(_folder(args.model, args.revision)),
            device=device,
            compute_type=_compute_type(args.compute_type, device),
            cpu_threads=args.threads,
            num_workers=args.workers,
        )
        self._tokenizer = cache(self._new_tokenizer)
        self._min_frames = round(args.min_window_s * FRAMES_PER_S)
        self._pad_with = args.pad_with
        self._pad_frames = round(args.window_pad_s * FRAMES_PER_S)
        self.longest: int = self._library.feature_extractor.nb_max_frames

    def language(self, code: str | None) -> str | None:
        """Return the language of a transcription, ``None`` if it is to be detected. Raise ``InvalidRequest``."""
        valid = self._library.supported_languages
        if code is not None and code not in valid:
            raise InvalidRequest(f"the model has no language {code!r}; it has {', '.join(valid)}", param="language")
        return code if self._library.model.is_multilingual else "en"

    def features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the log-mel features of audio at 16 kHz, of shape (mels, frames)."""
        features: NDArray[np.float32] = self._library.feature_extractor(samples)[:, :-1]
        return features

    def window(self, frames: int) -> int:
        """Return the length of the window for so many frames of audio."""
        return min(self.longest, max(self._min_frames, frames + self._pad_frames))

    def encode(self, features: NDArray[np.float32], window: int) -> Any:
        """Return the encoder's output for a window that begins with these features."""
        silence = features.max(initial=0) - SILENCE_BELOW_LOUDEST if self._pad_with == "silence" else 0
        padding = ((0, 0), (0, window - features.shape[1]))
        return self._library.encode(np.pad(features, padding, constant_values=silence))

    def detect_language(self, encoded: Any) -> tuple[str, float]:
        """Return the likeliest language of an encoded window, with its probability."""
        token, probability = self._library.model.detect_language(encoded)[0][0]
        return token.strip("<|>"), probability

    def decode(
        self,
        encoded: Any,
        window: int,
        frames: int,
        language: str,
        prompt: str | None,
        temperature: float,
        config: WhisperConfig,
    ) -> Attempt:
        """Return the transcript of an encoded window, of which ``frames`` are audio."""
        from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens

        tokenizer = self._tokenizer(language)
        start = self._library.get_prompt(tokenizer, tokenizer.encode(f" {prompt.strip()}") if prompt else [])
        longest = min(self._library.max_length // 2, TOKENS + TOKENS_PER_S * frames // FRAMES_PER_S)
        search = {"beam_size": config.beam_size}
        if temperature > 0:
            search = {"beam_size": 1, "num_hypotheses": SAMPLES_PER_TEMPERATURE, "sampling_topk": 0}
        result = self._library.model.generate(
            encoded,
            [start],
            sampling_temperature=temperature or 1.0,
            repetition_penalty=config.repetition_penalty,
            max_length=max(2 * longest, len(start) + longest),  # the library takes half of it, less a long prompt
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            max_initial_timestamp_index=FRAMES_PER_S // 2,  # in steps of 20 ms
            **search,
        )[0]
        tokens = result.sequences_ids[0]
        text = tokenizer.decode(tokens).strip()
        return Attempt(
            audio_s=frames / FRAMES_PER_S,
            text=text,
            tokens=tuple(tokens),
            log_prob=result.scores[0] * len(tokens) / (len(tokens) + 1),  # the end counts as a token
            compression_ratio=get_compression_ratio(text),
            no_speech_prob=result.no_speech_prob,
            temperature=temperature,
            finished=len(tokens) < longest,
            whole=window == self.longest,
            language=language,
        )

    def segments(
        self, attempt: Attempt, encoded: Any, at: int, end: int, *, words: bool, last_s: float
    ) -> tuple[list[Any], int]:
        """Return the library's segments of the window from ``at`` to ``end``, and where the next one begins.

        ``last_s`` is the end of the last word before; it is used with ``words`` only.
        """
        from faster_whisper.transcribe import Segment as LibrarySegment
        from faster_whisper.transcribe import Word as LibraryWord
        from faster_whisper.transcribe import get_end

        tokenizer = self._tokenizer(attempt.language)
        frames, start_s, end_s = end - at, at / FRAMES_PER_S, end / FRAMES_PER_S
        parts, following, whole = self._library._split_segments_by_timestamps(
            tokenizer=tokenizer,
            tokens=list(attempt.tokens),
            time_offset=start_s,
            segment_size=frames,
            segment_duration=frames / FRAMES_PER_S,
            seek=at,
        )
        if words:
            self._library.add_word_timestamps(
                [parts], tokenizer, encoded, frames, BEFORE_WORDS, AFTER_WORDS, last_speech_timestamp=last_s
            )
            last_word_s = get_end(parts)
            if not whole and last_word_s is not None and last_word_s > start_s:
                following = round(last_word_s * FRAMES_PER_S)
        found = [
            LibrarySegment(
                id=0,
                seek=at,
                start=part["start"],
                end=min(part["end"], end_s),  # the model may place it in the silence that follows
                text=tokenizer.decode(part["tokens"]),
                tokens=part["tokens"],
                avg_logprob=attempt.log_prob,
                compression_ratio=attempt.compression_ratio,
                no_speech_prob=attempt.no_speech_prob,
                words=[LibraryWord(**word) for word in part["words"]] if words else None,
                temperature=attempt.temperature,
            )
            for part in parts
        ]
        return [segment for segment in found if segment.start < segment.end], following

    def probe(self) -> None:
        """Run a small inference. Raise if it fails."""
        mels = self._library.feature_extractor.mel_filters.shape[0]
        encoded = self._library.encode(np.zeros((mels, PROBE_FRAMES), np.float32))
        start = self._library.hf_tokenizer.token_to_id("<|startoftranscript|>")
        self._library.model.generate(encoded, [[start]], max_length=2)

    def release(self) -> None:
        """Free the weights."""
        self._library.model.unload_model()

    def _new_tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        multilingual = self._library.model.is_multilingual
        return Tokenizer(self._library.hf_tokenizer, multilingual, task="transcribe", language=language)


def _folder(model: str, revision: str | None) -> Path:
    """Return the folder of a model: local, of the catalogue, or of the hub's cache.

    Raise ``FileNotFoundError`` for a local folder that is missing or incomplete, and ``models.errors.NotPulled`` for a
    name that has not been pulled.
    """
    folder = model_path(model)
    if is_hub_name(model):
        from faster_whisper.utils import download_model

        try:
            folder = Path(download_model(model, revision=revision, local_files_only=True))
        except FileNotFoundError:
            raise not_downloaded(f"{model} of the model hub") from None
    if not folder.is_dir():
        raise FileNotFoundError(f"no model folder {folder}")
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise FileNotFoundError(f"the model in {folder} has no {', '.join(missing)}")
    return folder


def _device(device: str) -> str:
    if device != "auto":
        return device
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def _compute_type(kind: str, device: str) -> str:
    if kind != "auto":
        return kind
    return "float16" if device == "cuda" else "int8"
