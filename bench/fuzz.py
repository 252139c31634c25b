"""Does the service answer thousands of wrong requests as documented, and is it the same afterwards?

    make serve CONFIG=bench/fakes.yaml      # or another configuration
    python -m bench.fuzz [--count 20000] [--seed 1] [--concurrency 8]

Method: valid requests to every route are changed at random: fields of JSON and forms, bytes of recordings and pictures
in every format, content types, queries, methods, paths, and (one in fifty) any byte of the whole request. The same seed
causes the same changes. An error must have the form of all errors (JSON with ``message``, ``type``, ``param`` and
``code``) and a status below 500, or be a 503 with ``overloaded``; a 200 must be complete. Afterwards /health must be
ready, ``--slots`` concurrent questions must be answered, and memory and open files must be those after the first tenth
of the requests, within ``MAX_GROWTH_MIB`` and ``MAX_HANDLES``.

JSON: ``requests`` per second, the number of responses by ``statuses``, ``problems`` with the requests that caused them,
and ``pss_mib`` and ``handles`` of all processes after the first tenth and at the end. The exit status is 1 after any
problem.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import av
import httpx
import numpy as np
import soundfile
from PIL import Image as Pillow

from bench.client import connect
from bench.command import URL, argument_parser, report
from bench.load import loopback
from bench.memory import Sampler

RAW_SHARE = 0.02
RAW_TIMEOUT_S = 2.0  # of the answer to a request that may be incomplete
SETTLE_S = 15.0
MAX_GROWTH_MIB, MAX_HANDLES = 150, 32
MAX_PROBLEMS = 20
PROGRESS = 1000  # requests after which a line is printed
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
ERROR_FIELDS = {"message", "type", "param", "code"}
QUESTION = {"text": "Good day."}

AUDIO = [  # container, codec, sample rate
    ("wav", "pcm_s16le", 8_000), ("wav", "pcm_f32le", 48_000), ("wav", "adpcm_ms", 44_100), ("flac", "flac", 48_000),
    ("mp3", "libmp3lame", 44_100), ("ogg", "libopus", 48_000), ("webm", "libopus", 48_000), ("ipod", "aac", 44_100),
    ("adts", "aac", 44_100),
]  # fmt: skip
PICTURES = ["PNG", "JPEG", "WEBP", "GIF"]


@dataclass(frozen=True, slots=True)
class Case:
    """A request. One with ``raw`` is sent as these bytes, and may have no answer."""

    method: str = "POST"
    path: str = "/chat"
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""

    def __str__(self) -> str:
        return repr(self.raw[:300]) if self.raw else f"{self.method} {self.path} {self.headers} {self.content[:300]!r}"


def audio_files() -> list[bytes]:
    """Return a recording of 0.3 s in each format."""
    files = []
    for container, codec, rate_hz in AUDIO:
        target = io.BytesIO()
        samples = (0.3 * np.sin(np.arange(rate_hz * 3 // 10) * 2 * np.pi * 440 / rate_hz)).astype(np.float32)
        with av.open(target, "w", format=container) as output:
            stream: Any = output.add_stream(codec, rate=rate_hz)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
            frame.sample_rate = rate_hz
            resampler = av.AudioResampler(stream.format, "mono", rate_hz, stream.frame_size or None)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                output.mux(stream.encode(part))
            output.mux(stream.encode(None))
        files.append(target.getvalue())
    vorbis = io.BytesIO()
    soundfile.write(vorbis, samples, rate_hz, format="OGG", subtype="VORBIS")
    return [*files, vorbis.getvalue()]


def picture_files() -> list[bytes]:
    """Return a picture of 40 x 30 pixels in each format."""
    image = Pillow.fromarray(np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8))
    files = []
    for name in PICTURES:
        target = io.BytesIO()
        image.save(target, name)
        files.append(target.getvalue())
    progressive, array = io.BytesIO(), io.BytesIO()
    image.save(progressive, "JPEG", progressive=True)
    np.save(array, np.asarray(image))
    return [*files, progressive.getvalue(), array.getvalue()]


class Fuzzer:
    """Yields requests, the same for the same ``seed``."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._audio = audio_files()
        self._pictures = picture_files()

    def cases(self, count: int) -> Iterator[Case]:
        """Yield ``count`` requests."""
        kinds: Sequence[Callable[[], Case]] = (self._json, self._json, self._media, self._form, self._text, self._other)
        for _ in range(count):
            case = self._random.choice(kinds)()
            yield self._as_raw(case) if self._random.random() < RAW_SHARE else case

    # --- kinds of requests --------------------------------------------------------------------------------------------

    def _json(self) -> Case:
        path, fields = self._random.choice(self._valid()[: self._random.choice((4, 4, 4, 5))])  # the last takes forms
        for _ in range(self._random.choice((0, 1, 1, 2, 5))):
            fields = self._changed(fields)
        content = json.dumps(fields, ensure_ascii=self._random.random() < 0.5).encode(errors="surrogatepass")
        if self._random.random() < 0.2:
            content = self._damaged(content)
        return Case(path=path, content=content, headers={"content-type": self._content_type(JSON), **self._accept()})

    def _media(self) -> Case:
        kind, files = self._random.choice((("audio", self._audio), ("image", self._pictures)))
        content = self._file(files)
        if kind == "audio" and self._random.random() < 0.5:
            return self._parts("/v1/audio/transcriptions", self._transcription_fields(), ("file", content))
        if self._random.random() < 0.5:
            return self._parts("/chat", {"text": "What is this?"}, (kind, content))
        headers = {"content-type": self._content_type(f"{kind}/{self._random.choice(('x', 'png', 'wav'))}")}
        return Case(path=f"/chat{self._query()}", content=content, headers={**headers, **self._accept()})

    def _form(self) -> Case:
        path, fields = self._random.choice(self._valid())
        fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        if self._random.random() < 0.5:
            return self._parts(path, self._changed(fields), None)
        pairs = [(str(name), str(value)) for name, value in self._changed_pairs(fields)]
        content = urlencode(pairs, errors="replace").encode()
        return Case(path=path, content=self._maybe_damaged(content), headers={"content-type": self._content_type(FORM)})

    def _text(self) -> Case:
        content = self._maybe_damaged(str(self._junk_text()).encode(errors="replace"))
        return Case(path=f"/chat{self._query()}", content=content, headers={"content-type": "text/plain"})

    def _other(self) -> Case:
        """Return a request with another method, path or header."""
        choose = self._random.choice
        paths = ["/chat", "/v1/chat/completions", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/models/parley",
                 "/v1/audio/translations", "/v1/realtime/client_secrets", "/v1/models", "/v1/models/", "/graph",
                 "/health", "/health/live", "/docs", "/openapi.json", "/", "//", "/v1/models/%00", "/v1/models/..%2f",
                 "/%ff", "/chat/",
                 "/v1/models/" + "x" * 3000]  # fmt: skip
        headers = dict(
            choice for choice in [
                ("x-request-id", choose(("ä", "a b", "x" * 500, "fine"))), ("authorization", choose(("Bearer x", "x"))),
                ("origin", choose(("null", "http://a.example"))), ("content-encoding", choose(("gzip", "br", "x"))),
                ("expect", "100-continue"), ("accept", choose(("", "a/b", "audio/*;q=x", "text/event-stream"))),
                ("content-type", choose((JSON, "", ";", "text/plain; charset=x", "multipart/form-data; boundary="))),
                ("range", "bytes=0-1"), ("upgrade", "h2c"), ("te", "trailers"),
            ] if self._random.random() < 0.3
        )  # fmt: skip
        method = choose(("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE", "WEIRD"))
        content = b"" if method in ("GET", "HEAD", "TRACE") else self._maybe_damaged(json.dumps(QUESTION).encode())
        return Case(method, choose(paths) + self._query(), content, headers)

    def _as_raw(self, case: Case) -> Case:
        lines = [f"{case.method} {case.path} HTTP/1.1", "host: x", f"content-length: {len(case.content)}"]
        lines += [f"{name}: {value}" for name, value in case.headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        return Case(raw=self._damaged(head) + case.content)

    def _parts(self, path: str, fields: dict[str, Any], file: tuple[str, bytes] | None) -> Case:
        parts = [(str(name), "", str(value).encode(errors="replace")) for name, value in self._changed_pairs(fields)]
        if file:
            name = self._random.choice(("speech.wav", "a.png", "x" * 300, "ä", "..\\/"))
            parts.append((self._random.choice((file[0],) * 5 + ("x",)), f'; filename="{name}"', file[1]))
        content = b"--x--\r\n"
        for name, file_name, value in reversed(parts):
            head = f'--x\r\ncontent-disposition: form-data; name="{name}"{file_name}\r\n\r\n'
            content = head.encode(errors="replace") + value + b"\r\n" + content
        if self._random.random() < 0.2:
            content = self._damaged(content)
        headers = {"content-type": self._content_type("multipart/form-data; boundary=x"), **self._accept()}
        return Case(path=path, content=content, headers=headers)

    # --- valid requests -----------------------------------------------------------------------------------------------

    def _valid(self) -> list[tuple[str, dict[str, Any]]]:
        choose = self._random.choice
        audio, picture = (base64.b64encode(self._file(files)).decode() for files in (self._audio, self._pictures))
        parts = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}", "detail": "auto"}},
            {"type": "input_audio", "input_audio": {"data": audio, "format": "wav"}},
        ]
        schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"enum": [1, "x", None]}}}
        completion = {
            "model": "parley", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content":
            choose(("Hello.", parts, parts[:1], parts[:2]))}], "max_tokens": 9, "temperature": 0, "top_p": 1,
            "stop": ["x"], "stream": choose((True, False)), "stream_options": None, "seed": 1, "n": 1, "user": "me",
            "response_format": choose((None, {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})),
            **choose(({}, {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}})),
        }  # fmt: skip
        chat = {
            "text": "Hello.", "system": "Be brief.", "output": choose(("text", "text", "voice")), "language": "en",
            "messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}],
            "temperature": 0.5, "max_tokens": 9,
            **choose(({}, {"audio": audio}, {"image": [picture]}, {"image": picture})),
        }  # fmt: skip
        formats = ("mp3", "opus", "aac", "flac", "wav", "pcm")
        speech = {"model": "parley", "input": "Hello there.", "voice": "alloy", "response_format": choose(formats),
                  "speed": 1.0, "stream_format": choose(("audio", "sse"))}  # fmt: skip
        turn_detection = choose((None, {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 500}))
        audio_input = {"format": {"type": "audio/pcm", "rate": 24_000}, "turn_detection": turn_detection}
        secret = {
            "expires_after": {"anchor": "created_at", "seconds": 60},
            "session": {"type": "realtime", "instructions": "Be brief.", "output_modalities": ["audio"],
                        "audio": {"input": audio_input, "output": {"voice": "alloy", "speed": 1.0}}},
        }  # fmt: skip
        return [("/v1/chat/completions", completion), ("/chat", chat), ("/v1/audio/speech", speech),
                ("/v1/realtime/client_secrets", secret),
                ("/v1/audio/transcriptions", self._transcription_fields())]  # fmt: skip

    def _transcription_fields(self) -> dict[str, Any]:
        format_ = self._random.choice(("json", "text", "verbose_json", "srt", "vtt"))
        return {"model": "parley", "response_format": format_, "language": "en", "stream": "false", "temperature": "0"}

    # --- changes ------------------------------------------------------------------------------------------------------

    def _changed(self, value: Any) -> Any:
        """Return a copy of JSON in which one value is another, is missing, or is added."""
        choose = self._random.choice
        if isinstance(value, dict) and value and self._random.random() < 0.9:
            name = choose(list(value))
            match choose(("into", "into", "into", "drop", "add", "rename")):
                case "into":
                    return {**value, name: self._changed(value[name])}
                case "drop":
                    return {key: kept for key, kept in value.items() if key != name}
                case "add":
                    return {**value, str(self._junk_text())[:200]: self._junk()}
                case _:
                    return {(f"{key}x" if key == name else key): kept for key, kept in value.items()}
        if isinstance(value, list) and value and self._random.random() < 0.9:
            index = self._random.randrange(len(value))
            match choose(("into", "into", "drop", "repeat")):
                case "into":
                    return [*value[:index], self._changed(value[index]), *value[index + 1 :]]
                case "drop":
                    return value[:index] + value[index + 1 :]
                case _:
                    return value[:index] + value[index : index + 1] * choose((2, 50, 2000)) + value[index:]
        if isinstance(value, str) and value and self._random.random() < 0.5:
            at = self._random.randrange(len(value))
            return value[:at] + str(self._junk_text())[:1000] + value[at + self._random.randrange(9) :]
        return self._junk()

    def _changed_pairs(self, fields: dict[str, Any]) -> list[tuple[str, Any]]:
        if self._random.random() < 0.5:
            fields = self._changed(fields)
        pairs = list(fields.items()) if isinstance(fields, dict) else []
        return pairs + self._random.choice(([], [], [], pairs[:1], [("x", "y")] * 40))

    def _junk(self) -> Any:
        nested: Any = "deep"
        for _ in range(self._random.choice((1, 30, 400))):
            nested = [nested] if self._random.random() < 0.5 else {"a": nested}
        return self._random.choice((
            None, True, False, 0, -1, 1, 0.5, 1e308, -1e-308, 2**31, 2**63, 10**400, float("nan"), float("inf"), [], {},
            [[]], [{}], {"": 0}, nested, "data:,", "data:image/png;base64,", "http://127.0.0.1:1/a.png", "file:///etc/passwd",
            ["x"] * 1000, {str(i): i for i in range(300)}, self._junk_text(), self._junk_text(), self._junk_text(),
        ))  # fmt: skip

    def _junk_text(self) -> str:
        return self._random.choice((
            "", " ", "\0", "\ud800", "a\udfff", "\u202e", "é" * 50, "🙂" * 20, "<|im_end|>" * 20, "{{ 7*7 }}", "%s%n",
            "'\"\\", "\r\nx: y", "a" * 70_000, "1e999", "-0", "null", "true", "NaN", "en-US", "<speak>",
            "../../etc/passwd", "".join(chr(self._random.randrange(1, 0xD800)) for _ in range(20)),
        ))  # fmt: skip

    def _file(self, files: Sequence[bytes]) -> bytes:
        data = self._random.choice(files)
        for _ in range(self._random.choice((0, 1, 1, 3))):
            data = self._damaged(data)
        return data

    def _maybe_damaged(self, data: bytes) -> bytes:
        return self._damaged(data) if self._random.random() < 0.5 else data

    def _damaged(self, data: bytes) -> bytes:
        """Return ``data`` with a few bytes changed, removed, repeated or added."""
        start = self._random.randrange(len(data) + 1)
        end = min(len(data), start + self._random.choice((1, 1, 4, 4, 64, 5000)))
        match self._random.randrange(8):
            case 0:
                return data[:start]
            case 1:
                return data[:start] + data[end:]
            case 2:
                return data[:end] + data[start:end] * self._random.choice((1, 3, 50)) + data[end:]
            case 3:
                return data[:start] + self._random.randbytes(end - start) + data[end:]
            case 4:
                extreme = self._random.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")
                )
                return data[:start] + extreme + data[start + 4 :]
            case 5:
                other = self._random.choice([*self._audio, *self._pictures])
                return data[:start] + other[self._random.randrange(len(other)) :]
            case 6:
                return bytes(end - start) + data
            case _:
                bits = bytearray(data)
                for _ in range(self._random.choice((1, 5, 50)) if bits else 0):
                    bits[self._random.randrange(len(bits))] ^= 1 << self._random.randrange(8)
                return bytes(bits)

    def _content_type(self, usual: str) -> str:
        others = (
            "",
            JSON,
            FORM,
            "text/plain",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "a/b",
            f"{usual}; charset=x",
        )
        return usual if self._random.random() < 0.9 else self._random.choice(others)

    def _accept(self) -> dict[str, str]:
        accepts = ("*/*", "text/event-stream", "audio/wav", "application/json", "text/plain", "image/png", "a")
        return {"accept": self._random.choice(accepts)} if self._random.random() < 0.3 else {}

    def _query(self) -> str:
        if self._random.random() < 0.7:
            return ""
        names = ("text", "output", "voice", "language", "temperature", "max_tokens", "messages", "image", "x", "")
        pairs = [
            (self._random.choice(names), str(self._junk_text())[:500]) for _ in range(self._random.choice((1, 2, 40)))
        ]
        return "?" + urlencode(pairs, errors="replace")


def problem_of(method: str, status: int, media_type: str, content: bytes) -> str:
    """Return what is wrong with a complete response; "" if nothing is."""
    if status < 400:
        return "" if status < 300 else "a redirect"
    if method == "HEAD":
        return "" if status < 500 else "a server error"
    try:
        error = json.loads(content)["error"]
        is_typed = media_type == JSON and set(error) == ERROR_FIELDS and bool(error["message"] and error["type"])
    except (ValueError, KeyError, TypeError):
        is_typed = False
    if not is_typed:
        return "an error without the form of all errors"
    return "" if status < 500 or (status == 503 and error["code"] == "overloaded") else "a server error"


@dataclass(slots=True)
class Findings:
    """The responses so far."""

    statuses: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, case: Case, status: str, problem: str, content: bytes = b"") -> None:
        self.statuses[status] += 1
        if (count := self.statuses.total()) % PROGRESS == 0:
            print(f"{count} requests, {len(self.problems)} problems", file=sys.stderr, flush=True)
        if problem:
            self.problems.append(f"{problem}: {status} {content[:300]!r} to {case}")


async def send(case: Case, client: httpx.AsyncClient, findings: Findings) -> None:
    """Send a request and add its response to ``findings``."""
    if case.raw:
        await _send_raw(case, client, findings)
        return
    try:
        headers = {name.encode(): value.encode() for name, value in case.headers.items()}
        response = await client.request(case.method, case.path, content=case.content, headers=headers)
    except httpx.HTTPError as error:
        findings.add(case, type(error).__name__, "no complete response", str(error).encode())
        return
    media_type = response.headers.get("content-type", "").partition(";")[0]
    problem = problem_of(case.method, response.status_code, media_type, response.content)
    findings.add(case, str(response.status_code), problem, response.content)


async def _send_raw(case: Case, client: httpx.AsyncClient, findings: Findings) -> None:
    """Send bytes on a connection of its own. No answer is no problem, as the request may be incomplete."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port or 80)
    answer = b""
    try:
        writer.write(case.raw)
        async with asyncio.timeout(RAW_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            answer = head + await reader.readexactly(length)
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()
    status = answer[9:12].decode(errors="replace")
    is_error = status >= "400" and b"content-length: 0" not in answer.lower()
    is_typed = b"application/json" in answer and b'{"error":' in answer
    problem = "an error without the form of all errors" if is_error and not is_typed else ""
    findings.add(case, f"raw {status or 'none'}", problem or ("a server error" if status[:1] == "5" else ""), answer)


async def fuzz(client: httpx.AsyncClient, cases: Iterator[Case], findings: Findings, concurrency: int) -> None:
    """Send all requests, ``concurrency`` at a time."""

    async def work() -> None:
        for case in cases:
            await send(case, client, findings)

    await asyncio.gather(*(work() for _ in range(concurrency)))


async def check_service(client: httpx.AsyncClient, findings: Findings, slots: int) -> None:
    """Check that the service is ready, and that ``slots`` concurrent requests are answered."""
    health = await client.get("/health")
    if health.status_code != 200 or health.json()["status"] != "ready":
        findings.problems.append(f"/health afterwards: {health.status_code} {health.text}")
    answers = await asyncio.gather(*(client.post("/chat", json=QUESTION) for _ in range(slots)))
    if refused := [answer.text for answer in answers if answer.status_code != 200]:
        findings.problems.append(f"{len(refused)} of {slots} concurrent questions refused: {refused[0]}")


async def measure(url: str, count: int, seed: int, concurrency: int, slots: int, port: int) -> dict[str, Any]:
    """Send ``count`` requests and return the figures."""
    findings = Findings()
    fuzzer = Fuzzer(seed)
    sampler = Sampler(port, period_s=60)
    async with connect(url, timeout_s=60) as client:
        started_s = time.perf_counter()
        await fuzz(client, fuzzer.cases(count // 10), findings, concurrency)
        await check_service(client, findings, slots)
        before = await sampler.take()
        await fuzz(client, fuzzer.cases(count - count // 10), findings, concurrency)
        rate = count / (time.perf_counter() - started_s)
        await asyncio.sleep(SETTLE_S)
        await check_service(client, findings, slots)
        after = await sampler.take()
    if after.pss_mib > before.pss_mib + MAX_GROWTH_MIB or after.handles > before.handles + MAX_HANDLES:
        findings.problems.append(
            f"memory {before.pss_mib} to {after.pss_mib} MiB, {before.handles} to {after.handles} open files"
        )
    return {
        "requests": count,
        "seed": seed,
        "per_s": round(rate, 1),
        "statuses": dict(sorted(findings.statuses.items())),
        "problems": findings.problems,
        "pss_mib": [before.pss_mib, after.pss_mib],
        "handles": [before.handles, after.handles],
    }


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--url", default=URL, type=loopback)
    parser.add_argument("--dashboard-port", default=8265, type=int, help="Ray's dashboard, to find the processes")
    parser.add_argument("--count", default=20_000, type=int, help="requests")
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--concurrency", default=8, type=int)
    parser.add_argument("--slots", default=32, type=int, help="max_concurrent_requests of the service")
    options = parser.parse_args()
    figures = asyncio.run(
        measure(options.url, options.count, options.seed, options.concurrency, options.slots, options.dashboard_port)
    )
    for name in ("requests", "per_s", "statuses", "pss_mib", "handles"):
        print(f"{name:10} {figures[name]}")
    for problem in figures["problems"][:MAX_PROBLEMS]:
        print(problem, file=sys.stderr)
    report("fuzz", figures | {"problems": figures["problems"][:MAX_PROBLEMS]})
    return 1 if figures["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
