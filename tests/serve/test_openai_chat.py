"""POST /v1/chat/completions and /v1/models through the stock client, sync and async, on fakes."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import av
import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from serve_fakes import PICTURE, SPEECH

HEARD = "it lasted"  # how the fake recognizer's transcript begins
WORDS = {"role": "user", "content": "Good day to you."}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def recording(data: bytes = SPEECH) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": b64(data), "format": "wav"}}


def picture(data: bytes = PICTURE) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(data)}"}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


@pytest.fixture
def api(fakes: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{fakes}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def ask(api: OpenAI) -> Callable[..., Any]:
    def create(messages: Any = (WORDS,), **more: Any) -> Any:
        return api.chat.completions.create(**{"model": "parley", "messages": list(messages), **more})

    return create


def test_a_text_is_answered(ask: Callable[..., Any]) -> None:
    answer = ask()
    assert answer.choices[0].message.content == WORDS["content"]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == answer.usage.completion_tokens == 4
    assert answer.usage.total_tokens == 8
    assert answer.object == "chat.completion"


def test_the_stream_says_the_same_and_counts_when_asked_to(ask: Callable[..., Any]) -> None:
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == WORDS["content"]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 4
    assert len({c.id for c in chunks}) == 1


def test_without_asking_the_stream_does_not_count(ask: Callable[..., Any]) -> None:
    assert all(chunk.choices and chunk.usage is None for chunk in ask(stream=True))


def test_async(fakes: str) -> None:
    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=f"{fakes}/v1", api_key="none") as client:
            whole = await client.chat.completions.create(model="parley", messages=[WORDS])  # type: ignore[list-item]
            stream = await client.chat.completions.create(model="parley", messages=[WORDS], stream=True)  # type: ignore[list-item]
            parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return whole.choices[0].message.content or "", "".join(parts)

    assert asyncio.run(both()) == (WORDS["content"], WORDS["content"])


def test_deltas_leave_as_they_are_made(fakes: str) -> None:
    import time

    body = {"messages": [{"role": "user", "content": "word " * 25}], "stream": True}
    times = []
    with httpx.stream("POST", f"{fakes}/v1/chat/completions", json=body, timeout=30) as response:
        times = [time.monotonic() for line in response.iter_lines() if '"content":"word' in line.replace(": ", ":")]
    assert len(times) > 12  # the fake says a word every 20 ms; some may meet on the way
    assert times[-1] - times[0] > 0.3


@pytest.mark.parametrize(
    ("parts", "graph", "begins"),
    [
        ([text("Hi.")], "llm", "Hi."),
        ([recording()], "asr,llm", HEARD),
        ([text("Now:"), recording()], "asr,llm", f"Now:\n{HEARD}"),
        ([picture()], "vision", "a picture of"),
        ([picture(), text("What?")], "vision", "a picture of"),
        ([picture(), recording()], "asr,vision", "a picture of"),
    ],
    ids=["text", "speech", "text and speech", "picture", "picture and text", "picture and speech"],
)
def test_parts_choose_the_way(api: OpenAI, parts: list[Any], graph: str, begins: str) -> None:
    raw = api.chat.completions.with_raw_response.create(model="parley", messages=user(*parts))  # type: ignore[arg-type]
    assert raw.headers["x-graph"] == graph
    assert (raw.parse().choices[0].message.content or "").startswith(begins)


def test_the_model_that_sees_can_be_named_for_words_alone(api: OpenAI) -> None:
    raw = api.chat.completions.with_raw_response.create(model="fake-vision", messages=[WORDS])  # type: ignore[list-item]
    assert raw.headers["x-graph"] == "vision"


# --- a voice ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "container", "rate"),
    [("wav", "wav", 16_000), ("mp3", "mp3", 24_000), ("flac", "flac", 16_000), ("opus", "ogg", 48_000),
     ("aac", "aac", 24_000), ("pcm16", None, 24_000)],
)  # fmt: skip
def test_a_voice_in_every_format(ask: Callable[..., Any], name: str, container: str | None, rate: int) -> None:
    message = ask(modalities=["text", "audio"], audio={"voice": "alloy", "format": name}).choices[0].message
    assert message.content is None
    assert message.audio.transcript == WORDS["content"]
    data = base64.b64decode(message.audio.data)
    seconds = len(data) / 2 / rate if container is None else duration(data, container, rate)
    assert 0.15 < seconds < 0.4  # four words of 0.05 s, and what an encoder adds


def duration(data: bytes, container: str, rate: int) -> float:
    with av.open(io.BytesIO(data), format=container) as file:
        frames = list(file.decode(audio=0))
    assert frames[0].sample_rate == rate
    return sum(frame.samples for frame in frames) / rate


def test_a_streamed_voice_has_transcript_and_sound_in_turn(ask: Callable[..., Any]) -> None:
    said = [{"role": "user", "content": "One two three. Four five six. Seven eight nine."}]
    chunks = ask(said, stream=True, modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"})
    deltas = [audio for chunk in chunks if (audio := getattr(chunk.choices[0].delta, "audio", None))]
    transcript = "".join(delta.transcript or "" for delta in deltas)
    sound = b"".join(base64.b64decode(delta.data) for delta in deltas if delta.data)
    assert transcript == said[0]["content"]
    assert len(sound) / 2 / 24_000 == pytest.approx(9 * 0.05, abs=0.05)
    kinds = ["data" if delta.data else "transcript" for delta in deltas]
    assert kinds.index("data") < len(kinds) - 1 - kinds[::-1].index("transcript")
    assert deltas[-1].id


def test_a_spoken_answer_is_given_back_by_its_id(ask: Callable[..., Any]) -> None:
    first = ask(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}).choices[0].message
    turns = [WORDS, {"role": "assistant", "audio": {"id": first.audio.id}}, WORDS]
    assert ask(turns).usage.prompt_tokens == 12


def test_a_message_of_the_client_is_taken_back_as_it_is(ask: Callable[..., Any]) -> None:
    for more in ({}, {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}}):
        first = ask(**more).choices[0].message
        assert ask([WORDS, first, WORDS]).usage.prompt_tokens == 12


def test_an_engine_that_is_overrun_is_the_clients_own_exception(fakes: str) -> None:
    """VisionLLM has two places and two more to wait in."""

    async def ask_all() -> list[Any]:
        said = user(picture(), text("word " * 100))
        async with AsyncOpenAI(base_url=f"{fakes}/v1", api_key="none", max_retries=0, timeout=60) as client:
            asks = [client.chat.completions.create(model="parley", messages=said) for _ in range(10)]  # type: ignore[arg-type]
            return await asyncio.gather(*asks, return_exceptions=True)

    answers = asyncio.run(ask_all())
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    assert 0 < len(errors) < 10
    assert {type(error) for error in errors} == {openai.InternalServerError}
    assert {error.code for error in errors} == {"overloaded"}  # type: ignore[attr-defined]
    assert all(int(error.response.headers["retry-after"]) >= 1 for error in errors)  # type: ignore[attr-defined]


def test_a_conversation_of_all_kinds(ask: Callable[..., Any]) -> None:
    turns: list[Any] = [{"role": "developer", "content": "Be brief."}]
    for parts in ([text("a b")], [recording()], [picture(), text("c")], [text("d"), recording()], [text("e")]):
        turns.append({"role": "user", "content": parts})
        answer = ask(turns, modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
        turns.append(answer.choices[0].message)
    assert answer.choices[0].message.audio.transcript.startswith("e")
    assert answer.usage.prompt_tokens > 15


# --- options ----------------------------------------------------------------------------------------------------------


def test_the_longest_answer(ask: Callable[..., Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        choice = ask(**{name: 2}).choices[0]
        assert choice.message.content.split() == ["Good", "day"]
        assert choice.finish_reason == "length"


@pytest.mark.parametrize("stop", ["to", ["xyz", "to"]])
def test_stop(ask: Callable[..., Any], stop: Any) -> None:
    choice = ask(stop=stop).choices[0]
    assert choice.message.content.strip() == "Good day"
    assert choice.finish_reason == "stop"


def test_what_a_model_can_be_told_is_taken(ask: Callable[..., Any]) -> None:
    options = {"temperature": 0.5, "top_p": 0.9, "seed": -1, "presence_penalty": -2, "frequency_penalty": 2}
    harmless = {"n": 1, "user": "me", "metadata": {"a": "b"}, "logprobs": False, "tools": [], "service_tier": "auto"}
    schema = {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}, "strict": True}
    format_ = {"type": "json_schema", "json_schema": schema}
    assert ask(**options, **harmless, response_format=format_).choices[0].message.content


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "n": ({"n": 2}, "n"),
    "logprobs": ({"logprobs": True}, "logprobs"),
    "top_logprobs": ({"top_logprobs": 3}, "top_logprobs"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    "logit_bias": ({"logit_bias": {"1": 5}}, "logit_bias"),
    "unknown model": ({"model": "gpt-4o"}, "model"),
    "a model for something else": ({"model": "fake-tts"}, "model"),
    "unknown field": ({"extra_body": {"teperature": 1}}, "teperature"),
    "too hot": ({"temperature": 3}, "temperature"),
    "no messages": ({"messages": []}, "messages"),
    "no such role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    "an address": ({"messages": user({"type": "image_url", "image_url": {"url": "http://a/b.png"}})},
                   "messages.0.content.0.image_url.url"),
    "broken base64": ({"messages": user({"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}})},
                      "messages.0.content.0.input_audio.data"),
    "broken sound": ({"messages": user(recording(b"RIFF0000WAVEjunk"))}, "messages.0.content.0.input_audio"),
    "a file": ({"messages": user({"type": "file", "file": {"file_id": "x"}})}, "messages.0.content.0"),
    "a picture of the assistant": ({"messages": [{"role": "assistant", "content": [picture()]}, WORDS]}, "messages.0"),
    "pictures for the blind": ({"model": "fake-llm", "messages": user(picture())}, "model"),
    "an id of nobody": ({"messages": [{"role": "assistant", "audio": {"id": "audio_x"}}, WORDS]},
                        "messages.0.audio.id"),
    "mp3 in a stream": ({"stream": True, "modalities": ["text", "audio"], "audio": {"voice": "a", "format": "mp3"}},
                        "audio.format"),
    "a voice nobody asked for": ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    "usage of no stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
    "a schema that cannot be held": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"pattern": "a"}}}},
        "response_format.json_schema.schema.pattern",
    ),
    "longer than the context": ({"messages": [{"role": "user", "content": "word " * 3000}]}, "messages"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_parley_does_not_do_is_refused_by_its_name(ask: Callable[..., Any], name: str) -> None:
    more, param = REFUSED[name]
    with pytest.raises(openai.BadRequestError) as caught:
        ask(**more)
    if name != "longer than the context":  # the engine says it, which knows no fields
        assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_nothing_to_answer_is_unprocessable(ask: Callable[..., Any]) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        ask([{"role": "user", "content": ""}])


def test_what_is_no_json_is_refused(fakes: str) -> None:
    for content, headers, status in [
        (b"{", {"content-type": "application/json"}, 400),
        (b"[]", {"content-type": "application/json"}, 400),
        (b"", {"content-type": "application/json"}, 400),
        (b"hi", {"content-type": "text/plain"}, 415),
        (b"[" * 100_000, {"content-type": "application/json"}, 400),
        (json.dumps({"messages": [{"role": "user", "content": "\ud800"}]}).encode(),
         {"content-type": "application/json"}, 400),
    ]:  # fmt: skip
        response = httpx.post(f"{fakes}/v1/chat/completions", content=content, headers=headers)
        assert response.status_code == status, content[:20]
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


# --- models -----------------------------------------------------------------------------------------------------------


def test_the_models_are_those_of_the_configuration(api: OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ["parley", "fake-asr", "fake-llm", "fake-vision", "fake-tts"]
    assert api.models.retrieve("fake-llm").object == "model"
    with pytest.raises(openai.NotFoundError) as caught:
        api.models.retrieve("gpt/4o")
    assert caught.value.code == "model_not_found"


# --- pages of a browser -----------------------------------------------------------------------------------------------


def test_no_page_may_read_an_answer_unless_the_settings_say_so(fakes: str) -> None:
    answer = httpx.get(f"{fakes}/v1/models", headers={"Origin": "https://page.example"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
