"""OpenAI's Python client with the bundled models: answers, speech and transcripts have the right content."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile
import yaml
from openai import OpenAI

from tests.e2e.audio import as_wav, mp3
from tests.e2e.conftest import DATA, ROOT

FORMATS = {"mp3": "mp3", "opus": "ogg", "aac": "aac", "flac": "flac", "wav": "wav"}
CAPITAL = "What is the capital of France?"


@pytest.fixture(scope="module")
def api(base_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def b64(name: str) -> str:
    return base64.b64encode((DATA / name).read_bytes()).decode()


def spoken(name: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": b64(name), "format": "wav"}}]}


def written(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def pictured(name: str, text: str) -> dict[str, Any]:
    url = f"data:image/png;base64,{b64(name)}"
    return {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}],
    }


def complete(api: OpenAI, *messages: Any, **more: Any) -> Any:
    return api.chat.completions.create(model="parley", messages=list(messages), **more)


def test_a_streamed_answer_equals_the_whole_one(api: OpenAI) -> None:
    whole = complete(api, written(CAPITAL)).choices[0].message.content
    streamed = complete(api, written(CAPITAL), stream=True)
    assert "paris" in whole.lower()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == whole


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (spoken("question.wav"), ["paris"]),
        (pictured("two_red_circles.png", "What do you see?"), ["two", "red", "circles"]),
    ],
    ids=["speech", "picture"],
)
def test_answers_speech_and_pictures(api: OpenAI, message: Any, expected: list[str]) -> None:
    text = complete(api, message).choices[0].message.content.lower()
    assert [word for word in expected if word not in text] == []


@pytest.mark.parametrize("name", [*FORMATS, "pcm16"])
def test_a_spoken_answer_is_intelligible_in_every_format(
    api: OpenAI, transcribe: Callable[[bytes], str], name: str
) -> None:
    audio = {"voice": "alloy", "format": name}
    message = complete(api, written(CAPITAL), modalities=["text", "audio"], audio=audio).choices[0].message
    assert "paris" in message.audio.transcript.lower()
    assert "paris" in transcribe(as_wav(base64.b64decode(message.audio.data), FORMATS.get(name)))


def test_a_streamed_spoken_answer_is_intelligible(api: OpenAI, transcribe: Callable[[bytes], str]) -> None:
    audio = {"voice": "alloy", "format": "pcm16"}
    chunks = complete(api, written(CAPITAL), modalities=["text", "audio"], audio=audio, stream=True)
    deltas = [delta for chunk in chunks if (delta := getattr(chunk.choices[0].delta, "audio", None))]
    assert "paris" in "".join(delta.transcript or "" for delta in deltas).lower()
    assert "paris" in transcribe(as_wav(b"".join(base64.b64decode(d.data) for d in deltas if d.data), None))


def test_the_sixth_answer_uses_the_first_message_of_a_mixed_conversation(api: OpenAI) -> None:
    turns: list[Any] = []
    answers: list[str] = []
    for message, in_voice in [
        (written("My name is Anna."), False),
        (spoken("question.wav"), True),
        (pictured("two_red_circles.png", "What do you see?"), False),
        (spoken("seven_plus_five.wav"), True),
        (written("What is the opposite of hot?"), False),
        (written("What is my name?"), False),
    ]:
        turns.append(message)
        more = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}} if in_voice else {}
        answer = complete(api, *turns, **more).choices[0].message
        answers.append((answer.audio.transcript if in_voice else answer.content).lower())
        turns.append({"role": "assistant", "audio": {"id": answer.audio.id}} if in_voice else answer)
    assert "anna" in answers[-1], answers


def test_an_answer_conforms_to_a_json_schema(api: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "sure": {"type": "boolean"}},
        "required": ["city", "sure"],
        "additionalProperties": False,
    }
    format_ = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    answer = json.loads(complete(api, written(CAPITAL), response_format=format_).choices[0].message.content)
    assert answer.keys() == {"city", "sure"}
    assert isinstance(answer["sure"], bool)


@pytest.mark.parametrize("stream", [False, True])
def test_rejects_an_unsupported_json_schema_by_name(api: OpenAI, stream: bool) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"uniqueItems": True}}}
    with pytest.raises(openai.BadRequestError) as caught:
        complete(api, written(CAPITAL), response_format=format_, stream=stream)
    assert caught.value.param == "response_format.json_schema.schema.uniqueItems"
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize("name", [*FORMATS, "pcm"])
def test_speech_is_intelligible_in_every_format(api: OpenAI, transcribe: Callable[[bytes], str], name: str) -> None:
    data = api.audio.speech.create(
        model="pocket-tts",
        voice="alloy",
        input="The capital of France is Paris.",
        response_format=name,  # type: ignore[arg-type]
    ).content
    assert "paris" in transcribe(as_wav(data, FORMATS.get(name)))


def test_transcribes_a_recording_whole_and_streamed(api: OpenAI) -> None:
    recording = ("question.wav", (DATA / "question.wav").read_bytes())
    assert "capital of france" in api.audio.transcriptions.create(model="parley", file=recording).text.lower()
    events = list(api.audio.transcriptions.create(model="parley", file=recording, stream=True))
    assert "capital of france" in events[-1].text.lower()  # type: ignore[union-attr]


def test_the_segments_of_a_long_recording_have_the_right_times(api: OpenAI) -> None:
    """Three questions in turn, ten seconds apart, for five minutes, as MP3; transcribed in pieces of half a minute."""
    words = {"question.wav": "france", "seven_plus_five.wav": "seven", "what_is_your_name.wav": "name"}
    clips = [soundfile.read(DATA / name, dtype="float32")[0] for name in words]
    padded = [np.pad(clip, (0, 160_000 - len(clip))) for clip in clips]
    minutes = np.concatenate(padded * 10)
    recording = ("minutes.mp3", mp3(minutes))
    answer = api.audio.transcriptions.create(model="parley", file=recording, response_format="verbose_json")
    assert answer.duration == pytest.approx(300, abs=1)
    starts = [segment.start for segment in answer.segments]
    assert starts == sorted(starts)
    found = [
        (word, second)
        for second, word in enumerate(list(words.values()) * 10)
        if any(word in s.text.lower() and second * 10 - 1 <= s.start < second * 10 + 9 for s in answer.segments)
    ]
    assert len(found) >= 24, answer.text  # of thirty; the recognizer makes a few errors


def recognizer() -> str:
    """Return the name of the recognizer in configs/pocket.yaml."""
    config = yaml.safe_load((ROOT / "configs" / "pocket.yaml").read_text())
    return str(config["applications"][0]["args"]["speech_to_text"]["engine"])


@pytest.mark.skipif(recognizer() != "whisper", reason="this recognizer reports no times of words")
def test_transcribes_with_the_times_of_each_word(api: OpenAI) -> None:
    answer = api.audio.transcriptions.create(
        model="parley",
        file=("question.wav", (DATA / "question.wav").read_bytes()),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert [word.word for word in answer.words or ()] == answer.text.split()
    times = [time for word in answer.words or () for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= answer.duration
    assert " ".join(segment.text for segment in answer.segments or ()) == answer.text


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("srt", r"^1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n."),
        ("vtt", r"^WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\n."),
    ],
)
def test_transcribes_as_subtitles(api: OpenAI, name: Any, line: str) -> None:
    recording = ("question.wav", (DATA / "question.wav").read_bytes())
    answer = api.audio.transcriptions.create(model="parley", file=recording, response_format=name)
    assert re.match(line, answer)
    assert "capital of france" in answer.lower()


def test_lists_the_models(api: OpenAI) -> None:
    names = [model.id for model in api.models.list()]
    assert names[0] == "parley"
    assert len(names) == 5


def test_the_openapi_schema_has_the_openai_routes(base_url: str) -> None:
    paths = httpx.get(f"{base_url}/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/models"} <= paths.keys()
