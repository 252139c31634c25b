"""OpenAI's stock client against the bundled models: what comes back means what it should."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import yaml
from openai import OpenAI

from tests.e2e.conftest import DATA, ROOT
from tests.e2e.sounds import as_wav, mp3

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


def written(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words}


def pictured(name: str, words: str) -> dict[str, Any]:
    url = f"data:image/png;base64,{b64(name)}"
    return {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": words}],
    }


def ask(api: OpenAI, *messages: Any, **more: Any) -> Any:
    return api.chat.completions.create(model="parley", messages=list(messages), **more)


def test_a_text_is_answered_whole_and_streamed(api: OpenAI) -> None:
    whole = ask(api, written(CAPITAL)).choices[0].message.content
    streamed = ask(api, written(CAPITAL), stream=True)
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
def test_speech_and_pictures_are_understood(api: OpenAI, message: Any, expected: list[str]) -> None:
    text = ask(api, message).choices[0].message.content.lower()
    assert [word for word in expected if word not in text] == []


@pytest.mark.parametrize("name", [*FORMATS, "pcm16"])
def test_a_spoken_answer_in_every_format_can_be_heard(api: OpenAI, hear: Callable[[bytes], str], name: str) -> None:
    audio = {"voice": "alloy", "format": name}
    message = ask(api, written(CAPITAL), modalities=["text", "audio"], audio=audio).choices[0].message
    assert "paris" in message.audio.transcript.lower()
    assert "paris" in hear(as_wav(base64.b64decode(message.audio.data), FORMATS.get(name)))


def test_a_spoken_answer_in_a_stream_can_be_heard(api: OpenAI, hear: Callable[[bytes], str]) -> None:
    audio = {"voice": "alloy", "format": "pcm16"}
    chunks = ask(api, written(CAPITAL), modalities=["text", "audio"], audio=audio, stream=True)
    deltas = [delta for chunk in chunks if (delta := getattr(chunk.choices[0].delta, "audio", None))]
    assert "paris" in "".join(delta.transcript or "" for delta in deltas).lower()
    assert "paris" in hear(as_wav(b"".join(base64.b64decode(d.data) for d in deltas if d.data), None))


def test_six_turns_of_all_kinds_remember_the_first(api: OpenAI) -> None:
    turns: list[Any] = []
    said: list[str] = []
    for message, aloud in [
        (written("My name is Anna."), False),
        (spoken("question.wav"), True),
        (pictured("two_red_circles.png", "What do you see?"), False),
        (spoken("seven_plus_five.wav"), True),
        (written("What is the opposite of hot?"), False),
        (written("What is my name?"), False),
    ]:
        turns.append(message)
        more = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}} if aloud else {}
        answer = ask(api, *turns, **more).choices[0].message
        said.append((answer.audio.transcript if aloud else answer.content).lower())
        turns.append({"role": "assistant", "audio": {"id": answer.audio.id}} if aloud else answer)
    assert "anna" in said[-1], said


def test_json_that_fits_a_schema(api: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "sure": {"type": "boolean"}},
        "required": ["city", "sure"],
        "additionalProperties": False,
    }
    format_ = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    answer = json.loads(ask(api, written(CAPITAL), response_format=format_).choices[0].message.content)
    assert answer.keys() == {"city", "sure"}
    assert isinstance(answer["sure"], bool)


@pytest.mark.parametrize("name", [*FORMATS, "pcm"])
def test_what_is_read_aloud_can_be_heard(api: OpenAI, hear: Callable[[bytes], str], name: str) -> None:
    data = api.audio.speech.create(
        model="pocket-tts",
        voice="alloy",
        input="The capital of France is Paris.",
        response_format=name,  # type: ignore[arg-type]
    ).content
    assert "paris" in hear(as_wav(data, FORMATS.get(name)))


def test_what_was_said_is_written_down(api: OpenAI) -> None:
    recording = ("question.wav", (DATA / "question.wav").read_bytes())
    assert "capital of france" in api.audio.transcriptions.create(model="parley", file=recording).text.lower()
    events = list(api.audio.transcriptions.create(model="parley", file=recording, stream=True))
    assert "capital of france" in events[-1].text.lower()  # type: ignore[union-attr]


def test_a_recording_of_minutes_is_written_down_with_its_times(api: OpenAI) -> None:
    """Three questions by turns, ten seconds apart, for five minutes; as MP3, in pieces of half a minute."""
    said = {"question.wav": "france", "seven_plus_five.wav": "seven", "what_is_your_name.wav": "name"}
    clips = [soundfile.read(DATA / name, dtype="float32")[0] for name in said]
    padded = [np.pad(clip, (0, 160_000 - len(clip))) for clip in clips]
    minutes = np.concatenate(padded * 10)
    recording = ("minutes.mp3", mp3(minutes))
    answer = api.audio.transcriptions.create(model="parley", file=recording, response_format="verbose_json")
    assert answer.duration == pytest.approx(300, abs=1)
    starts = [segment.start for segment in answer.segments]
    assert starts == sorted(starts)
    found = [
        (word, second)
        for second, word in enumerate(list(said.values()) * 10)
        if any(word in s.text.lower() and second * 10 - 1 <= s.start < second * 10 + 9 for s in answer.segments)
    ]
    assert len(found) >= 24, answer.text  # of thirty, each at its time; a recognizer may mishear a few


def recognizer() -> str:
    """The engine that serve_config.yaml names."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    return str(config["applications"][0]["args"]["speech_to_text"]["engine"])


@pytest.mark.skipif(recognizer() != "whisper", reason="this recognizer does not tell when each word was spoken")
def test_each_word_has_its_time(api: OpenAI) -> None:
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
def test_subtitles(api: OpenAI, name: Any, line: str) -> None:
    recording = ("question.wav", (DATA / "question.wav").read_bytes())
    answer = api.audio.transcriptions.create(model="parley", file=recording, response_format=name)
    assert re.match(line, answer)
    assert "capital of france" in answer.lower()


def test_the_models_have_names(api: OpenAI) -> None:
    names = [model.id for model in api.models.list()]
    assert names[0] == "parley"
    assert len(names) == 5


def test_a_schema_of_the_service_is_there(base_url: str) -> None:
    paths = httpx.get(f"{base_url}/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/models"} <= paths.keys()
