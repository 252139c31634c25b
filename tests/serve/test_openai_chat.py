"""/v1/chat/completions and /v1/models through OpenAI's Python client, sync and async, on fakes."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import av
import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.serve.serve_fakes import PICTURE, SPEECH

TRANSCRIPT = "it lasted"  # the start of the fake recognizer's transcript
QUESTION = {"role": "user", "content": "Good day to you."}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def recording(data: bytes = SPEECH) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": b64(data), "format": "wav"}}


def picture(data: bytes = PICTURE) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(data)}"}}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


@pytest.fixture
def api(fakes: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{fakes}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def complete(api: OpenAI) -> Callable[..., Any]:
    def create(messages: Any = (QUESTION,), **more: Any) -> Any:
        return api.chat.completions.create(**{"model": "parley", "messages": list(messages), **more})

    return create


LONG = [*({"role": "user", "content": "so " * 100}, {"role": "assistant", "content": "Yes."}) * 30, QUESTION]


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_beyond_the_context_is_answered_and_says_how_many_messages_were_dropped(
    complete: Callable[..., Any], stream: bool
) -> None:
    answer = complete(LONG, stream=stream)
    *_, last = answer if stream else [answer]
    assert last.choices[0].finish_reason == "stop"
    assert 20 < last.model_extra["parley"]["dropped_messages"] < 60


def test_a_voice_says_in_a_header_how_many_messages_were_dropped(client: httpx.Client) -> None:
    response = client.post("/chat", json={"messages": LONG[:-1], "text": "hi", "output": "voice"})
    assert response.headers["content-type"] == "audio/wav"
    assert 20 < int(response.headers["x-dropped-messages"]) < 60


def test_answers_a_text(complete: Callable[..., Any]) -> None:
    answer = complete()
    assert answer.choices[0].message.content == QUESTION["content"]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == answer.usage.completion_tokens == 4
    assert answer.usage.total_tokens == 8
    assert answer.object == "chat.completion"


def test_a_stream_has_the_same_answer_and_the_usage_on_request(complete: Callable[..., Any]) -> None:
    chunks = list(complete(stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == QUESTION["content"]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 4
    assert len({c.id for c in chunks}) == 1


def test_a_stream_has_no_usage_by_default(complete: Callable[..., Any]) -> None:
    assert all(chunk.choices and chunk.usage is None for chunk in complete(stream=True))


def test_the_async_client_gets_the_same_answers(fakes: str) -> None:
    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=f"{fakes}/v1", api_key="none") as client:
            whole = await client.chat.completions.create(model="parley", messages=[QUESTION])  # type: ignore[list-item]
            stream = await client.chat.completions.create(model="parley", messages=[QUESTION], stream=True)  # type: ignore[list-item]
            parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return whole.choices[0].message.content or "", "".join(parts)

    assert asyncio.run(both()) == (QUESTION["content"], QUESTION["content"])


def test_deltas_are_sent_as_they_are_generated(fakes: str) -> None:
    import time

    body = {"messages": [{"role": "user", "content": "word " * 25}], "stream": True}
    times = []
    with httpx.stream("POST", f"{fakes}/v1/chat/completions", json=body, timeout=30) as response:
        times = [time.monotonic() for line in response.iter_lines() if '"content":"word' in line.replace(": ", ":")]
    assert len(times) > 12  # the fake generates a word every 20 ms; some are gathered into one delta
    assert times[-1] - times[0] > 0.3


@pytest.mark.parametrize(
    ("parts", "graph", "begins"),
    [
        ([text("Hi.")], "llm", "Hi."),
        ([recording()], "asr,llm", TRANSCRIPT),
        ([text("Now:"), recording()], "asr,llm", f"Now:\n{TRANSCRIPT}"),
        ([picture()], "vision", "a picture of"),
        ([picture(), text("What?")], "vision", "a picture of"),
        ([picture(), recording()], "asr,vision", "a picture of"),
    ],
    ids=["text", "speech", "text and speech", "picture", "picture and text", "picture and speech"],
)
def test_the_parts_of_a_message_decide_the_plan(api: OpenAI, parts: list[Any], graph: str, begins: str) -> None:
    raw = api.chat.completions.with_raw_response.create(model="parley", messages=user(*parts))  # type: ignore[arg-type]
    assert raw.headers["x-graph"] == graph
    assert (raw.parse().choices[0].message.content or "").startswith(begins)


def test_the_vision_model_answers_text_if_it_is_named(api: OpenAI) -> None:
    raw = api.chat.completions.with_raw_response.create(model="fake-vision", messages=[QUESTION])  # type: ignore[list-item]
    assert raw.headers["x-graph"] == "vision"


# --- spoken answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "container", "rate"),
    [("wav", "wav", 16_000), ("mp3", "mp3", 24_000), ("flac", "flac", 16_000), ("opus", "ogg", 48_000),
     ("aac", "aac", 24_000), ("pcm16", None, 24_000)],
)  # fmt: skip
def test_a_spoken_answer_in_every_format(
    complete: Callable[..., Any], name: str, container: str | None, rate: int
) -> None:
    message = complete(modalities=["text", "audio"], audio={"voice": "alloy", "format": name}).choices[0].message
    assert message.content is None
    assert message.audio.transcript == QUESTION["content"]
    data = base64.b64decode(message.audio.data)
    seconds = len(data) / 2 / rate if container is None else duration(data, container, rate)
    assert 0.15 < seconds < 0.4  # four words of 0.05 s, and the padding of an encoder


def duration(data: bytes, container: str, rate: int) -> float:
    with av.open(io.BytesIO(data), format=container) as file:
        frames = list(file.decode(audio=0))
    assert frames[0].sample_rate == rate
    return sum(frame.samples for frame in frames) / rate


def test_a_streamed_spoken_answer_alternates_transcript_and_audio(complete: Callable[..., Any]) -> None:
    messages = [{"role": "user", "content": "One two three. Four five six. Seven eight nine."}]
    chunks = complete(messages, stream=True, modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"})
    deltas = [audio for chunk in chunks if (audio := getattr(chunk.choices[0].delta, "audio", None))]
    transcript = "".join(delta.transcript or "" for delta in deltas)
    pcm = b"".join(base64.b64decode(delta.data) for delta in deltas if delta.data)
    assert transcript == messages[0]["content"]
    assert len(pcm) / 2 / 24_000 == pytest.approx(9 * 0.05, abs=0.05)
    kinds = ["data" if delta.data else "transcript" for delta in deltas]
    assert kinds.index("data") < len(kinds) - 1 - kinds[::-1].index("transcript")
    assert deltas[-1].id


def test_a_conversation_refers_to_a_spoken_answer_by_its_id(complete: Callable[..., Any]) -> None:
    first = complete(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}).choices[0].message
    turns = [QUESTION, {"role": "assistant", "audio": {"id": first.audio.id}}, QUESTION]
    assert complete(turns).usage.prompt_tokens == 12


def test_accepts_a_message_object_of_the_client_in_the_conversation(complete: Callable[..., Any]) -> None:
    for more in ({}, {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}}):
        first = complete(**more).choices[0].message
        assert complete([QUESTION, first, QUESTION]).usage.prompt_tokens == 12


def test_an_overload_is_the_clients_internal_server_error(fakes: str) -> None:
    """VisionLLM answers two requests at a time and queues two."""

    async def send_all() -> list[Any]:
        messages = user(picture(), text("word " * 100))
        async with AsyncOpenAI(base_url=f"{fakes}/v1", api_key="none", max_retries=0, timeout=60) as client:
            calls = [client.chat.completions.create(model="parley", messages=messages) for _ in range(10)]  # type: ignore[arg-type]
            return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(send_all())
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    assert 0 < len(errors) < 10
    assert {type(error) for error in errors} == {openai.InternalServerError}
    assert {error.code for error in errors} == {"overloaded"}  # type: ignore[attr-defined]
    assert all(int(error.response.headers["retry-after"]) >= 1 for error in errors)  # type: ignore[attr-defined]


def test_a_conversation_with_all_kinds_of_input(complete: Callable[..., Any]) -> None:
    turns: list[Any] = [{"role": "developer", "content": "Be brief."}]
    for parts in ([text("a b")], [recording()], [picture(), text("c")], [text("d"), recording()], [text("e")]):
        turns.append({"role": "user", "content": parts})
        answer = complete(turns, modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
        turns.append(answer.choices[0].message)
    assert answer.choices[0].message.audio.transcript.startswith("e")
    assert answer.usage.prompt_tokens > 15


# --- options ----------------------------------------------------------------------------------------------------------


def test_the_limit_of_tokens_ends_an_answer(complete: Callable[..., Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        choice = complete(**{name: 2}).choices[0]
        assert choice.message.content.split() == ["Good", "day"]
        assert choice.finish_reason == "length"


@pytest.mark.parametrize("stop", ["to", ["xyz", "to"]])
def test_a_stop_string_ends_an_answer(complete: Callable[..., Any], stop: Any) -> None:
    choice = complete(stop=stop).choices[0]
    assert choice.message.content.strip() == "Good day"
    assert choice.finish_reason == "stop"


def test_accepts_the_parameters_of_a_model_and_those_without_effect(complete: Callable[..., Any]) -> None:
    options = {"temperature": 0.5, "top_p": 0.9, "seed": -1, "presence_penalty": -2, "frequency_penalty": 2}
    without_effect = {
        "n": 1,
        "user": "me",
        "metadata": {"a": "b"},
        "logprobs": False,
        "tools": [],
        "service_tier": "auto",
    }
    schema = {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}, "strict": True}
    format_ = {"type": "json_schema", "json_schema": schema}
    assert complete(**options, **without_effect, response_format=format_).choices[0].message.content


def test_accepts_what_clients_send_as_their_defaults(fakes: str) -> None:
    fields = {
        "messages": [QUESTION | {"name": "ada"}],
        "top_p": 0,
        "max_tokens": 1,
        "max_completion_tokens": 2,
        "stream": True,
        "stream_options": {"include_usage": None},
        "verbosity": None,
        "prompt_cache_retention": None,
    }
    response = httpx.post(f"{fakes}/v1/chat/completions", json=fields, timeout=60)
    assert response.status_code == 200, response.text
    assert response.text.count('"content":') == 3  # the first chunk, which is empty, and two tokens


def test_a_stream_to_http_1_0_has_no_chunks(fakes: str) -> None:
    url = httpx.URL(fakes)
    body = json.dumps({"messages": [QUESTION], "stream": True}).encode()
    head = (
        b"POST /v1/chat/completions HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port), timeout=60) as connection:
        connection.sendall(head % len(body) + body)
        data = b"".join(iter(lambda: connection.recv(65_536), b""))
    headers, _, content = data.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in headers.lower()
    assert content.startswith(b"data: {")
    assert content.endswith(b"data: [DONE]\n\n")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "n": ({"n": 2}, "n"),
    "logprobs": ({"logprobs": True}, "logprobs"),
    "top_logprobs": ({"top_logprobs": 3}, "top_logprobs"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    "logit_bias": ({"logit_bias": {"1": 5}}, "logit_bias"),
    "unknown model": ({"model": "gpt-4o"}, "model"),
    "a model of another kind": ({"model": "fake-tts"}, "model"),
    "unknown field": ({"extra_body": {"teperature": 1}}, "teperature"),
    "a temperature above 2": ({"temperature": 3}, "temperature"),
    "no messages": ({"messages": []}, "messages"),
    "unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    "a URL that is not allowed": ({"messages": user({"type": "image_url", "image_url": {"url": "http://a/b.png"}})},
                   "messages.0.content.0.image_url.url"),
    "broken base64": ({"messages": user({"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}})},
                      "messages.0.content.0.input_audio.data"),
    "broken audio": ({"messages": user(recording(b"RIFF0000WAVEjunk"))}, "messages.0.content.0.input_audio"),
    "a file": ({"messages": user({"type": "file", "file": {"file_id": "x"}})}, "messages.0.content.0"),
    "an assistant's picture": ({"messages": [{"role": "assistant", "content": [picture()]}, QUESTION]}, "messages.0"),
    "pictures for the text model": ({"model": "fake-llm", "messages": user(picture())}, "model"),
    "unknown audio id": ({"messages": [{"role": "assistant", "audio": {"id": "audio_x"}}, QUESTION]},
                        "messages.0.audio.id"),
    "mp3 in a stream": ({"stream": True, "modalities": ["text", "audio"], "audio": {"voice": "a", "format": "mp3"}},
                        "audio.format"),
    "audio without its modality": ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    "usage without a stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
    "longer than the context": ({"messages": [{"role": "user", "content": "word " * 3000}]}, "messages"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_rejects_an_unsupported_parameter_by_name(complete: Callable[..., Any], name: str) -> None:
    more, param = REFUSED[name]
    with pytest.raises(openai.BadRequestError) as caught:
        complete(**more)
    if name != "longer than the context":  # an error of the engine, which has no field
        assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_rejects_an_empty_conversation(complete: Callable[..., Any]) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        complete([{"role": "user", "content": ""}])


def test_rejects_a_body_that_is_not_valid_json(fakes: str) -> None:
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


def test_lists_the_models_of_the_configuration(api: OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ["parley", "fake-asr", "fake-llm", "fake-vision", "fake-tts"]
    assert api.models.retrieve("fake-llm").object == "model"
    assert httpx.get(f"{api.base_url}models/").json() == httpx.get(f"{api.base_url}models").json()
    with pytest.raises(openai.NotFoundError) as caught:
        api.models.retrieve("gpt/4o")
    assert caught.value.code == "model_not_found"


# --- web pages --------------------------------------------------------------------------------------------------------


def test_no_web_page_may_read_a_response_by_default(fakes: str) -> None:
    answer = httpx.get(f"{fakes}/v1/models", headers={"Origin": "https://page.example"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
