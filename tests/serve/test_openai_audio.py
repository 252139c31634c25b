"""/v1/audio/speech, /transcriptions and /translations through OpenAI's Python client, sync and async, on fakes."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.serve.serve_fakes import PICTURE, SPEECH, wav

TEXT = "One two three. Four five six."
CONTAINERS = {"mp3": ("mp3", 24_000), "opus": ("ogg", 48_000), "aac": ("aac", 24_000), "flac": ("flac", 16_000),
              "wav": ("wav", 16_000)}  # fmt: skip
FILE = ("question.wav", SPEECH)


@pytest.fixture
def api(fakes: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{fakes}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def seconds(data: bytes, name: str) -> float:
    if name == "pcm":
        return len(data) / 2 / 24_000
    container, rate = CONTAINERS[name]
    with av.open(io.BytesIO(data), format=container) as file:
        frames = list(file.decode(audio=0))
    assert frames[0].sample_rate == rate
    return sum(frame.samples for frame in frames) / rate


# --- speech -----------------------------------------------------------------------------------------------------------


def speech(api: OpenAI, **more: Any) -> bytes:
    return api.audio.speech.create(**{"model": "fake-tts", "voice": "alloy", "input": TEXT, **more}).content


@pytest.mark.parametrize("name", [*CONTAINERS, "pcm"])
def test_speech_in_every_format(api: OpenAI, name: str) -> None:
    assert seconds(speech(api, response_format=name), name) == pytest.approx(6 * 0.05, abs=0.12)


def test_the_default_format_of_speech_is_mp3(api: OpenAI) -> None:
    assert seconds(speech(api), "mp3") > 0


def test_half_the_speed_is_twice_the_duration(api: OpenAI) -> None:
    assert seconds(speech(api, response_format="pcm", speed=0.5), "pcm") == pytest.approx(0.6, abs=0.05)


def test_speech_is_sent_while_it_is_synthesized(api: OpenAI) -> None:
    with api.audio.speech.with_streaming_response.create(
        model="fake-tts", voice="nova", input="word " * 30, response_format="pcm"
    ) as response:
        assert response.headers["content-type"] == "audio/pcm"
        chunks = list(response.iter_bytes())
    assert len(chunks) > 5
    assert seconds(b"".join(chunks), "pcm") == pytest.approx(30 * 0.05, abs=0.1)


def test_speech_as_events(fakes: str) -> None:
    body = {"model": "fake-tts", "voice": "alloy", "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    with httpx.stream("POST", f"{fakes}/v1/audio/speech", json=body, timeout=30) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    assert seconds(b"".join(base64.b64decode(event["audio"]) for event in events[:-1]), "pcm") > 0.2
    # Input in characters, output in units of 50 ms: six words of one unit each.
    assert events[-1]["usage"] == {"input_tokens": len(TEXT), "output_tokens": 6, "total_tokens": len(TEXT) + 6}


def test_speech_async(fakes: str) -> None:
    async def create() -> bytes:
        async with AsyncOpenAI(base_url=f"{fakes}/v1", api_key="none") as client:
            answer = await client.audio.speech.create(model="parley", voice="alloy", input=TEXT, response_format="flac")
            return answer.content

    assert seconds(asyncio.run(create()), "flac") > 0.2


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": "a" * 4097}, "input"),
        ({"input": ""}, "input"),
        ({"speed": 5}, "speed"),
        ({"response_format": "aiff"}, "response_format"),
        ({"model": "tts-1"}, "model"),
    ],
)
def test_rejects_invalid_speech_parameters_by_name(api: OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        speech(api, **more)
    assert caught.value.param == param


def test_accepts_null_for_optional_parameters_and_instructions_without_effect(fakes: str) -> None:
    fields = {"input": TEXT, "model": None, "voice": None, "speed": None, "response_format": None,
              "stream_format": None, "instructions": "Whisper."}  # fmt: skip
    response = httpx.post(f"{fakes}/v1/audio/speech", json=fields, timeout=60)
    assert response.headers["content-type"] == "audio/mpeg"
    assert seconds(response.content, "mp3") > 0.2


def test_rejects_a_text_without_a_word(api: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        speech(api, input="...")


# --- transcriptions ---------------------------------------------------------------------------------------------------


def transcribe(api: OpenAI, **more: Any) -> Any:
    return api.audio.transcriptions.create(**{"model": "fake-asr", "file": FILE, **more})


def test_transcribes_a_recording(api: OpenAI) -> None:
    answer = transcribe(api, language="en", prompt="A question.", temperature=0.5)
    assert answer.text.startswith("it lasted")
    assert answer.usage.seconds >= 1


def test_transcription_as_text_with_times_and_as_subtitles(api: OpenAI) -> None:
    assert transcribe(api, response_format="text").strip().startswith("it lasted")
    verbose = transcribe(api, response_format="verbose_json", timestamp_granularities=["segment"])
    assert " ".join(segment.text for segment in verbose.segments) == verbose.text
    assert [segment.id for segment in verbose.segments] == [0, 1, 2]
    assert verbose.segments[-1].end == pytest.approx(verbose.duration, abs=0.01)
    srt = transcribe(api, response_format="srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:0")
    vtt = transcribe(api, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:0")


@pytest.mark.parametrize("language", ["en-US", "English", "auto", ""])
def test_accepts_a_language_in_each_form(api: OpenAI, language: str) -> None:
    assert transcribe(api, language=language).text.startswith("it lasted")


def test_rejects_nan_samples_as_the_other_routes_do(api: OpenAI) -> None:
    samples = np.zeros(1600, np.float32)
    samples[7] = np.nan
    with pytest.raises(openai.BadRequestError, match="NaN") as caught:
        transcribe(api, file=("nan.wav", wav(samples, "FLOAT")))
    assert caught.value.code == "broken_media"


def test_transcription_is_streamed(api: OpenAI) -> None:
    events = list(transcribe(api, stream=True))
    assert [event.type for event in events] == ["transcript.text.delta"] * 3 + ["transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text


def test_transcription_async(fakes: str) -> None:
    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=f"{fakes}/v1", api_key="none") as client:
            whole = await client.audio.transcriptions.create(model="parley", file=FILE)
            stream = await client.audio.transcriptions.create(model="parley", file=FILE, stream=True)
            parts = [event.delta async for event in stream if event.type == "transcript.text.delta"]
        return whole.text, "".join(parts)

    whole, streamed = asyncio.run(both())
    assert whole == streamed


def test_transcribes_a_long_recording_in_pieces(api: OpenAI) -> None:
    minutes = wav(np.tile(np.sin(np.arange(16_000) / 10).astype(np.float32), 100))
    answer = transcribe(api, file=("long.wav", minutes), response_format="verbose_json")
    assert answer.text.count("it lasted") in (4, 5)  # pieces of 20 to 30 s out of 100 s
    starts = [segment.start for segment in answer.segments]
    assert starts == sorted(starts)
    assert answer.duration == pytest.approx(100)
    assert answer.segments[-1].end == pytest.approx(100, abs=0.1)


def test_the_transcript_of_silence_is_empty(api: OpenAI) -> None:
    assert transcribe(api, file=("silence.wav", wav(np.zeros(16_000)))).text == ""


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": "whisper-1"}, "model"),
        ({"temperature": 2}, "temperature"),
        ({"language": "Klingon"}, "language"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"timestamp_granularities": ["word"], "response_format": "verbose_json"}, "timestamp_granularities"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"include": ["logprobs"]}, "include"),
        ({"file": ("a.wav", b"RIFF0000WAVEjunk")}, "file"),
    ],
)
def test_rejects_invalid_transcription_parameters_by_name(api: OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        transcribe(api, **more)
    assert caught.value.param == param


def test_rejects_a_file_that_is_not_audio(api: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        transcribe(api, file=("a.png", PICTURE))
    assert caught.value.status_code == 415


def test_rejects_a_form_without_a_file(fakes: str) -> None:
    response = httpx.post(f"{fakes}/v1/audio/transcriptions", files={"model": (None, "parley")})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "file"
    assert httpx.post(f"{fakes}/v1/audio/transcriptions", json={}).status_code == 415


def test_rejects_translation(api: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="does not translate"):
        api.audio.translations.create(model="parley", file=FILE)
