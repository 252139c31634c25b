"""faster-whisper: Whisper models in CTranslate2's format. One sound at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from pathlib import Path

from deployments.errors import InvalidRequest
from deployments.messages import Audio, Load, Segment, Word
from deployments.settings import SpeechToTextConfig, WhisperArgs, resolve
from deployments.threads import Worker, prepare

RATE_HZ = 16_000
FILES = ("model.bin", "config.json", "tokenizer.json")  # without any of these the library would ask the hub

# A check looks at a second of silence, not at the thirty of a real window.
CHECK_FRAMES = 100


class WhisperRecognizer:
    """One model; sounds wait for it in order."""

    def __init__(self, args: WhisperArgs) -> None:
        prepare(args)
        from faster_whisper import WhisperModel

        device = _device(args.device)
        self._model = WhisperModel(
            _folder_or_name(args.model),
            device=device,
            compute_type=_compute_type(args.compute_type, device),
            cpu_threads=args.threads,
        )
        self._worker = Worker("whisper", args.stall_timeout_s)
        self.produced = 0
        self._probe()

    async def transcribe(self, audio: Audio, config: SpeechToTextConfig) -> AsyncGenerator[Segment, None]:
        stream: AsyncGenerator[list[Segment], None] = self._worker.stream(lambda: self._hear(audio, config))
        async with aclosing(stream) as batches:
            async for batch in batches:
                for segment in batch:
                    yield segment

    def load(self) -> Load:
        return self._worker.load()

    async def check(self) -> None:
        await self._worker.check(self._probe)

    async def close(self) -> None:
        self._worker.close(self._model.model.unload_model)

    def _hear(self, audio: Audio, config: SpeechToTextConfig) -> Generator[Segment, None, None]:
        """Runs in the worker's thread."""
        if audio.rate_hz != RATE_HZ:
            raise InvalidRequest(f"the sound has {audio.rate_hz:,} samples per second, not {RATE_HZ:,}", param="audio")
        if len(audio.samples) == 0:
            return
        segments, _ = self._model.transcribe(
            audio.samples,
            language=self._language(config.language),
            initial_prompt=config.prompt,
            beam_size=config.beam_size,
            # One attempt: the library's further ones, at higher temperatures, take seconds and invent words.
            temperature=config.temperature,
            word_timestamps=config.words,
            condition_on_previous_text=False,
            repetition_penalty=config.repetition_penalty,
            no_speech_threshold=config.no_speech_threshold,
            log_prob_threshold=config.log_prob_threshold,
            compression_ratio_threshold=config.compression_ratio_threshold,
            vad_filter=config.vad,
            vad_parameters={
                "threshold": config.vad_threshold,
                "min_speech_duration_ms": config.vad_min_speech_ms,
                "min_silence_duration_ms": config.vad_min_silence_ms,
                "speech_pad_ms": config.vad_pad_ms,
            },
        )
        for segment in segments:
            self.produced += 1
            text = segment.text.strip()
            # With one attempt the library lets a text through that repeats itself.
            if text and segment.compression_ratio <= config.compression_ratio_threshold:
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

    def _language(self, code: str | None) -> str | None:
        known = self._model.supported_languages
        if code is not None and code not in known:
            raise InvalidRequest(
                f"the model does not know the language {code!r}; it knows {', '.join(known)}", param="language"
            )
        return code

    def _probe(self) -> None:
        import numpy as np

        mels = self._model.feature_extractor.mel_filters.shape[0]
        encoded = self._model.encode(np.zeros((mels, CHECK_FRAMES), np.float32))
        start = self._model.hf_tokenizer.token_to_id("<|startoftranscript|>")
        self._model.model.generate(encoded, [[start]], max_length=2)


def _folder_or_name(model: str) -> str:
    """A local folder with all its files; else a name for the hub, which has at most one slash."""
    folder = resolve(model)
    if folder.is_dir():
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise FileNotFoundError(f"the model in {folder} lacks {', '.join(missing)}")
        return str(folder)
    if Path(model).is_absolute() or model.count("/") > 1:
        raise FileNotFoundError(f"there is no model folder {folder}")
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
