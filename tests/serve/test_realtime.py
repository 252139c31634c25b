"""Live talk with OpenAI's own client, over Ray Serve with fake engines."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed

from graphs.http.client_secrets import Grant, issue
from talk.sound import load
from tests.serve.conftest import Service
from tests.serve.serve_fakes import DATA, FAKES, PICTURE, with_gateway

TIMEOUT_S = 60


@asynccontextmanager
async def session(url: str, key: str = "none", **connection: Any) -> AsyncIterator[AsyncRealtimeConnection]:
    """Open a session with the stock client."""
    client = openai.AsyncOpenAI(
        base_url=f"{url}/v1", websocket_base_url=f"{url.replace('http', 'ws', 1)}/v1", api_key=key
    )
    async with (
        asyncio.timeout(TIMEOUT_S),
        client,
        client.realtime.connect(**({"model": "gpt-realtime"} | connection)) as opened,
    ):
        yield opened


async def closed(opened: AsyncRealtimeConnection) -> int | None:
    """Return the code with which the service closes the connection."""
    try:
        while True:
            await opened.recv()
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else None


async def say(opened: AsyncRealtimeConnection, recording: str) -> None:
    """Append a recording, and a second of silence."""
    speech = load(DATA / recording).tobytes() + bytes(48_000)
    for at in range(0, len(speech), 9600):
        await opened.input_audio_buffer.append(audio=base64.b64encode(speech[at : at + 9600]).decode())


async def until(opened: AsyncRealtimeConnection, *kinds: str) -> list[Any]:
    """Return the events up to the first of these kinds."""
    events: list[Any] = []
    async for event in opened:
        events.append(event)
        if event.type in kinds:
            return events
    raise AssertionError(f"the connection closed after {[event.type for event in events]}")


def message(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def test_a_text_turn(fakes: str) -> None:
    async def body() -> list[Any]:
        async with session(fakes) as opened:
            await opened.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            await opened.conversation.item.create(item=message("Hello"))
            await opened.response.create()
            return await until(opened, "response.done")

    events = asyncio.run(body())
    done = events[-1].response
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert done.status == "completed"
    assert deltas
    assert done.output[0].content[0].text == deltas
    assert done.usage.output_tokens > 0


def test_a_voice_turn(fakes: str) -> None:
    async def body() -> list[Any]:
        async with session(fakes) as opened:
            await opened.session.update(
                session={"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
            )
            await say(opened, "question.wav")
            return await until(opened, "response.done", "error")

    events = asyncio.run(body())
    assert events[-1].type == "response.done"
    assert events[-1].response.status == "completed"


def test_speech_interrupts_an_answer_which_is_truncated_to_what_was_heard(fakes: str) -> None:
    async def body() -> tuple[list[Any], Any, list[Any]]:
        async with session(fakes) as opened:
            await opened.session.update(
                session={"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
            )
            await opened.conversation.item.create(item=message("One two three four. " * 60))
            await opened.response.create()
            begun = await until(opened, "response.output_audio.delta", "error")
            await say(opened, "question.wav")
            cut = await until(opened, "response.done", "error")
            item_id = begun[-1].item_id
            await opened.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=300)
            await until(opened, "conversation.item.truncated", "error")
            await opened.conversation.item.retrieve(item_id=item_id)
            kept = await until(opened, "conversation.item.retrieved", "error")
            return cut, kept[-1].item, await until(opened, "response.done", "error")

    cut, kept, answered = asyncio.run(body())
    assert "input_audio_buffer.speech_started" in [event.type for event in cut]
    assert (cut[-1].response.status, cut[-1].response.status_details.reason) == ("cancelled", "turn_detected")
    assert kept.status == "incomplete"
    assert kept.content[0].transcript == "One two three four."[: len(kept.content[0].transcript)]
    assert answered[-1].response.status == "completed"
    assert "it lasted" in answered[-1].response.output[0].content[0].transcript


def test_a_picture_and_then_a_voice(fakes: str) -> None:
    async def body() -> list[Any]:
        picture = base64.b64encode(PICTURE).decode()
        content: list[Any] = [
            {"type": "input_image", "image_url": f"data:image/png;base64,{picture}"},
            {"type": "input_text", "text": "What is this?"},
        ]
        async with session(fakes) as opened:
            await opened.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await opened.response.create()
            return await until(opened, "response.done", "error")

    events = asyncio.run(body())
    assert events[-1].response.status == "completed"
    assert any(event.type == "response.output_audio.delta" for event in events)


def test_a_session_that_only_transcribes(fakes: str) -> None:
    async def body() -> list[Any]:
        async with session(fakes, extra_query={"intent": "transcription"}, model="whisper-1") as opened:
            await opened.session.update(session={"type": "transcription"})
            await say(opened, "question.wav")
            return await until(opened, "conversation.item.input_audio_transcription.completed")

    assert asyncio.run(body())[-1].transcript.startswith("it lasted")


def test_audio_before_the_first_update_is_an_error_and_the_session_goes_on(fakes: str) -> None:
    async def body() -> list[Any]:
        async with session(fakes) as opened:
            await opened.send({"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "mine"})
            events = await until(opened, "error")
            await opened.session.update(session={"type": "realtime"})
            return events + await until(opened, "session.updated", "error")

    events = asyncio.run(body())
    assert [event.type for event in events] == ["session.created", "error", "session.updated"]
    assert events[1].error.code == "session_not_configured"
    assert events[1].error.event_id == "mine"


def test_an_unknown_model_is_an_error_and_closes_the_session(fakes: str) -> None:
    async def body() -> tuple[list[Any], int | None]:
        async with session(fakes, model="no-such-model") as opened:
            events = await until(opened, "error")
            return events, await closed(opened)

    events, code = asyncio.run(body())
    assert events[-1].error.code == "model_not_found"
    assert "parley" in events[-1].error.message
    assert code == 1008


def test_a_full_house_is_an_error_and_closes_the_session(service: Service) -> None:
    async def body(url: str) -> tuple[list[Any], int | None]:
        async with session(url) as first, session(url) as second:
            await until(first, "session.created")
            events = await until(second, "error")
            return events, await closed(second)

    url = service(with_gateway(user_config={"realtime": {"max_sessions": 1}}))
    try:
        events, code = asyncio.run(body(url))
    finally:
        service(FAKES)
    assert events[-1].error.code == "overloaded"
    assert code == 1013


def test_sockets_that_are_cut_free_their_places(service: Service) -> None:
    async def body(url: str) -> None:
        for round_ in range(10):
            async with session(url) as opened:
                await opened.session.update(session={"type": "realtime"})
                await opened.conversation.item.create(item=message("Tell me a very long story"))
                await opened.response.create()
                if round_ % 2:
                    await until(opened, "response.output_audio.delta")
                opened._connection.transport.abort()
            await asyncio.sleep(1)

    url = service(with_gateway(user_config={"realtime": {"max_sessions": 1}, "max_concurrent_requests": 1}))
    try:
        asyncio.run(asyncio.wait_for(body(url), 60))
        assert httpx.post(f"{url}/chat", data={"text": "Hello"}, timeout=30).status_code == 200
    finally:
        service(FAKES)


def test_a_replica_that_stops_tells_its_sessions(service: Service, fakes: str) -> None:
    async def body() -> tuple[list[Any], int | None]:
        async with session(fakes) as opened:
            await until(opened, "session.created")
            other = FAKES | {"args": FAKES["args"] | {"gateway": {"decode_threads": 1}}}
            deploying = asyncio.create_task(asyncio.to_thread(service, other))
            events = await until(opened, "error")
            code = await closed(opened)
            await deploying
            return events, code

    try:
        events, code = asyncio.run(body())
    finally:
        service(FAKES)
    assert events[-1].error.code == "session_draining"
    assert code == 1001


def test_a_replica_that_stops_closes_a_long_answer_before_ray_cuts_it(service: Service) -> None:
    async def body(url: str) -> tuple[list[Any], int | None]:
        async with session(url) as opened:
            await opened.conversation.item.create(item=message("One two three four. " * 60))
            await opened.response.create()
            await until(opened, "response.output_audio.delta", "error")
            deploying = asyncio.create_task(asyncio.to_thread(service, FAKES))
            events = await until(opened, "response.done")
            code = await closed(opened)
            await deploying
            return events, code

    stopping = with_gateway(graceful_shutdown_timeout_s=7)
    url = service(stopping | {"args": stopping["args"] | {"gateway": {"decode_threads": 1}}})
    try:
        events, code = asyncio.run(body(url))
    finally:
        service(FAKES)
    assert "session_draining" in [event.error.code for event in events if event.type == "error"]
    assert (events[-1].response.status, code) == ("failed", 1001)


def test_a_client_secret_opens_a_session_as_it_was_configured(fakes: str) -> None:
    client = openai.OpenAI(base_url=f"{fakes}/v1", api_key="none")
    secret = client.realtime.client_secrets.create(
        session={"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]}
    )

    async def body() -> list[Any]:
        async with session(fakes, key=secret.value) as opened:
            return await until(opened, "session.created")

    created = asyncio.run(body())[-1].session
    assert created.instructions == "Be brief."
    assert created.output_modalities == ["text"]


def test_an_invalid_session_of_a_client_secret_is_a_400(fakes: str) -> None:
    client = openai.OpenAI(base_url=f"{fakes}/v1", api_key="none")
    with pytest.raises(openai.BadRequestError, match="output_modalities"):
        client.realtime.client_secrets.create(session={"type": "realtime", "output_modalities": ["smell"]})  # type: ignore[list-item]


SEMANTIC: Any = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}


def test_a_client_secret_for_what_the_service_cannot_do_is_a_400(fakes: str) -> None:
    client = openai.OpenAI(base_url=f"{fakes}/v1", api_key="none")
    with pytest.raises(openai.BadRequestError, match="end_of_turn_model"):
        client.realtime.client_secrets.create(session=SEMANTIC)
    with pytest.raises(openai.BadRequestError, match="no-such-model"):
        client.realtime.client_secrets.create(session={"type": "realtime", "model": "no-such-model"})


@pytest.mark.parametrize(
    ("granted", "connection", "param"),
    [
        (SEMANTIC, {}, "session.audio.input.turn_detection.type"),  # of a secret from before a change of the service
        ({"type": "realtime"}, {"model": "gpt-" + "x" * 300}, "model"),
    ],
    ids=["semantic_vad", "long name"],
)
def test_a_session_that_the_service_cannot_have_is_refused_before_it_begins(
    fakes: str, granted: Any, connection: Any, param: str
) -> None:
    async def body() -> tuple[list[Any], int | None]:
        secret = issue(Grant(granted, int(time.time()) + 60))
        async with session(fakes, key=secret, **connection) as opened:
            return await until(opened, "error"), await closed(opened)

    events, code = asyncio.run(body())
    assert [event.type for event in events] == ["error"]
    assert (events[0].error.param, code) == (param, 1008)
