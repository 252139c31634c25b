"""What the benches share: a timed client of ``POST /chat``, sound files, and the statistics of a list of timings.

Knows nothing of engines. A request takes the road a person with curl takes: a form goes in, the answer streams out.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import aiohttp
import httpx
import numpy as np

from deployments.messages import Audio

Output = Literal["text", "voice"]


class BrokenAnswer(Exception):
    """The service said 200 and then sent something that is no answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of /chat; ``audio`` is the bytes of a WAV file, ``image`` those of a PNG."""

    output: Output
    text: str | None = None
    audio: bytes | None = None
    image: bytes | None = None

    def form(self) -> list[tuple[str, tuple[str | None, str | bytes]]]:
        """The fields of the form; always the likeliest answer, so that two runs do the same work."""
        fields: list[tuple[str, tuple[str | None, str | bytes]]] = [
            ("output", (None, self.output)),
            ("temperature", (None, "0")),
        ]
        if self.text is not None:
            fields.append(("text", (None, self.text)))
        if self.audio is not None:
            fields.append(("audio", ("speech.wav", self.audio)))
        if self.image is not None:
            fields.append(("image", ("picture.png", self.image)))
        return fields


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``first_s`` and ``last_s`` are seconds from the call to the first and the last of the answer.

    The first of a text is its first words, of a voice its first sample after the WAV header; ``pieces_s`` are the times
    of all that came, the first included. ``text`` is empty for a voice whose words are not told, ``audio`` is ``None``
    for a text; of a refusal, ``text`` is the error body and ``retry_after`` that header.
    """

    status: int
    text: str
    audio: Audio | None
    first_s: float
    last_s: float
    pieces_s: tuple[float, ...] = ()
    retry_after: str = ""


class Stopwatch:
    """Seconds since it was made, and when each piece of something came."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.pieces_s: list[float] = []

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._started

    def mark(self) -> None:
        """A piece has come."""
        self.pieces_s.append(self.elapsed_s())

    @property
    def first_s(self) -> float | None:
        """When the first piece came."""
        return self.pieces_s[0] if self.pieces_s else None


class Connections(httpx.AsyncBaseTransport):
    """httpx by aiohttp's connections, one for each request under way.

    Whoever asks a hundred times a second should not take the service's processor for it: httpx's own pool looks at all
    its connections whenever a request begins or ends, and parses in Python.
    """

    def __init__(self, timeout_s: float) -> None:
        """``timeout_s`` is the longest silence."""
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._session is None:  # which wants a loop that runs
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, auto_decompress=False)
        with _as_httpx():
            answer = await self._session.request(
                request.method,
                str(request.url),
                headers=request.headers.items(),
                data=await request.aread(),
                allow_redirects=False,
            )
        return httpx.Response(answer.status, headers=list(answer.headers.items()), stream=_Body(answer))

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Body(httpx.AsyncByteStream):
    """The body of an answer as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._answer.content.iter_any():
                yield part

    async def aclose(self) -> None:
        self._answer.release()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """aiohttp's errors as httpx's."""
    try:
        yield
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx.TransportError(str(error) or type(error).__name__) from error


class _Client(httpx.AsyncClient):
    """Sends a request as it is: without looking for cookies, redirects and authorization."""

    def __init__(self, url: str, connections: Connections) -> None:
        super().__init__(base_url=url, transport=connections, trust_env=False)
        self._connections = connections

    async def send(self, request: httpx.Request, *, stream: bool = False, **_: Any) -> httpx.Response:
        response = await self._connections.handle_async_request(request)
        response.request = request
        if not stream:
            await response.aread()
        return response


def connect(url: str, *, timeout_s: float = 120) -> httpx.AsyncClient:
    """A client that keeps its connections, and knows no proxy of the environment."""
    return _Client(url, Connections(timeout_s))


def prepared(client: httpx.AsyncClient, path: str, **content: Any) -> httpx.Request:
    """A POST that is made once and may be sent many times: whoever asks a hundred times a second should not make each
    anew."""
    call = client.build_request("POST", path, **content)
    call.read()
    return call


@lru_cache(256)
def _call(client: httpx.AsyncClient, request: Request) -> httpx.Request:
    accept = "audio/wav" if request.output == "voice" else "text/event-stream"
    return prepared(client, "/chat", files=request.form(), headers={"Accept": accept})


async def ask(client: httpx.AsyncClient, request: Request) -> Answer:
    """Call /chat and take the answer as it comes. Raises ``BrokenAnswer`` and httpx's transport errors."""
    watch = Stopwatch()
    async with aclosing(await client.send(_call(client, request), stream=True)) as response:
        if response.status_code != 200:
            return await refused(response, watch)
        if request.output == "voice":
            return await wav_answer(response, watch)
        return await _text(response, watch)


async def refused(response: httpx.Response, watch: Stopwatch) -> Answer:
    """The answer that says no."""
    refusal = (await response.aread()).decode(errors="replace")
    took_s = watch.elapsed_s()
    retry_after = response.headers.get("Retry-After", "")
    return Answer(response.status_code, refusal, None, took_s, took_s, retry_after=retry_after)


def answer_of(watch: Stopwatch, text: str, audio: Audio | None = None) -> Answer:
    """The answer whose pieces ``watch`` has seen. Raises ``BrokenAnswer`` if there were none."""
    if watch.first_s is None:
        raise BrokenAnswer("an answer without anything in it")
    return Answer(200, text, audio, watch.first_s, watch.elapsed_s(), tuple(watch.pieces_s))


async def wav_answer(response: httpx.Response, watch: Stopwatch) -> Answer:
    """A voice as a WAV file that comes while it is spoken."""
    received = bytearray()
    header = 0
    async for chunk in response.aiter_raw():
        received += chunk
        header = header or wav_header_bytes(received)
        if header and len(received) > header:
            watch.mark()
    return answer_of(watch, "", read_wav(bytes(received)))


async def _text(response: httpx.Response, watch: Stopwatch) -> Answer:
    pieces: list[str] = []
    async for name, data in server_sent(response.aiter_lines()):
        if name == "error":
            raise BrokenAnswer(data["error"]["message"])
        if name == "text":
            watch.mark()
            pieces.append(data["text"])
    return answer_of(watch, "".join(pieces))


async def server_sent(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Name and data of each server-sent event, up to OpenAI's mark of the end."""
    name = ""
    async for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and value != "[DONE]":
            yield name, json.loads(value)


# --- sound ------------------------------------------------------------------------------------------------------------


def wav_header_bytes(start: bytes | bytearray) -> int:
    """Length of everything before the first sample; 0 while that is not known yet."""
    at = start.find(b"data", 12)
    return at + 8 if at >= 0 and len(start) >= at + 8 else 0


def read_wav(file: bytes) -> Audio:
    """A 16-bit mono WAV, a streamed one of unknown length included. Raises ``BrokenAnswer`` for anything else."""
    header = wav_header_bytes(file)
    form = file.find(b"fmt ", 12)
    if not file.startswith(b"RIFF") or not header or form < 0:
        raise BrokenAnswer(f"no WAV: {file[:16]!r}...")
    coding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", file, form + 8)
    if (coding, channels, bits) != (1, 1, 16):
        raise BrokenAnswer(f"WAV of coding {coding}, {channels} channels, {bits} bits; expected 16-bit mono PCM")
    samples = np.frombuffer(file[header : len(file) - (len(file) - header) % 2], "<i2")
    return Audio(samples.astype(np.float32) / np.float32(32768), rate_hz)


def write_wav(audio: Audio) -> bytes:
    """The sound as a 16-bit mono WAV file."""
    pcm = audio.pcm16().tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, audio.rate_hz, 2 * audio.rate_hz, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + len(pcm), b"WAVE") + form + struct.pack("<4sI", b"data", len(pcm)) + pcm


def resample(audio: Audio, rate_hz: int) -> Audio:
    """The same sound at another rate, band-limited."""
    import av  # here, as most benches have nothing to do with sound, and a GPU's machine may lack it

    if audio.rate_hz == rate_hz:
        return audio
    frame = av.AudioFrame.from_ndarray(audio.pcm16()[None], format="s16", layout="mono")
    frame.sample_rate = audio.rate_hz
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return Audio(np.concatenate(parts), rate_hz)


# --- figures ----------------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0..1) of the values lie, linear between two neighbours."""
    return float(np.quantile(np.asarray(values, np.float64), share))


def spread_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile of timings, in milliseconds."""
    return {"p50_ms": round(1000 * percentile(seconds, 0.5), 1), "p95_ms": round(1000 * percentile(seconds, 0.95), 1)}


def gaps_s(pieces_s: Sequence[float]) -> list[float]:
    """Seconds between the pieces of an answer."""
    return [after - before for before, after in pairwise(pieces_s)]


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the ratios of timings taken side by side: what disturbs the machine disturbs both of a pair."""
    return round(percentile([n / d for n, d in zip(numerators, denominators, strict=True)], 0.5), 3)


def report(bench: str, figures: dict[str, Any]) -> None:
    """The last line of every bench: its figures as one line of JSON on standard output."""
    sys.stdout.flush()
    print(json.dumps({"bench": bench, **figures}), flush=True)
