"""The Serve classes without Ray, over fake engines."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from deployments.asr import SpeechToText
from deployments.errors import ContextOverflow, EngineUnavailable, InvalidRequest, TooLarge, UnsupportedMedia
from deployments.llm import ChatLLM
from deployments.messages import (
    Audio,
    ChatEnd,
    ChatMessage,
    ChatOptions,
    Image,
    SpeakOptions,
    Taken,
    TextDelta,
    TranscribeOptions,
)
from deployments.settings import ChatConfig, FakeChatArgs, FakeRecognizerArgs, FakeSynthesizerArgs
from deployments.tts import TextToSpeech

Run = Callable[[Any], Any]

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


def test_a_chat_streams_and_ends(run: Run) -> None:
    assert run(answer(chat_model())) == ("one two three four", ChatEnd("stop", 4, 4))


def test_a_call_that_says_when_it_was_made_hears_first_how_long_it_waited(run: Run) -> None:
    async def first_of(values: Any) -> Any:
        async with aclosing(values):
            return await anext(values)

    called_at = time.time() - 3
    for values in (
        recognizer().transcribe(NOISE, TranscribeOptions(), called_at),
        chat_model().chat(HELLO, ChatOptions(), called_at),
        synthesizer().speak("hello", SpeakOptions(), called_at),
    ):
        taken = run(first_of(values))
        assert isinstance(taken, Taken)
        assert 3 <= taken.waited_s < 60


def test_the_system_prompt_of_the_settings_yields_to_the_conversations_own(run: Run) -> None:
    replica = chat_model()
    replica.reconfigure({"system_prompt": "you are called Ann"})
    assert run(answer(replica))[1].prompt_tokens == 8
    assert run(answer(replica, (ChatMessage("system", "be brief"), *HELLO)))[1].prompt_tokens == 6


def test_a_picture_for_a_model_without_eyes_is_refused(run: Run) -> None:
    with pytest.raises(UnsupportedMedia, match="no pictures"):
        run(answer(chat_model(), (ChatMessage("user", "what is it", (PICTURE,)),)))
    seen, _ = run(answer(chat_model(vision=True), (ChatMessage("user", "what is it", (PICTURE,)),)))
    assert seen == "a picture of 30 by 20. what is it"


def test_a_conversation_that_does_not_fit_fails_before_the_first_delta(run: Run) -> None:
    with pytest.raises(ContextOverflow):
        run(answer(chat_model(context_length=100), max_tokens=97))


def test_sound_over_the_limit_is_refused(run: Run) -> None:
    replica = recognizer()
    replica.reconfigure({"max_audio_s": 0.5})

    async def body() -> list[Any]:
        return [segment async for segment in replica.transcribe(NOISE, TranscribeOptions())]

    with pytest.raises(TooLarge, match=r"1 s long; at most 0\.5 s"):
        run(body())


def test_text_over_the_limit_is_not_spoken(run: Run) -> None:
    replica = synthesizer()
    replica.reconfigure({"max_text_chars": 10})

    async def body() -> list[Any]:
        return [chunk async for chunk in replica.speak("more than ten", SpeakOptions())]

    with pytest.raises(TooLarge, match="13 characters; at most 10"):
        run(body())


BAD = [{"no_such": 1}, {"speed": "x", "temperature": "x", "beam_size": "x"}, [], "text"]


@pytest.mark.parametrize("make", [recognizer, chat_model, synthesizer])
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_replica_does_not_start_with_bad_settings(make: Callable[..., Any], bad: Any) -> None:
    replica = make()
    before = replica._config
    with pytest.raises(ValueError, match="refused"):
        replica.reconfigure(bad)
    assert replica._config is before


@pytest.mark.parametrize("make", [recognizer, chat_model, synthesizer])
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_serving_replica_keeps_its_settings_and_says_why(run: Run, make: Callable[..., Any], bad: Any) -> None:
    replica = make()
    run(replica.check_health())
    before = replica._config
    replica.reconfigure(bad)
    assert replica._config is before
    assert "refused" in replica.stats().refusal
    replica.reconfigure({})
    assert replica.stats().refusal is None


def test_a_request_under_way_keeps_its_settings(run: Run) -> None:
    async def body() -> tuple[str, str]:
        replica = chat_model(step_s=0.01)
        stream = replica.chat(HELLO, ChatOptions())
        first = await anext(stream)
        replica.reconfigure({"max_tokens": 1})
        rest = [value.text async for value in stream if isinstance(value, TextDelta)]
        return "".join([first.text, *rest]), (await answer(replica))[0]

    assert run(body()) == ("one two three four", "one ")


def test_live_settings_start_from_the_defaults_each_time() -> None:
    replica = chat_model()
    replica.reconfigure({"max_tokens": 1})
    replica.reconfigure({"temperature": 0.1})
    assert replica._config == ChatConfig(temperature=0.1)


def test_an_option_out_of_bounds_never_reaches_the_engine(run: Run) -> None:
    replica = chat_model()
    with pytest.raises(InvalidRequest, match="temperature"):
        run(answer(replica, temperature=9))
    assert replica.stats().started == 0


def test_a_typed_error_passes_and_any_other_becomes_one(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("ray.serve").propagate = True
    with pytest.raises(EngineUnavailable, match="told to fail"):
        run(answer(chat_model(fail_after=1)))
    assert not caplog.records
    with pytest.raises(EngineUnavailable) as caught:
        run(answer(chat_model(fail_after=1, fail_with="crash")))
    assert "told to crash" not in caught.value.message
    assert caught.value.__cause__ is None
    assert "told to crash" in caplog.text


def test_the_counters_tell_how_requests_ended(run: Run) -> None:
    async def body() -> Any:
        replica = chat_model(step_s=0.005, fail_after=3)
        await answer(replica, (ChatMessage("user", "a"),), max_tokens=2, stop=("a",))
        with pytest.raises(EngineUnavailable):
            await answer(replica)
        async with aclosing(replica.chat(HELLO, ChatOptions())) as stream:
            await anext(stream)
            assert replica.stats().active == 1
        task = asyncio.create_task(answer(replica))
        await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return replica.stats()

    stats = run(body())
    assert (stats.active, stats.started, stats.finished, stats.failed, stats.cancelled) == (0, 4, 1, 1, 2)


def test_leaving_stops_the_engine(run: Run) -> None:
    async def body() -> tuple[int, int]:
        replica = synthesizer(step_s=0.005)
        async with aclosing(replica.speak("word " * 100, SpeakOptions())) as stream:
            await anext(stream)
        soon = replica.stats().produced
        await asyncio.sleep(0.05)
        return soon, replica.stats().produced

    soon, later = run(body())
    assert later == soon <= 2


def test_health_is_the_engines(run: Run) -> None:
    run(chat_model().check_health())
    with pytest.raises(EngineUnavailable):
        run(chat_model(healthy=False).check_health())


def test_answers_of_many_at_once_do_not_cross(run: Run) -> None:
    async def body() -> list[str]:
        replica = chat_model(step_s=0.001)
        asked = [(ChatMessage("user", f"my number is {i}"),) for i in range(20)]
        return [text for text, _ in await asyncio.gather(*(answer(replica, messages) for messages in asked))]

    assert run(body()) == [f"my number is {i}" for i in range(20)]
