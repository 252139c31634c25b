"""A connection: what the session asks for is done, at its time, and everything ends with it."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import random
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from deployments.errors import Overloaded
from graphs.http.openai.realtime.connection import CLOSE_TIMEOUT_S
from tests.graphs.http.openai.realtime.live import Graph, Live
from tests.graphs.http.openai.realtime.recordings import recording, silence, with_silence

MAX_GROWTH_BYTES = 2**20
LONG = ("One.", "Two.", "Three.", "Four.", "Five.", "Six.")


def in_loop(body: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(body(), 60)

    asyncio.run(bounded())


def test_a_spoken_turn_is_transcribed_and_answered_by_a_voice() -> None:
    async def body() -> None:
        graph = Graph("It is a test.", transcript="What is it?")
        async with Live(graph) as live:
            live.configure(audio={"input": {"transcription": {}}})
            live.speak(with_silence(recording("reader1_1")))
            done = await live.until("response.done")
        assert done["response"]["status"] == "completed"
        assert live.of("conversation.item.input_audio_transcription.completed")[0]["transcript"] == "What is it?"
        assert live.audio_s() == pytest.approx(1.0, abs=0.01)
        assert graph.turns[0].messages[-1].text == "What is it?"

    in_loop(body)


def test_speech_interrupts_an_answer_down_to_its_run() -> None:
    async def body() -> None:
        graph = Graph(*LONG, seconds=2)
        async with Live(graph, audio_ahead_s=1.0) as live:
            live.say("Count")
            await live.until("response.output_audio.delta")
            live.speak(with_silence(recording("reader1_1"), 0.6))
            cut = await live.until("response.done")
            sent_s = live.audio_s()
            assert cut["response"]["status"] == "cancelled"
            assert cut["response"]["status_details"]["reason"] == "turn_detected"
            assert sent_s < 12
            following = live.sent[live.sent.index(cut) + 1 :]
            assert all(event.get("response_id") != cut["response"]["id"] for event in following)
            await live.until("response.created")
        assert graph.open == 0

    in_loop(body)


def test_a_short_noise_does_not_interrupt_an_answer() -> None:
    async def body() -> None:
        graph = Graph("A long answer.", seconds=2)
        async with Live(graph, audio_ahead_s=1.0, min_interruption_ms=400) as live:
            live.say("Go on")
            await live.until("response.output_audio.delta")
            speech = recording("reader1_1")
            live.speak(with_silence(speech[8000:11_000], 0.6))
            done = await live.until("response.done")
            assert done["response"]["status"] == "completed"

    in_loop(body)


def test_with_half_duplex_speech_does_not_interrupt_an_answer() -> None:
    async def body() -> None:
        async with Live(Graph("A long answer.", seconds=2), audio_ahead_s=0.5, half_duplex=True) as live:
            live.say("Go on")
            await live.until("response.output_audio.delta")
            live.speak(recording("reader1_1")[:24_000])
            done = await live.until("response.done")
            assert done["response"]["status"] == "completed"
            assert not live.of("input_audio_buffer.speech_started")

    in_loop(body)


def test_cancelling_a_written_response_beside_an_answer_leaves_its_voice_playing() -> None:
    async def body() -> None:
        graph = Graph(*LONG, seconds=2)
        async with Live(graph, audio_ahead_s=30, half_duplex=True) as live:
            live.configure(output_modalities=["audio"])
            live.say("Go on")
            await live.until("response.done")
            graph.before = asyncio.Event().wait  # for ever
            live.send(type="response.create", response={"conversation": "none", "output_modalities": ["text"]})
            beside = (await live.until("response.created"))["response"]["id"]
            live.send(type="response.cancel", response_id=beside)
            await live.until("response.done")
            live.speak(with_silence(recording("reader1_1")[:16_000], 0.1))
            await live.settled()
            await asyncio.sleep(1)
            assert not live.of("input_audio_buffer.speech_started")

    in_loop(body)


def test_after_a_truncation_nothing_is_playing_and_speech_is_heard_with_half_duplex() -> None:
    async def body() -> None:
        async with Live(Graph("A long answer.", seconds=2), audio_ahead_s=30, half_duplex=True) as live:
            live.configure(output_modalities=["audio"])
            live.say("Go on")
            done = await live.until("response.done")
            item_id = done["response"]["output"][0]["id"]
            live.send(type="conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
            await live.until("conversation.item.truncated")
            live.speak(with_silence(recording("reader1_1")[:16_000], 0.1))
            await live.until("input_audio_buffer.speech_started")

    in_loop(body)


def test_audio_is_sent_no_further_ahead_than_the_setting() -> None:
    async def body() -> None:
        async with Live(Graph(*LONG, seconds=2), audio_ahead_s=1.0) as live:
            live.say("Count")
            await live.until("response.output_audio.delta")
            await asyncio.sleep(0.5)
            assert live.audio_s() <= 1.0 + 0.5 + 0.3

    in_loop(body)


def test_push_to_talk_hears_what_was_appended_before_the_commit() -> None:
    async def body() -> None:
        graph = Graph(transcript="Push to talk.")
        async with Live(graph) as live:
            live.configure(audio={"input": {"turn_detection": None, "transcription": {}}})
            live.speak(recording("reader1_1")[:16_000], part_s=1.0)
            live.send(type="input_audio_buffer.commit")
            live.send(type="response.create")
            heard = await live.until("conversation.item.input_audio_transcription.completed")
            assert heard["transcript"] == "Push to talk."
            assert heard["usage"]["seconds"] == pytest.approx(1.0, abs=0.01)
            assert (await live.until("response.done"))["response"]["status"] == "completed"

    in_loop(body)


def test_a_response_is_a_request_while_it_is_generated_and_not_while_it_is_played() -> None:
    async def body() -> None:
        released = asyncio.Event()
        graph = Graph(*LONG, seconds=2)
        graph.before = released.wait
        async with Live(graph, gateway={"max_concurrent_requests": 1}, audio_ahead_s=0.5) as live:
            live.say("Count")
            await live.until("response.created")
            await asyncio.sleep(0.05)
            with pytest.raises(Overloaded):
                live.admissions.announce(None)
            released.set()
            await live.until("response.output_audio.delta")
            await asyncio.sleep(0.05)
            live.admissions.announce(None)
            assert not live.of("response.done")

    in_loop(body)


def test_a_response_beyond_the_limit_of_requests_fails_and_the_session_goes_on() -> None:
    async def body() -> None:
        graph = Graph()
        async with Live(graph, gateway={"max_concurrent_requests": 1}) as live:
            live.admissions.enter(None)
            live.say("Hello")
            failed = await live.until("response.done")
            assert failed["response"]["status"] == "failed"
            live.admissions.leave(None)
            live.send(type="response.create")
            assert (await live.until("response.done"))["response"]["status"] == "completed"

    in_loop(body)


def test_an_error_of_the_run_is_a_failed_response() -> None:
    async def body() -> None:
        graph = Graph()
        graph.error = RuntimeError("a bug")
        async with Live(graph) as live:
            live.say("Hello")
            failed = await live.until("response.done")
            assert failed["response"]["status"] == "failed"
            assert "a bug" not in str(live.sent)

    in_loop(body)


def test_audio_that_comes_too_fast_ends_the_session() -> None:
    async def body() -> None:
        async with Live(Graph(), max_buffer_s=5, max_input_rate=2) as live:
            live.speak(silence(60), part_s=1.0)
            await asyncio.wait_for(asyncio.shield(live.served), 20)
            assert live.sent[-1]["error"]["code"] == "rate_limited"
            assert "faster than 2 s per second" in live.sent[-1]["error"]["message"]
            assert live.close_code == 1008

    in_loop(body)


def test_a_stopping_replica_ends_the_session_after_its_response() -> None:
    async def body() -> None:
        async with Live(Graph("Done.", seconds=1), audio_ahead_s=0.5) as live:
            live.say("Hello")
            await live.until("response.output_audio.delta")
            live.connection.drain(100)
            assert (await live.until("response.done"))["response"]["status"] == "completed"
            await asyncio.wait_for(asyncio.shield(live.served), 20)
            assert live.close_code is not None

    in_loop(body)


def test_a_stopping_replica_closes_a_session_in_time_whatever_is_left_of_its_response() -> None:
    async def body() -> None:
        async with Live(Graph(*LONG, seconds=2), audio_ahead_s=0.5) as live:
            live.say("Hello")
            await live.until("response.output_audio.delta")
            live.connection.drain(CLOSE_TIMEOUT_S + 0.3)
            cut = await live.until("response.done")
            assert cut["response"]["status"] == "failed"
            await asyncio.wait_for(asyncio.shield(live.served), 2)
            assert live.close_code == 1001
        assert live.graph.open == 0

    in_loop(body)


@pytest.mark.parametrize("failure", [WebSocketDisconnect(1006), ConnectionResetError()])
def test_a_socket_to_which_nothing_can_be_sent_frees_everything_at_once(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Dead(Live):
        is_dead = False

        async def send_text(self, text: str) -> None:
            if self.is_dead:
                raise failure
            await super().send_text(text)

    async def body() -> None:
        live = Dead(Graph(*LONG, seconds=2), audio_ahead_s=0.5)
        async with live:
            live.say("Hello")
            await live.until("response.output_audio.delta")
            live.is_dead = True
            await asyncio.wait_for(asyncio.shield(live.served), 1)
            assert live.graph.open == 0

    in_loop(body)
    assert not caplog.records


def test_sockets_that_are_cut_at_any_point_leave_nothing_behind() -> None:
    async def body() -> None:
        choose = random.Random(7)
        before = len(asyncio.all_tasks())
        speech = with_silence(recording("reader1_1"), 0.6)
        for _ in range(100):
            graph = Graph(*LONG[: choose.randint(1, 3)], seconds=1)
            live = Live(graph, audio_ahead_s=0.3, gateway={"max_concurrent_requests": 2})
            async with live:
                if choose.random() < 0.5:
                    live.speak(speech[: choose.randint(1, len(speech))])
                live.say("Hello")
                await asyncio.sleep(choose.random() * 0.1)
            assert graph.open == 0
            live.admissions.enter(None)
            live.admissions.enter(None)
        assert len(asyncio.all_tasks()) == before

    in_loop(body)


def test_the_end_of_a_response_names_what_its_voice_could_not_read() -> None:
    async def body() -> None:
        graph = Graph("Hello.", "Bye.")
        graph.unread = "Привет"
        async with Live(graph) as live:
            live.say("Say hello in Russian.")
            done = await live.until("response.done")
            assert done["response"]["parley"] == {"speech_omitted": "Привет Привет"}

    in_loop(body)


KINDS = (
    "session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear",
    "output_audio_buffer.clear", "conversation.item.create", "conversation.item.retrieve",
    "conversation.item.truncate", "conversation.item.delete", "response.create", "response.cancel", "unknown",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, 0, -1, 1e308, True, "", "x", "AAAA", "item_1", "resp_2", [], {}, [[]], {"type": "realtime"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    {"type": "transcription"}, ["audio"], ["text"],
    {"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}},
)  # fmt: skip
FIELDS = ("session", "audio", "item", "item_id", "content_index", "audio_end_ms", "response", "event_id", "extra")
NOT_JSON = ("", "null", "[]", "{", '"', "\ud800", "[" * 5000, '{"type":', "1e999", '{"type": NaN}', "\x00")


def random_message(choose: random.Random) -> str:
    """Return a message of a client that knows the events, and little of their fields."""
    if choose.random() < 0.1:
        return choose.choice(NOT_JSON)
    fields = choose.sample(FIELDS, choose.randint(0, 4))
    return json.dumps({"type": choose.choice(KINDS)} | {field: choose.choice(VALUES) for field in fields})


def traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_ten_thousand_random_messages_break_nothing() -> None:
    async def body() -> None:
        choose = random.Random(20)
        graph = Graph("Yes.", seconds=0.5)
        before = len(asyncio.all_tasks())
        async with Live(graph, max_items=50) as live:
            for hundred in range(100):
                for _ in range(100):
                    live.message(random_message(choose))
                await live.settled()
                live.forget()
                graph.turns.clear()
                if hundred == 20:  # the conversation is full: its items are only replaced
                    tracemalloc.start()
                    held_bytes = traced_bytes()
            grown_bytes = traced_bytes() - held_bytes
            tracemalloc.stop()
            assert grown_bytes < MAX_GROWTH_BYTES
            live.configure(output_modalities=["text"], audio={"input": {"turn_detection": None}})
            live.say("Are you there?")
            while (await live.until("response.done"))["response"]["status"] != "completed":
                pass
            assert len(asyncio.all_tasks()) < before + 20
            assert live.close_code is None
        assert len(asyncio.all_tasks()) == before
        assert graph.open == 0

    in_loop(body)


def test_clearing_the_buffer_keeps_what_was_committed_before() -> None:
    async def body() -> None:
        async with Live(Graph(transcript="Kept.")) as live:
            live.configure(audio={"input": {"turn_detection": None, "transcription": {}}})
            live.speak(recording("reader1_1")[:16_000], part_s=1.0)
            live.send(type="input_audio_buffer.commit")
            live.send(type="input_audio_buffer.clear")
            heard = await live.until("conversation.item.input_audio_transcription.completed")
            assert heard["transcript"] == "Kept."

    in_loop(body)


@pytest.mark.parametrize(
    ("session", "param", "served"),
    [
        ({"model": "nonsense"}, "session.model", "llm"),
        ({"audio": {"input": {"transcription": {"model": "nonsense"}}}},
         "session.audio.input.transcription.model", "asr"),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
         "session.audio.input.turn_detection.type", "end_of_turn_model"),
    ],
)  # fmt: skip
def test_an_update_to_what_the_service_cannot_do_is_refused_and_the_session_stays_as_it_was(
    session: dict[str, Any], param: str, served: str
) -> None:
    async def body() -> None:
        async with Live(Graph()) as live:
            live.configure(**session)
            refused = (await live.until("error"))["error"]
            assert refused["param"] == param
            assert served in refused["message"]
            live.say("Hello")
            assert (await live.until("response.done"))["response"]["status"] == "completed"

    in_loop(body)


def test_the_names_of_models_that_stock_clients_send_mean_those_of_the_service() -> None:
    async def body() -> None:
        async with Live(Graph()) as live:
            for model in ("whisper-1", "gpt-4o-mini-transcribe", "asr"):
                live.configure(model="gpt-realtime", audio={"input": {"transcription": {"model": model}}})
                await live.until("session.updated")
            assert not live.of("error")

    in_loop(body)


def test_deleting_a_recording_stops_its_recognition() -> None:
    async def body() -> None:
        graph = Graph()
        started, released = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            started.set()
            await released.wait()

        graph.before_transcript = hold
        async with Live(graph) as live:
            content = [{"type": "input_audio", "audio": base64.b64encode(bytes(48_000)).decode()}]
            item = {"type": "message", "id": "item_mine", "role": "user", "content": content}
            live.send(type="conversation.item.create", item=item)
            await started.wait()
            live.send(type="conversation.item.delete", item_id="item_mine")
            await live.until("conversation.item.deleted")
            await live.settled()
            assert graph.open == 0

    in_loop(body)


def append_at_once(live: Live, seconds: float) -> None:
    """Append speech, and silence after it, in one event: it is processed later than what follows is handled."""
    live.speak(with_silence(recording("reader1_1")[: round(seconds * 16_000)], 1), part_s=60)


def test_speech_that_is_committed_before_it_is_processed_makes_no_turn_and_is_answered() -> None:
    async def body() -> None:
        async with Live(Graph("It is a test.", seconds=2)) as live:
            live.configure(audio={"input": {"transcription": {}}})
            append_at_once(live, 2)
            live.send(type="input_audio_buffer.commit")
            live.send(type="response.create")
            done = await live.until("response.done")
            assert done["response"]["status"] == "completed"
            assert not live.of("input_audio_buffer.speech_started")
            assert len(live.of("input_audio_buffer.committed")) == 1

    in_loop(body)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "input_audio_buffer.clear"},
        {"type": "session.update", "session": {"audio": {"input": {"turn_detection": {"threshold": 0.6}}}}},
    ],
    ids=["clear", "update"],
)
def test_speech_from_before_a_change_makes_no_turn_and_the_next_speech_interrupts(change: dict[str, Any]) -> None:
    async def body() -> None:
        async with Live(Graph(*LONG, seconds=2), audio_ahead_s=1.0) as live:
            live.configure(audio={"input": {"transcription": {}}})
            live.speak(recording("reader1_1")[:32_000], part_s=60)
            live.send(**change)
            await live.settled()
            await asyncio.sleep(0.5)
            assert not live.of("input_audio_buffer.speech_started")
            live.say("Count")
            await live.until("response.output_audio.delta")
            live.speak(with_silence(recording("reader1_1"), 0.6))
            await live.until("input_audio_buffer.speech_started")
            cut = await live.until("response.done")
            assert cut["response"]["status_details"]["reason"] == "turn_detected"

    in_loop(body)
