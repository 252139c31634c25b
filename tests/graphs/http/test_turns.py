"""The limits of a turn, the same for POST /chat and POST /v1/chat/completions."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from deployments.errors import InvalidRequest, NothingToAnswer, ParleyError, TooLarge
from graphs.http.chat.request import ChatReader
from graphs.http.executor import CodecExecutor
from graphs.http.media.fetch import Fetcher
from graphs.http.openai.chat.request import CompletionReader
from graphs.http.openai.models import Models
from graphs.http.turns import MAX_RECORDINGS, TurnReader
from graphs.pipeline.plan import Stage
from graphs.pipeline.turn import Turn, TurnMessage
from graphs.settings import GatewayConfig
from tests.graphs.http.client import budget, received, sandbox
from tests.graphs.http.media.files import png, silence

CONFIG = GatewayConfig(
    max_text_chars=20, max_audio_s=1, max_conversation_audio_s=2, max_image_pixels=100, max_images=2, image_side_px=8
)
TURNS = TurnReader(CONFIG, sandbox())
EXECUTOR = CodecExecutor(1)
MODELS = Models(dict.fromkeys(Stage, "model"), 1)

Read = Callable[[list[str], list[bytes], list[bytes]], Turn]


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def by_chat(texts: list[str], images: list[bytes], recordings: list[bytes]) -> Turn:
    """Return the turn of a request to POST /chat; the last of ``texts`` is that of the present message."""
    *earlier, text = texts
    fields: dict[str, Any] = {
        "messages": [{"role": "user", "content": content} for content in earlier],
        "text": text,
        "image": [as_base64(image) for image in images],
    }
    if recordings:
        (recording,) = recordings
        fields["audio"] = as_base64(recording)
    return asyncio.run(ChatReader(CONFIG, EXECUTOR, sandbox(), budget()).read(received("/chat", json=fields)))[0]


def by_completions(texts: list[str], images: list[bytes], recordings: list[bytes]) -> Turn:
    """Return the turn of a request to POST /v1/chat/completions with the same contents."""

    async def read() -> Turn:
        reader = CompletionReader(CONFIG, EXECUTOR, sandbox(), budget(), MODELS, Fetcher(CONFIG))
        return (await reader.read(received("/v1/chat/completions", json={"messages": [*earlier, last]}))).turn

    *earlier, last = ({"role": "user", "content": [{"type": "text", "text": text}]} for text in texts)
    last["content"] += [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{as_base64(image)}"}} for image in images
    ]
    last["content"] += [
        {"type": "input_audio", "input_audio": {"data": as_base64(recording), "format": "wav"}}
        for recording in recordings
    ]
    return asyncio.run(read())


@pytest.fixture(params=[by_chat, by_completions])
def read(request: pytest.FixtureRequest) -> Read:
    """A function that reads the same contents by one of the two routes."""
    function: Read = request.param
    return function


def test_accepts_everything_at_its_limit(read: Read) -> None:
    turn = read(["x" * 20, "y" * 20], [png(10, 10)] * 2, [silence(1)])
    earlier, last = turn.messages
    assert (earlier.text, last.text) == ("x" * 20, "y" * 20)
    assert [image.pixels.shape for image in last.images] == [(8, 8, 3)] * 2
    assert [audio.duration_s for audio in last.audio] == [1]


def test_a_message_with_only_pictures_gets_the_prompt_of_the_settings(read: Read) -> None:
    assert read([" "], [png()], []).messages[-1].text == CONFIG.image_prompt
    assert read([" "], [png()], [silence(1)]).messages[-1].text == ""


@pytest.mark.parametrize(
    ("contents", "kind", "message"),
    [
        ((["x" * 21], [], []), TooLarge, "21 characters; the limit is 20"),
        ((["x" * 21, "y"], [], []), TooLarge, "21 characters; the limit is 20"),
        (([" "], [], []), NothingToAnswer, "The last message is empty"),
        ((["x"], [png()] * 3, []), InvalidRequest, "3 pictures; the limit is 2"),
        ((["x"], [png(11, 10)], []), TooLarge, "11 x 10 pixels; the limit is 100"),
        ((["x"], [], [silence(1.1)]), TooLarge, "longer than 1 s"),
    ],
    ids=["text", "earlier text", "empty message", "pictures", "pixels", "duration"],
)
def test_rejects_contents_above_a_limit(
    read: Read, contents: tuple[list[str], list[bytes], list[bytes]], kind: type[ParleyError], message: str
) -> None:
    with pytest.raises(ParleyError, match=message) as caught:
        read(*contents)
    assert type(caught.value) is kind


def test_rejects_too_many_recordings() -> None:
    TURNS.check_counts(images=0, recordings=MAX_RECORDINGS, param="messages")
    with pytest.raises(InvalidRequest, match="65 recordings; the limit is 64") as caught:
        TURNS.check_counts(images=0, recordings=MAX_RECORDINGS + 1, param="messages")
    assert caught.value.param == "messages"


def test_all_recordings_of_a_conversation_together_have_the_limit_of_their_duration() -> None:
    turn = by_completions(["x"], [], [silence(1), silence(1)])
    assert [audio.duration_s for audio in turn.messages[-1].audio] == [1, 1]
    with pytest.raises(TooLarge, match=r"longer than 0\.4 s.* has 1\.6 s of other audio; the limit is 2 s") as caught:
        by_completions(["x"], [], [silence(0.8), silence(0.8), silence(0.8)])
    assert caught.value.param == "messages.0.content.3.input_audio"


def test_the_recordings_of_earlier_messages_count_in_the_limit_of_the_duration() -> None:
    message = {
        "role": "user",
        "content": [{"type": "input_audio", "input_audio": {"data": as_base64(silence(0.9)), "format": "wav"}}],
    }

    async def read() -> None:
        reader = CompletionReader(CONFIG, EXECUTOR, sandbox(), budget(), MODELS, Fetcher(CONFIG))
        await reader.read(received("/v1/chat/completions", json={"messages": [message] * 3}))

    with pytest.raises(TooLarge, match="1\\.8 s of other audio") as caught:
        asyncio.run(read())
    assert caught.value.param == "messages.2.content.0.input_audio"


def test_the_error_of_a_limit_names_the_field() -> None:
    for call in (
        lambda: asyncio.run(TURNS.audio(silence(2), "p")),
        lambda: asyncio.run(TURNS.image(png(20, 20), "p")),
        lambda: TURNS.conversation([TurnMessage("user", "x" * 21)], "p"),
    ):
        with pytest.raises(TooLarge) as caught:
            call()
        assert caught.value.param == "p"


def test_an_earlier_message_may_be_empty() -> None:
    messages = (TurnMessage("assistant"), TurnMessage("user", "Hi"))
    assert TURNS.conversation(messages, "p") == messages
