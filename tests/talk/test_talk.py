"""The client for the terminal, as its own process's ``main``, against a stand-in for the service."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from talk import __main__ as program

HELLO = Path(__file__).resolve().parents[1] / "data" / "hello.wav"
KEY = "a-key-of-the-tests"
TRANSCRIPTION = "conversation.item.input_audio_transcription.completed"
ANSWER: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_a"}},
    {"type": "response.output_audio_transcript.delta", "delta": "My name is Parley."},
    {"type": "response.output_audio.delta", "item_id": "item_b", "delta": "AQAB" * 160},
    {"type": "response.done", "response": {"id": "resp_a", "status": "completed"}},
]
SPOKEN: list[dict[str, Any]] = [
    {"type": "input_audio_buffer.speech_stopped", "item_id": "item_a", "audio_end_ms": 1000},
    {"type": TRANSCRIPTION, "item_id": "item_a", "transcript": "Hello."},
]
REFUSAL = {"type": "error", "error": {"code": "too_many_sessions", "message": "All sessions are taken."}}

Run = Callable[..., int]


class Standin:
    """A service that answers speech after 0.4 s of silence, and response.create, with ``answers``."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = SPOKEN + ANSWER
        self.closes_after: str | None = None  # a type of the client's events
        self.key = ""
        self.url = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.received if event["type"] == kind]

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        async with serve(self._talk, "127.0.0.1", 0, process_request=self._admit) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"
            self._ready.set()
            await self._stop.wait()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            status = HTTPStatus.UNAUTHORIZED
            return Response(status.value, status.phrase, Headers({"Content-Length": "0"}))
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        quiet = -1  # blocks of silence after speech; -1: nothing was said that is not answered
        async for message in connection:
            event = json.loads(message)
            self.received.append(event)
            if event["type"] == self.closes_after:
                return
            if event["type"] == "input_audio_buffer.append":
                is_silence = set(event["audio"]) <= {"A", "="}
                quiet = (quiet + 1 if quiet >= 0 else -1) if is_silence else 0
            if event["type"] == "response.create" or quiet == 10:
                quiet = -1
                for answer in self.answers:
                    await connection.send(json.dumps(answer))


@pytest.fixture
def service() -> Iterator[Standin]:
    standin = Standin()
    standin.start()
    yield standin
    standin.stop()


@pytest.fixture
def run(service: Standin, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program with arguments, and return its exit code."""

    def main(*arguments: str | Path, url: str = "") -> int:
        monkeypatch.setattr(sys, "argv", ["talk", "--url", url or service.url, *map(str, arguments)])
        return program.main()

    monkeypatch.delenv("PARLEY_API_KEY", raising=False)
    return main


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed to stderr, which must be one line."""
    text = capsys.readouterr().err
    assert text.startswith("talk: ")
    assert text.count("\n") == 1
    return text


def test_a_recording_is_answered_with_its_times(run: Run, service: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--wav", HELLO) == 0
    you, parley, times = capsys.readouterr().out.splitlines()
    assert you == "you: Hello."
    assert parley == "parley: My name is Parley."
    named = dict(part.strip().removesuffix(" ms").rsplit(" ", 1) for part in times.split(","))
    assert list(named) == ["end of speech detected", "transcript", "first word", "first sound", "done"]
    assert all(0 <= int(ms) < 5000 for ms in named.values())
    assert service.received[0]["type"] == "session.update"


def test_the_audio_of_the_answers_is_saved(run: Run, tmp_path: Path) -> None:
    assert run("--text", "Who are you?", "--text", "And who am I?", "--save", tmp_path / "answers.wav") == 0
    with wave.open(str(tmp_path / "answers.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 2 * 240)


def test_every_event_is_printed_without_its_audio(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--wav", HELLO, "--events") == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [event["type"] for event in printed] == [event["type"] for event in SPOKEN + ANSWER]
    assert printed[-2]["delta"] == "(640 characters)"


def test_a_picture_goes_with_the_first_text(run: Run, service: Standin) -> None:
    picture = HELLO.with_name("two_red_circles.png")
    assert run("--text", "What is this?", "--text", "And now?", "--image", picture) == 0
    first, second = (event["item"]["content"] for event in service.events("conversation.item.create"))
    assert [part["type"] for part in first] == ["input_text", "input_image"]
    assert first[1]["image_url"].startswith("data:image/png;base64,")
    assert [part["type"] for part in second] == ["input_text"]


def test_the_session_has_what_the_arguments_say(run: Run, service: Standin) -> None:
    arguments = ("--text", "Hello", "--text-only", "--voice", "af_heart", "--instructions", "Be brief.")
    assert run(*arguments) == 0
    (update,) = service.events("session.update")
    assert update["session"]["output_modalities"] == ["text"]
    assert update["session"]["audio"]["output"] == {"voice": "af_heart"}
    assert update["session"]["instructions"] == "Be brief."


def test_without_a_service_one_line_says_so(run: Run, service: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    service.stop()
    assert run("--wav", HELLO) == 1
    assert service.url.split("/")[2].split(":")[1] in error(capsys)


def test_a_refused_session_says_why(run: Run, service: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    service.answers = [REFUSAL]
    assert run("--text", "Hello") == 1
    assert error(capsys) == "talk: All sessions are taken.\n"


def test_an_answer_that_fails_says_why(run: Run, service: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    failure = {"type": "failed", "error": {"message": "TextLLM is being restarted; try again."}}
    response = {"id": "resp_a", "status": "failed", "status_details": failure}
    service.answers = [{"type": "response.done", "response": response}]
    assert run("--text", "Hello") == 1
    assert error(capsys) == "talk: TextLLM is being restarted; try again.\n"


def test_a_recording_without_words_says_so(run: Run, service: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    service.answers = [SPOKEN[0], SPOKEN[1] | {"transcript": ""}]
    assert run("--wav", HELLO) == 1
    assert error(capsys) == "talk: the service heard no words\n"


def test_words_that_cannot_be_recognized_say_why(
    run: Run, service: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = TRANSCRIPTION.replace("completed", "failed")
    service.answers = [
        {"type": failed, "item_id": "item_a", "error": {"message": "Too many recordings wait."}},
        *ANSWER,
    ]
    assert run("--wav", HELLO) == 1
    assert error(capsys) == "talk: Too many recordings wait.\n"


def test_a_recording_of_silence_says_so(
    run: Run, service: Standin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talk.client.SILENCE_S", 0.2)
    assert run("--wav", HELLO.with_name("silence.wav")) == 1
    assert error(capsys) == "talk: the service heard no speech\n"


@pytest.mark.parametrize("kind", ["session.update", "input_audio_buffer.append"])
def test_a_connection_that_ends_early_says_so(
    run: Run, service: Standin, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    service.closes_after = kind
    assert run("--wav", HELLO) == 1
    assert "closed the connection" in error(capsys)


@pytest.mark.parametrize("arguments", [[], ["--key", "another key"]])
def test_a_wrong_key_is_named(
    run: Run, service: Standin, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    service.key = KEY
    assert run("--text", "Hello", *arguments) == 1
    text = error(capsys)
    assert "status 401" in text
    assert "--key or PARLEY_API_KEY" in text


def test_the_key_of_the_environment_is_used(run: Run, service: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    service.key = KEY
    monkeypatch.setenv("PARLEY_API_KEY", KEY)
    assert run("--text", "Hello") == 0


@pytest.mark.parametrize("option", ["--wav", "--image"])
def test_a_missing_file_is_named(run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str) -> None:
    assert run("--text", "Hello", option, tmp_path / "missing.wav") == 1
    assert "missing.wav" in error(capsys)


@pytest.mark.parametrize("content", [b"", b"no recording at all"])
def test_a_file_that_is_no_recording_is_named(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "broken.wav").write_bytes(content)
    assert run("--wav", tmp_path / "broken.wav") == 1
    assert "broken.wav" in error(capsys)


def test_a_file_without_sound_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--wav", HELLO.with_name("two_red_circles.png")) == 1
    assert "two_red_circles.png" in error(capsys)


def test_an_address_that_is_none_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--text", "Hello", url="localhost:8000") == 1
    assert "localhost:8000" in error(capsys)
