"""The engines under test: fakes, random weights made on the spot, and the bundled models where they are present."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from deployments import engine as engines
from deployments.messages import Audio, ChatMessage
from deployments.settings import (
    AppArgs,
    ChatConfig,
    FakeChatArgs,
    FakeRecognizerArgs,
    FakeSynthesizerArgs,
    LlamaArgs,
    SpeechToTextConfig,
    SphinxArgs,
    TextToSpeechConfig,
    WhisperArgs,
    resolve,
)
from tests.deployments.engines import tiny

DATA = Path(__file__).resolve().parents[1] / "data"
POCKET = AppArgs()
HEAR_ALL = SpeechToTextConfig(
    vad=False, no_speech_threshold=1, log_prob_threshold=-100, compression_ratio_threshold=100
)
RATE_HZ = 16_000
SAID = ("question", "seven_plus_five", "what_is_your_name", "what_do_you_see")
TALK = (ChatMessage("user", "Tell me a story about a fox, please."),)
TEXT = "Here is the first sentence. This is the second one. And that was the third."


@dataclass(frozen=True)
class Case:
    """An engine, how to load it and something to ask it that takes several values to answer."""

    name: str
    load: Callable[[Path], Any]
    ask: Callable[[Any], AsyncGenerator[Any, None]]
    files: tuple[str, ...] = ()


def hear(engine: Any) -> AsyncGenerator[Any, None]:
    return engine.transcribe(tiny.sound(), HEAR_ALL)


def listen(engine: Any) -> AsyncGenerator[Any, None]:
    """Different sentences: a recognizer drops what repeats itself."""
    pause = np.zeros(RATE_HZ, np.float32)
    clips = [soundfile.read(DATA / f"{name}.wav", dtype="float32")[0] for name in SAID]
    return engine.transcribe(
        Audio(np.concatenate([part for clip in clips for part in (clip, pause)]), RATE_HZ), SpeechToTextConfig()
    )


def talk(engine: Any) -> AsyncGenerator[Any, None]:
    return engine.chat(TALK, ChatConfig(max_tokens=100, seed=1, temperature=1.0))


def look(engine: Any) -> AsyncGenerator[Any, None]:
    message = ChatMessage("user", "Describe the picture, please.", (tiny.picture(),))
    return engine.chat((message,), ChatConfig(max_tokens=100, seed=1, temperature=1.0))


def speak(engine: Any) -> AsyncGenerator[Any, None]:
    return engine.speak(TEXT, TextToSpeechConfig())


def pocket(name: str, load: Callable[[Any], Any], args: Any, ask: Callable[[Any], Any], *files: str | None) -> Case:
    return Case(f"pocket-{name}", lambda _: load(args), ask, tuple(file for file in files if file))


CASES = [
    Case("fake-recognizer", lambda _: engines.recognizer(FakeRecognizerArgs(step_s=0.002)), hear),
    Case("fake-chat", lambda _: engines.chat_model(FakeChatArgs(step_s=0.002)), talk),
    Case("fake-synthesizer", lambda _: engines.synthesizer(FakeSynthesizerArgs(step_s=0.002)), speak),
    Case("whisper", lambda d: engines.recognizer(WhisperArgs(model=str(tiny.recognizer(d / "asr")))), hear),
    Case("sphinx", lambda _: engines.recognizer(SphinxArgs(language_model="pocket/asr/ngrams.arpa")), listen),
    Case("llama", lambda d: engines.chat_model(LlamaArgs(model=str(tiny.chat_model(d / "llm.gguf")))), talk),
    Case("llava", lambda d: engines.chat_model(tiny.llava(d)), look),
    Case("coqui", lambda d: engines.synthesizer(tiny.voice(d / "tts")), speak),
    pocket("asr", engines.recognizer, POCKET.speech_to_text, listen, f"{POCKET.speech_to_text.model}/model.bin"),
    pocket("llm", engines.chat_model, POCKET.text_llm, talk, POCKET.text_llm.model),
    pocket("vision", engines.chat_model, POCKET.vision_llm, look, POCKET.vision_llm.model, POCKET.vision_llm.mmproj),
    pocket("tts", engines.synthesizer, POCKET.text_to_speech, speak, POCKET.text_to_speech.model),
]
PRESENT = [case for case in CASES if all(resolve(file).is_file() for file in case.files)]
