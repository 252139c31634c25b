"""faster-whisper: Whisper models in CTranslate2's format, one window of at most 30 s at a time.

Concurrent windows run in one thread each over the same weights: the encoder, which is nearly all the work, gains
nothing from a batch on a CPU.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.pool import PooledEngine
from deployments.engines.threads import prepare
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.errors import InvalidRequest
from deployments.messages import Audio, Segment, Word
from deployments.settings import SpeechToTextConfig, model_path

RATE_HZ = 16_000
FILES = ("model.bin", "config.json", "tokenizer.json")  # if one is missing, the library downloads it

# Silence after the speech in a window shorter than 30 s; without it the model misses the end of a sentence.
SILENCE_S = 1.0

PROBE_FRAMES = 100  # a second, where a window has up to thirty


class WhisperRecognizer(PooledEngine):
    """One model. Windows are steps of a pool."""

    def __init__(self, args: WhisperArgs) -> None:
        super().__init__("whisper", args, args.workers)
        prepare(args)
        device = _device(args.device)
        self._model = _model_class(args.min_window_s)(
            _folder_or_name(args.model),
            device=device,
            compute_type=_compute_type(args.compute_type, device),
            cpu_threads=args.threads,
            num_workers=args.workers,
        )
        self._probe()

    async def transcribe(
        self, audio: Audio, config: SpeechToTextConfig, rank: int = 0
    ) -> AsyncGenerator[Segment, None]:
        assert isinstance(config, WhisperConfig)
        if audio.rate_hz != RATE_HZ:
            raise InvalidRequest(f"the audio has {audio.rate_hz:,} samples per second, not {RATE_HZ:,}", param="audio")
        async with aclosing(self._pool.stream(self._windows(audio, config), rank)) as windows:
            async for segments in windows:
                for segment in segments:
                    yield segment

    def _windows(self, audio: Audio, config: WhisperConfig) -> Generator[list[Segment], None, None]:
        """Yield the segments of each window; an empty list for a window without speech."""
        from faster_whisper.transcribe import restore_speech_timestamps

        language = self._language(config.language)
        stretches = _speech(audio.samples, config)
        if not stretches:
            return
        windows, _ = self._model.transcribe(
            _joined(audio.samples, stretches),
            language=language,
            initial_prompt=config.prompt,
            beam_size=config.beam_size,
            # One temperature: the library's retries at higher ones take seconds and produce words that were not spoken.
            temperature=config.temperature,
            word_timestamps=config.words,
            condition_on_previous_text=False,
            repetition_penalty=config.repetition_penalty,
            no_speech_threshold=config.no_speech_threshold,
            log_prob_threshold=config.log_prob_threshold,
            compression_ratio_threshold=config.compression_ratio_threshold,
        )
        for window in windows:
            self._count(len(window))
            found = restore_speech_timestamps(window, stretches, RATE_HZ) if config.vad else window
            yield list(_kept(found, config.compression_ratio_threshold))

    def _language(self, code: str | None) -> str | None:
        valid = self._model.supported_languages
        if code is not None and code not in valid:
            raise InvalidRequest(f"the model has no language {code!r}; it has {', '.join(valid)}", param="language")
        return code

    def _probe(self) -> None:
        mels = self._model.feature_extractor.mel_filters.shape[0]
        encoded = self._model.encode(np.zeros((mels, PROBE_FRAMES), np.float32))
        start = self._model.hf_tokenizer.token_to_id("<|startoftranscript|>")
        self._model.model.generate(encoded, [[start]], max_length=2)

    def _release(self) -> None:
        self._model.model.unload_model()


def _model_class(min_window_s: float) -> Any:
    """Return the library's model class with two changes.

    It yields segments by window, so that other requests run in between, and a window may be as short as
    ``min_window_s``: the encoder, nearly all the work, takes as long for silence as for speech.
    """
    from faster_whisper import WhisperModel
    from faster_whisper.audio import pad_or_trim
    from faster_whisper.transcribe import Segment as LibrarySegment
    from faster_whisper.transcribe import Word as LibraryWord
    from faster_whisper.transcribe import get_end

    class Model(WhisperModel):  # type: ignore[misc]
        def generate_segments(
            self, features: NDArray[np.float32], tokenizer: Any, options: Any, log_progress: bool, encoder_output: Any
        ) -> Iterator[list[LibrarySegment]]:
            """Yield the segments of each window of ``features``, float32 of shape (mels, frames).

            This is the library's loop, reduced to the options that Parley uses; a test compares the two.
            """
            frame_s = self.feature_extractor.time_per_frame
            longest = self.feature_extractor.nb_max_frames
            frames = features.shape[-1] - 1
            prompt = tokenizer.encode(f" {options.initial_prompt.strip()}") if options.initial_prompt else []
            at = 0
            speech_end_s = 0.0
            while at < frames:
                size = min(longest, frames - at)
                window = max(min_window_s, size * frame_s + SILENCE_S) / frame_s
                encoded = self.encode(pad_or_trim(features[:, at : at + size], min(longest, round(window))))
                result, log_prob, temperature, ratio = self.generate_with_fallback(
                    encoded, self.get_prompt(tokenizer, prompt), tokenizer, options
                )
                if result.no_speech_prob > options.no_speech_threshold and log_prob <= options.log_prob_threshold:
                    at += size
                    yield []
                    continue
                prompt = []  # only for the first window with speech
                start, start_s = at, at * frame_s
                parts, at, whole = self._split_segments_by_timestamps(
                    tokenizer=tokenizer,
                    tokens=result.sequences_ids[0],
                    time_offset=start_s,
                    segment_size=size,
                    segment_duration=size * frame_s,
                    seek=at,
                )
                if options.word_timestamps:
                    self.add_word_timestamps(
                        [parts],
                        tokenizer,
                        encoded,
                        size,
                        options.prepend_punctuations,
                        options.append_punctuations,
                        last_speech_timestamp=speech_end_s,
                    )
                    end_s = get_end(parts)
                    if end_s is not None:
                        speech_end_s = end_s
                        if not whole and end_s > start_s:
                            at = round(end_s * self.frames_per_second)
                yield [
                    LibrarySegment(
                        id=0,
                        seek=start,
                        start=part["start"],
                        end=part["end"],
                        text=tokenizer.decode(part["tokens"]),
                        tokens=part["tokens"],
                        avg_logprob=log_prob,
                        compression_ratio=ratio,
                        no_speech_prob=result.no_speech_prob,
                        words=[LibraryWord(**word) for word in part["words"]] if options.word_timestamps else None,
                        temperature=temperature,
                    )
                    for part in parts
                    if part["start"] != part["end"]
                ]

    return Model


def _speech(samples: NDArray[np.float32], config: WhisperConfig) -> list[dict[str, int]]:
    """Return the start and end of each stretch of speech, in samples."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    if len(samples) == 0:
        return []
    if not config.vad:
        return [{"start": 0, "end": len(samples)}]
    options = VadOptions(
        threshold=config.vad_threshold,
        min_speech_duration_ms=config.vad_min_speech_ms,
        min_silence_duration_ms=config.vad_min_silence_ms,
        speech_pad_ms=config.vad_pad_ms,
    )
    found: list[dict[str, int]] = get_speech_timestamps(samples, options)
    return found


def _joined(samples: NDArray[np.float32], stretches: list[dict[str, int]]) -> NDArray[np.float32]:
    """Return the stretches as one array; a single stretch is not copied."""
    views = [samples[stretch["start"] : stretch["end"]] for stretch in stretches]
    return views[0] if len(views) == 1 else np.concatenate(views)


def _kept(found: list[Any], max_compression_ratio: float) -> Iterator[Segment]:
    """Yield the segments that have text and are not repetitive.

    With a single temperature the library does not drop repetitive segments itself.
    """
    for segment in found:
        text = segment.text.strip()
        if text and segment.compression_ratio <= max_compression_ratio:
            words = tuple(Word(word.word.strip(), word.start, word.end) for word in segment.words or ())
            yield Segment(
                text,
                segment.start,
                segment.end,
                words,
                tuple(segment.tokens),
                segment.avg_logprob,
                segment.compression_ratio,
                segment.no_speech_prob,
                segment.temperature,
            )


def _folder_or_name(model: str) -> str:
    """Return the path of a folder with all files, local or of the catalogue; else a name on the model hub.

    A name on the hub has at most one slash.

    Raise ``FileNotFoundError`` for a local folder that is missing or incomplete.
    """
    folder = model_path(model)
    if folder.is_dir():
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise FileNotFoundError(f"the model in {folder} has no {', '.join(missing)}")
        return str(folder)
    if Path(model).is_absolute() or model.count("/") > 1:
        raise FileNotFoundError(f"no model folder {folder}")
    return model


def _device(device: str) -> str:
    if device != "auto":
        return device
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def _compute_type(kind: str, device: str) -> str:
    if kind != "auto":
        return kind
    return "float16" if device == "cuda" else "int8"
