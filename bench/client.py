"""A timed HTTP client of ``POST /chat``; ``bench.openai`` adds OpenAI's routes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import aiohttp
import httpx

from bench.audio import InvalidWav, read_wav, wav_header_bytes
from deployments.messages import Audio

Output = Literal["text", "voice"]


class InvalidResponse(Exception):
    """The status was 200, but the body is not a valid response."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of /chat; ``audio`` is a WAV file, ``image`` a PNG file."""

    output: Output
    text: str | None = None
    audio: bytes | None = None
    image: bytes | None = None

    def form(self) -> list[tuple[str, tuple[str | None, str | bytes]]]:
        """Return the form fields. The temperature is 0, so that repeated requests cause the same work."""
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
class Response:
    """A complete response with its timing, in seconds from the call.

    ``first_s`` is the time of the first delta, or of the first sample after the WAV header; ``last_s`` that of the end.
    ``arrivals_s`` are the times of all deltas or chunks of audio. ``text`` is empty for audio without a transcript,
    ``audio`` is ``None`` for text. Of an error, ``text`` is the body and ``retry_after`` the header.
    """

    status: int
    text: str
    audio: Audio | None
    first_s: float
    last_s: float
    arrivals_s: tuple[float, ...] = ()
    retry_after: str = ""


class Stopwatch:
    """Seconds since it was created, and the times of the values that arrived."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.arrivals_s: list[float] = []

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._started

    def mark(self) -> None:
        """Record the arrival of a value."""
        self.arrivals_s.append(self.elapsed_s())

    @property
    def first_s(self) -> float | None:
        return self.arrivals_s[0] if self.arrivals_s else None


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Connections of aiohttp for httpx, one for each concurrent request.

    httpx's own pool iterates over all connections whenever a request starts or ends, and parses in Python: with many
    clients it would take CPU time from the service under test.
    """

    def __init__(self, timeout_s: float) -> None:
        """``timeout_s`` limits the time without any data."""
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._session is None:  # a session needs a running event loop
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, auto_decompress=False)
        with _httpx_errors():
            response = await self._session.request(
                request.method,
                str(request.url),
                headers=request.headers.items(),
                data=await request.aread(),
                allow_redirects=False,
            )
        return httpx.Response(response.status, headers=list(response.headers.items()), stream=_Body(response))

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for part in self._response.content.iter_any():
                yield part

    async def aclose(self) -> None:
        self._response.release()


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise aiohttp's errors as httpx's."""
    try:
        yield
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx.TransportError(str(error) or type(error).__name__) from error


class _Client(httpx.AsyncClient):
    """Sends requests without httpx's handling of cookies, redirects and authorization."""

    def __init__(self, url: str, transport: AiohttpTransport) -> None:
        super().__init__(base_url=url, transport=transport, trust_env=False)
        self._aiohttp = transport

    async def send(self, request: httpx.Request, *, stream: bool = False, **_: Any) -> httpx.Response:
        response = await self._aiohttp.handle_async_request(request)
        response.request = request
        if not stream:
            await response.aread()
        return response


def connect(url: str, *, timeout_s: float = 120) -> httpx.AsyncClient:
    """Return a client with kept-alive connections; proxies of the environment are ignored."""
    return _Client(url, AiohttpTransport(timeout_s))


def build_post(client: httpx.AsyncClient, path: str, **content: Any) -> httpx.Request:
    """Build a POST that can be sent many times: encoding it for each call would take CPU time from the service."""
    request = client.build_request("POST", path, **content)
    request.read()
    return request


@lru_cache(256)
def _chat_post(client: httpx.AsyncClient, request: Request) -> httpx.Request:
    accept = "audio/wav" if request.output == "voice" else "text/event-stream"
    return build_post(client, "/chat", files=request.form(), headers={"Accept": accept})


async def post_chat(client: httpx.AsyncClient, request: Request) -> Response:
    """Call /chat and read the whole stream. Raise ``InvalidResponse`` and httpx's transport errors."""
    watch = Stopwatch()
    async with aclosing(await client.send(_chat_post(client, request), stream=True)) as response:
        if response.status_code != 200:
            return await read_error(response, watch)
        if request.output == "voice":
            return await read_wav_stream(response, watch)
        return await _read_text_stream(response, watch)


async def read_error(response: httpx.Response, watch: Stopwatch) -> Response:
    """Read a response whose status is not 200."""
    body = (await response.aread()).decode(errors="replace")
    elapsed_s = watch.elapsed_s()
    retry_after = response.headers.get("Retry-After", "")
    return Response(response.status_code, body, None, elapsed_s, elapsed_s, retry_after=retry_after)


def timed_response(watch: Stopwatch, text: str, audio: Audio | None = None) -> Response:
    """Return the response that has just ended. Raise ``InvalidResponse`` if ``watch`` has no arrivals."""
    if watch.first_s is None:
        raise InvalidResponse("the response is empty")
    return Response(200, text, audio, watch.first_s, watch.elapsed_s(), tuple(watch.arrivals_s))


async def read_wav_stream(response: httpx.Response, watch: Stopwatch) -> Response:
    """Read a WAV file that is streamed while it is synthesized."""
    received = bytearray()
    header = 0
    async for chunk in response.aiter_raw():
        received += chunk
        header = header or wav_header_bytes(received)
        if header and len(received) > header:
            watch.mark()
    return timed_response(watch, "", decode_wav(bytes(received)))


def decode_wav(file: bytes) -> Audio:
    """Decode the WAV file of a response. Raise ``InvalidResponse``."""
    try:
        return read_wav(file)
    except InvalidWav as error:
        raise InvalidResponse(str(error)) from error


async def _read_text_stream(response: httpx.Response, watch: Stopwatch) -> Response:
    deltas: list[str] = []
    async for name, data in read_events(response.aiter_lines()):
        if name == "error":
            raise InvalidResponse(data["error"]["message"])
        if name == "text":
            watch.mark()
            deltas.append(data["text"])
    return timed_response(watch, "".join(deltas))


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the data of each server-sent event; OpenAI's ``[DONE]`` is skipped."""
    name = ""
    async for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and value != "[DONE]":
            yield name, json.loads(value)
