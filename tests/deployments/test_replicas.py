"""The deployments' classes without Ray, over fake engines."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from deployments.asr import SpeechToText
from deployments.engines.fake.settings import FakeChatArgs, FakeRecognizerArgs, FakeSynthesizerArgs
from deployments.errors import ContextOverflow, EngineUnavailable, InvalidRequest, TooLarge, UnsupportedMedia
from deployments.llm import ChatLLM
from deployments.messages import (
    Audio,
    ChatEnd,
    ChatMessage,
    ChatOptions,
    Heartbeat,
    Image,
    JsonSchema,
    Omitted,
    QueueWait,
    SpeakOptions,
    TextDelta,
    TranscribeOptions,
)
from deployments.settings import ChatConfig, TextToSpeechConfig
from deployments.tts import TextToSpeech

Run = Callable[[Any], Any]
Records = dict[str, list[tuple[float, dict[str, str]]]]

HELLO = (ChatMessage("user", "one two three four"),)
NOISE = Audio(np.ones(16_000, np.float32), 16_000)
PICTURE = Image(np.zeros((20, 30, 3), np.uint8))


def recognizer(**args: Any) -> Any:
    return SpeechToText.func_or_class(FakeRecognizerArgs(**args))


def chat_model(**args: Any) -> Any:
    return ChatLLM.func_or_class(FakeChatArgs(**args))


def synthesizer(**args: Any) -> Any:
    return TextToSpeech.func_or_class(FakeSynthesizerArgs(**args))


async def answer(replica: Any, messages: Any = HELLO, **options: Any) -> tuple[str, ChatEnd]:
    values = [value async for value in replica.chat(messages, ChatOptions(**options))]
    assert all(isinstance(value, TextDelta) for value in values[:-1])
    return "".join(value.text for value in values[:-1]), values[-1]


async def spoken(replica: Any, text: str, **options: Any) -> list[Audio]:
    return [chunk async for chunk in replica.speak(text, SpeakOptions(**options))]


@pytest.fixture
def serve_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What the replicas log; Ray's logger does not propagate."""
    monkeypatch.setattr(logging.getLogger("ray.serve"), "propagate", True)
    return caplog


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_chat_yields_deltas_and_then_the_end(run: Run) -> None:
    assert run(answer(chat_model())) == ("one two three four", ChatEnd("stop", 4, 4))


def test_the_first_value_of_a_call_with_its_time_is_the_queue_wait(run: Run) -> None:
    async def first_of(values: Any) -> Any:
        async with aclosing(values):
            return await anext(values)

    called_at = time.time() - 3
    for values in (
        recognizer().transcribe(NOISE, TranscribeOptions(), called_at=called_at),
        chat_model().chat(HELLO, ChatOptions(), called_at=called_at),
        synthesizer().speak("hello", SpeakOptions(), called_at=called_at),
    ):
        wait = run(first_of(values))
        assert isinstance(wait, QueueWait)
        assert 3 <= wait.seconds < 60


def test_the_system_prompt_of_the_settings_applies_unless_the_conversation_has_one(run: Run) -> None:
    replica = chat_model()
    replica.reconfigure({"system_prompt": "you are called Ann"})
    assert run(answer(replica))[1].prompt_tokens == 8
    assert run(answer(replica, (ChatMessage("system", "be brief"), *HELLO)))[1].prompt_tokens == 6


def test_rejects_a_picture_for_a_model_without_vision(run: Run) -> None:
    with pytest.raises(UnsupportedMedia, match="no pictures"):
        run(answer(chat_model(), (ChatMessage("user", "what is it", (PICTURE,)),)))
    text, _ = run(answer(chat_model(vision=True), (ChatMessage("user", "what is it", (PICTURE,)),)))
    assert text == "a picture of 30 by 20. what is it"


def test_a_conversation_above_the_context_length_fails_before_the_first_delta(run: Run) -> None:
    with pytest.raises(ContextOverflow):
        run(answer(chat_model(context_length=100), max_tokens=97))


def test_the_engine_receives_the_json_schema_of_the_request(run: Run) -> None:
    replica = chat_model()
    received: list[Any] = []
    chat = replica._engine.chat

    def recording(messages: Any, config: Any, json_schema: Any = None) -> Any:
        received.append(json_schema)
        return chat(messages, config, json_schema)

    replica._engine.chat = recording
    schema = JsonSchema({"type": "object"}, "response_format")
    run(answer(replica, json_schema=schema))
    assert received == [schema]


def test_rejects_audio_above_the_limit(run: Run) -> None:
    replica = recognizer()
    replica.reconfigure({"max_audio_s": 0.5})

    async def body() -> list[Any]:
        return [segment async for segment in replica.transcribe(NOISE, TranscribeOptions())]

    with pytest.raises(TooLarge, match=r"1 s long; the limit is 0\.5 s"):
        run(body())


def test_rejects_text_above_the_limit(run: Run) -> None:
    replica = synthesizer()
    replica.reconfigure({"max_text_chars": 10})
    with pytest.raises(TooLarge, match="13 characters; the limit is 10"):
        run(spoken(replica, "more than ten"))


class EnglishVoice:
    """An engine that speaks one second for each piece, and records the pieces."""

    rate_hz = 16_000
    characters = None
    voices = ("one", "two")
    produced = 0

    def __init__(self) -> None:
        self.spoken: list[tuple[str, int]] = []

    def language(self, voice: str | None) -> str:
        return "de" if voice == "two" else "en"

    def load(self) -> Any:
        return chat_model()._engine.load()

    async def speak(self, sentence: str, config: TextToSpeechConfig, rank: int = 0) -> AsyncGenerator[Audio, None]:
        self.spoken.append((sentence, rank))
        yield NOISE


def english_synthesizer(**config: Any) -> Any:
    replica = synthesizer()
    replica._engine = EnglishVoice()
    replica.reconfigure(config)
    return replica


def test_each_prepared_sentence_is_spoken_and_followed_by_the_pause(run: Run) -> None:
    replica = english_synthesizer(max_sentence_chars=20, pause_s=0.5)
    chunks = run(spoken(replica, "fifty % of the words, then the others", sentence=3))
    pieces = [("fifty percent of the", 3), ("words,", 3), ("then the others", 3)]
    assert replica._engine.spoken == pieces
    assert sum(chunk.duration_s for chunk in chunks) == pytest.approx(len(pieces) * 1.5)


def test_what_the_voice_leaves_out_comes_before_its_audio(run: Run) -> None:
    first, *others = run(spoken(english_synthesizer(), "Hello Привет"))
    assert first == Omitted("Привет")
    assert all(isinstance(other, Audio) for other in others)
    assert run(spoken(english_synthesizer(), "Привет")) == [Omitted("Привет")]


def test_the_language_is_that_of_the_requested_voice(run: Run) -> None:
    replica = english_synthesizer()
    run(spoken(replica, "5 %"))
    run(spoken(replica, "5 %", voice="two"))
    assert [text for text, _ in replica._engine.spoken] == ["five percent", "5 %"]


def test_every_sentence_is_split_for_a_slow_voice(run: Run) -> None:
    replica = english_synthesizer(first_piece_chars=10)
    for index in (0, 1):
        run(spoken(replica, "We went home, because it was late.", sentence=index))
    assert replica._engine.spoken == [
        (piece, index) for index in (0, 1) for piece in ("We went home,", "because it was late.")
    ]


def test_lists_the_voices_of_its_engine(run: Run) -> None:
    assert run(english_synthesizer().voices()) == ("one", "two")


def test_a_text_without_a_word_has_no_audio(run: Run) -> None:
    assert run(spoken(synthesizer(), "... !")) == []


def test_concurrent_answers_do_not_mix(run: Run) -> None:
    async def body() -> list[str]:
        replica = chat_model(step_s=0.001)
        conversations = [(ChatMessage("user", f"my number is {i}"),) for i in range(20)]
        answers = await asyncio.gather(*(answer(replica, messages) for messages in conversations))
        return [text for text, _ in answers]

    assert run(body()) == [f"my number is {i}" for i in range(20)]


# --- live settings ----------------------------------------------------------------------------------------------------

INVALID = [{"no_such": 1}, {"speed": "x", "temperature": "x", "beam_size": "x"}, [], "text"]


@pytest.mark.parametrize("make", [recognizer, chat_model, synthesizer])
@pytest.mark.parametrize("invalid", INVALID, ids=str)
def test_a_starting_replica_raises_for_invalid_settings(make: Callable[..., Any], invalid: Any) -> None:
    replica = make()
    before = replica._config
    with pytest.raises(ValueError, match="refused"):
        replica.reconfigure(invalid)
    assert replica._config is before


@pytest.mark.parametrize("make", [recognizer, chat_model, synthesizer])
@pytest.mark.parametrize("invalid", INVALID, ids=str)
def test_a_serving_replica_keeps_its_settings_and_logs_the_refusal(
    run: Run, serve_log: pytest.LogCaptureFixture, make: Callable[..., Any], invalid: Any
) -> None:
    replica = make()
    run(replica.check_health())
    before = replica._config
    replica.reconfigure(invalid)
    assert replica._config is before
    ((_, level, message),) = serve_log.record_tuples
    assert (level, "refused" in message) == (logging.ERROR, True)
    serve_log.clear()
    replica.reconfigure({})
    assert "refused" not in serve_log.text


def test_a_request_in_progress_keeps_its_settings(run: Run) -> None:
    async def body() -> tuple[str, str]:
        replica = chat_model(step_s=0.01)
        stream = replica.chat(HELLO, ChatOptions())
        first = await anext(stream)
        replica.reconfigure({"max_tokens": 1})
        rest = [value.text async for value in stream if isinstance(value, TextDelta)]
        return "".join([first.text, *rest]), (await answer(replica))[0]

    assert run(body()) == ("one two three four", "one ")


def test_live_settings_replace_all_earlier_ones() -> None:
    replica = chat_model()
    replica.reconfigure({"max_tokens": 1})
    replica.reconfigure({"temperature": 0.1})
    assert replica._config == ChatConfig(temperature=0.1)


def test_an_option_out_of_bounds_does_not_reach_the_engine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = chat_model()
    calls: list[Any] = []
    monkeypatch.setattr(replica._engine, "chat", lambda *args: calls.append(args))
    with pytest.raises(InvalidRequest, match="temperature"):
        run(answer(replica, temperature=9))
    assert calls == []


# --- failures, cancellation, health -----------------------------------------------------------------------------------


def test_a_typed_error_passes_and_any_other_becomes_engine_unavailable(
    run: Run, serve_log: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(EngineUnavailable, match="set to fail"):
        run(answer(chat_model(fail_after=1)))
    assert not serve_log.records
    with pytest.raises(EngineUnavailable) as caught:
        run(answer(chat_model(fail_after=1, fail_with="crash")))
    assert "set to crash" not in caught.value.message
    assert caught.value.__cause__ is None
    assert "set to crash" in serve_log.text


def test_counts_requests_by_how_they_end(run: Run, records: Records) -> None:
    async def body() -> Any:
        replica = chat_model(step_s=0.005, fail_after=3)
        await answer(replica, (ChatMessage("user", "a"),), max_tokens=2, stop=("a",))
        with pytest.raises(EngineUnavailable):
            await answer(replica)
        async with aclosing(replica.chat(HELLO, ChatOptions())) as stream:
            await anext(stream)
            assert replica._engine.load().active == 1
        task = asyncio.create_task(answer(replica))
        await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return replica._engine.load().active

    assert run(body()) == 0
    outcomes = [labels["outcome"] for _, labels in records["parley_requests"]]
    assert outcomes == ["finished", "failed", "cancelled", "cancelled"]


def test_closing_a_request_stops_the_engine(run: Run) -> None:
    async def body() -> tuple[int, int]:
        replica = synthesizer(step_s=0.005)
        async with aclosing(replica.speak("word " * 100, SpeakOptions())) as stream:
            await anext(stream)
        soon = replica._engine.produced
        await asyncio.sleep(0.05)
        return soon, replica._engine.produced

    soon, later = run(body())
    assert later == soon <= 2


def test_a_health_check_is_that_of_the_engine(run: Run) -> None:
    run(chat_model().check_health())
    with pytest.raises(EngineUnavailable):
        run(chat_model(healthy=False).check_health())


def test_a_ping_returns_while_requests_are_in_progress(run: Run) -> None:
    async def body() -> None:
        replica = chat_model(step_s=1)
        async with aclosing(replica.chat(HELLO, ChatOptions())) as stream:
            await anext(stream)
            assert await replica.ping() is None

    run(asyncio.wait_for(body(), 0.5))


def test_a_ping_runs_the_check_of_the_engine_unless_one_passed_lately(run: Run) -> None:
    replica = chat_model()
    checks: list[int] = []

    async def check() -> None:
        checks.append(1)

    replica._engine.check = check
    for max_age_s, expected in ((60.0, 1), (60.0, 1), (0.0, 2)):
        run(replica.ping(max_age_s))
        assert len(checks) == expected
    run(replica.check_health())
    run(replica.ping())
    assert len(checks) == 3


def test_a_ping_of_a_broken_engine_fails(run: Run) -> None:
    with pytest.raises(EngineUnavailable):
        run(chat_model(healthy=False).ping())


def test_a_ping_returns_the_refusal_until_other_settings_apply(run: Run) -> None:
    replica = chat_model()
    run(replica.check_health())
    replica.reconfigure({"temperature": 9})
    assert "temperature" in run(replica.ping())
    replica.reconfigure({"temperature": 1})
    assert run(replica.ping()) is None


# --- heartbeats -------------------------------------------------------------------------------------------------------


def test_a_slow_call_sends_heartbeats_and_all_its_values(run: Run) -> None:
    async def values(**keywords: float) -> list[Any]:
        return [value async for value in chat_model(first_s=0.1).chat(HELLO, ChatOptions(), **keywords)]

    found = run(values(heartbeat_s=0.03))
    assert found[:2] == [Heartbeat(), Heartbeat()]
    assert [value for value in found if value != Heartbeat()] == run(values())


def test_an_error_of_the_engine_passes_through_the_heartbeats(run: Run) -> None:
    async def body() -> None:
        async for _ in chat_model(first_s=0.05, fail_after=0).chat(HELLO, ChatOptions(), heartbeat_s=0.02):
            pass

    with pytest.raises(EngineUnavailable, match="set to fail"):
        run(body())


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_a_call_that_ends_at_a_heartbeat_stops_the_engine(run: Run, end: str) -> None:
    async def body() -> None:
        replica = chat_model(first_s=60)
        stream = replica.chat(HELLO, ChatOptions(), heartbeat_s=0.02)
        assert isinstance(await anext(stream), Heartbeat)
        assert replica._engine.load().active == 1
        if end == "close":
            await stream.aclose()
        else:
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.wait([waiting])
        assert replica._engine.load().active == 0

    run(asyncio.wait_for(body(), 5))
