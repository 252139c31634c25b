"""The limits of the proxy's HTTP server, with a real server on a port of the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from graphs.http import server
from graphs.http.server import install

LARGE_BYTES = 20_000_000
CHUNK = bytes(1_000_000)
WITHIN_S = 20


class Application:
    """Responds with what it received. /large is a response of ``LARGE_BYTES``; /early ignores the body."""

    def __init__(self) -> None:
        self.disconnected = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "hello"})
            await send({"type": "websocket.close"})
        elif scope["path"] == "/large":
            await self._large(receive, send)
        else:
            await self._echo(scope, receive, send)

    async def _echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = scope["path"] != "/early"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == "/slow":
            await asyncio.sleep(1)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        data = json.dumps({"method": scope["method"], "body": body.decode(), "headers": headers}).encode()
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(data))]}
        await send(start)
        await send({"type": "http.response.body", "body": data})

    async def _large(self, receive: Receive, send: Send) -> None:
        await receive()
        length = b"%d" % LARGE_BYTES
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        for rest in range(LARGE_BYTES // len(CHUNK) - 1, -1, -1):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": rest > 0})
        if (await receive())["type"] == "http.disconnect":
            self.disconnected.set()


class Connection:
    """A connection to the server."""

    def __init__(self, port: int, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(WITHIN_S)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")

    def send(self, *parts: bytes, wait_s: float = 0) -> Connection:
        for part in parts:
            self.socket.sendall(part)
            time.sleep(wait_s)
        return self

    def response(self) -> tuple[int, Any]:
        """Return the status and the JSON of the next response."""
        status = int(self._file.readline().split()[1])
        length = 0
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
        return status, json.loads(self._file.read(length))

    def is_closed(self) -> bool:
        """Wait until the server closes the connection; return whether it sent nothing before."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True


class Service:
    """A server in a thread."""

    def __init__(self, timeout_keep_alive_s: int = 30) -> None:
        self.application = Application()
        install()
        config = uvicorn.Config(
            self.application, "127.0.0.1", 0, log_level="critical", timeout_keep_alive=timeout_keep_alive_s
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    def connect(self, receive_bytes: int | None = None) -> Connection:
        return Connection(self.port, receive_bytes)

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.stop()


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_TIMEOUT_S", 0.5)
    monkeypatch.setattr(server, "SEND_TIMEOUT_S", 0.5)


def post(body: bytes = b"hello", path: bytes = b"/", **headers: bytes) -> bytes:
    lines = [b"POST %s HTTP/1.1" % path, b"Host: parley", b"Content-Length: %d" % len(body)]
    lines += [name.replace("_", "-").encode() + b": " + value for name, value in headers.items()]
    return b"\r\n".join([*lines, b"", body])


def chunked(*parts: bytes) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: parley\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


# --- the size of a body -----------------------------------------------------------------------------------------------


@pytest.fixture
def body_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BODY_BYTES", 100)
    monkeypatch.setattr(server, "MAX_UPLOAD_BYTES", 5000)


@pytest.mark.parametrize(("path", "limit"), [(b"/chat", 100), (b"/v1/audio/transcriptions?a=b", 5000)])
@pytest.mark.usefixtures("body_limits")
def test_refuses_a_body_above_the_limit_of_its_route_before_it_arrives(
    service: Service, path: bytes, limit: int
) -> None:
    assert service.connect().send(post(b"x" * limit, path)).response()[0] == 200
    connection = service.connect().send(b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (path, limit + 1))
    status, body = connection.response()
    assert (status, body["error"]["code"]) == (413, "too_large")
    assert f"{limit:,} bytes" in body["error"]["message"]
    assert connection.is_closed()


@pytest.mark.usefixtures("body_limits")
def test_counts_the_bytes_of_a_body_without_a_length(service: Service) -> None:
    assert service.connect().send(chunked(b"x" * 60, b"x" * 40), b"0\r\n\r\n").response()[0] == 200
    connection = service.connect().send(chunked(b"x" * 60, b"x" * 41))
    assert connection.response()[0] == 413
    assert connection.is_closed()


@pytest.mark.usefixtures("body_limits")
def test_the_limit_of_a_body_holds_for_each_request_of_a_connection(service: Service) -> None:
    connection = service.connect()
    for _ in range(3):
        assert connection.send(post(b"x" * 80)).response()[0] == 200
    assert connection.send(post(b"x" * 101)).response()[0] == 413


@pytest.mark.usefixtures("body_limits")
def test_ignores_the_rest_of_a_body_whose_request_is_answered(service: Service) -> None:
    connection = service.connect().send(chunked(b"x" * 50).replace(b"POST / ", b"POST /early "))
    assert connection.response()[0] == 200
    connection.send(b"64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n", post(b"hello"))
    assert connection.response()[1]["body"] == "hello"


def test_without_a_limit_any_body_is_accepted(service: Service) -> None:
    assert service.connect().send(post(b"x" * 3_000_000)).response()[0] == 200


# --- the size of a header ---------------------------------------------------------------------------------------------


def test_accepts_a_header_within_the_limit(service: Service) -> None:
    status, echo = service.connect().send(post(cookie=b"x" * 60_000)).response()
    assert (status, len(echo["headers"]["cookie"])) == (200, 60_000)


@pytest.mark.parametrize(
    "header",
    [
        b"POST / HTTP/1.1\r\nCookie: " + b"x" * 200_000,
        b"POST / HTTP/1.1\r\n" + b"x" * 200_000,
        b"POST / HTTP/1.1\r\n" + b"a:\r\n" * 50_000,
        b"GET /" + b"x" * 200_000,
        post(cookie=b"x" * 70_000),
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: parley\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"a:\r\n" * 20_000 + b"\r\n",
    ],
    ids=["value", "name", "count", "path", "complete", "complete path", "complete count"],
)
def test_refuses_a_header_above_the_limit(service: Service, header: bytes) -> None:
    connection = service.connect().send(header)
    status, body = connection.response()
    assert (status, body["error"]["code"]) == (431, "header_too_large")
    assert connection.is_closed()


def sent_bytes(connection: Connection) -> int:
    """Send until the server closes the connection, or 50 MB. Return the number of bytes."""
    count = 0
    with contextlib.suppress(OSError):
        while count < 50_000_000:
            connection.send(b"x" * 10_000)
            count += 10_000
    return count


@pytest.mark.parametrize(
    "start",
    [b"POST / HTTP/1.1\r\nCookie: ", chunked(b"hello") + b"0\r\nCookie: ", chunked(b"hello") + b"5;"],
    ids=["header", "trailers", "chunk extension"],
)
def test_closes_the_connection_of_a_header_without_end(service: Service, start: bytes) -> None:
    connection = service.connect().send(start)
    assert sent_bytes(connection) < 20_000_000  # the buffers of the kernel hold a part


def test_ignores_trailers(service: Service) -> None:
    status, echo = service.connect().send(chunked(b"hello"), b"0\r\nX-Late: 1\r\n\r\n").response()
    assert (status, echo["body"]) == (200, "hello")
    assert "x-late" not in echo["headers"]


def test_accepts_a_body_of_many_small_chunks(service: Service) -> None:
    body = chunked(*[b"x"] * 50_000)
    status, echo = service.connect().send(body, b"0\r\n\r\n").response()
    assert (status, len(echo["body"])) == (200, 50_000)


def test_the_body_does_not_count_as_header(service: Service) -> None:
    connection = service.connect()
    for _ in range(3):
        status, echo = connection.send(post(b"x" * 300_000)).response()
        assert (status, len(echo["body"])) == (200, 300_000)


# --- timeouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("start", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: parley\r\n"])
def test_refuses_a_header_that_does_not_arrive_in_time(service: Service, start: bytes) -> None:
    connection = service.connect().send(start)
    status, body = connection.response()
    assert (status, body["error"]["code"]) == (408, "header_timeout")
    assert connection.is_closed()


@pytest.mark.usefixtures("short_timeouts")
def test_a_byte_now_and_then_does_not_extend_the_time_of_a_header(service: Service) -> None:
    connection = service.connect()
    with pytest.raises(OSError):  # noqa: PT011
        connection.send(*[b"P", b"O", b"S", b"T", b" ", b"/", b" ", b"H", b"T", b"T", b"P"], wait_s=0.2)


@pytest.mark.usefixtures("short_timeouts")
def test_refuses_the_second_header_of_a_connection_that_does_not_arrive_in_time(service: Service) -> None:
    connection = service.connect().send(post())
    assert connection.response()[0] == 200
    assert connection.send(b"POST").response()[0] == 408


@pytest.mark.usefixtures("short_timeouts")
def test_the_timeout_of_a_header_does_not_limit_an_idle_connection(service: Service) -> None:
    connection = service.connect()
    for _ in range(2):
        assert connection.send(post()).response()[0] == 200
        time.sleep(1)
    assert connection.send(post()).response()[0] == 200


@pytest.mark.usefixtures("short_timeouts")
def test_the_timeout_of_a_header_does_not_limit_a_body_or_a_response(service: Service) -> None:
    request = post(b"hello", b"/slow")
    status, echo = (
        service.connect()
        .send(request[:-5], *[request[i : i + 1] for i in range(-5, -1)], wait_s=0.2)
        .send(request[-1:])
        .response()
    )
    assert (status, echo["body"]) == (200, "hello")


@pytest.mark.usefixtures("short_timeouts")
def test_a_part_of_the_next_header_does_not_end_a_response_in_progress(service: Service) -> None:
    connection = service.connect().send(post(b"", b"/slow") + b"POST")
    assert connection.response()[0] == 200
    assert connection.response()[0] == 408


def test_empty_lines_do_not_keep_a_connection_open() -> None:
    service = Service(timeout_keep_alive_s=1)
    try:
        connection = service.connect().send(post())
        assert connection.response()[0] == 200
        assert connection.send(b"\r\n").is_closed()
    finally:
        service.stop()


@pytest.mark.usefixtures("short_timeouts")
def test_a_body_that_continues_after_its_response_ends_with_the_connection(service: Service) -> None:
    connection = service.connect().send(post(b"x" * 1000, b"/early")[:-500])
    assert connection.response()[0] == 200
    assert connection.is_closed()


def test_the_rest_of_a_body_after_its_response_does_not_end_the_connection(service: Service) -> None:
    request = post(b"x" * 1000, b"/early")
    connection = service.connect().send(request[:-500])
    assert connection.response()[0] == 200
    assert connection.send(request[-500:], post()).response()[0] == 200


# --- slow readers -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_timeouts")
def test_closes_the_connection_of_a_client_that_does_not_read_its_response(service: Service) -> None:
    connection = service.connect(receive_bytes=4096).send(post(path=b"/large"))
    assert service.application.disconnected.wait(WITHIN_S)
    connection.socket.close()


@pytest.mark.usefixtures("short_timeouts")
def test_a_client_that_reads_slowly_gets_its_response(service: Service) -> None:
    connection = service.connect(receive_bytes=100_000).send(post(path=b"/large"))
    received_bytes = 0
    while received_bytes < LARGE_BYTES:
        data = connection.socket.recv(1_000_000)
        assert data
        received_bytes += len(data)
        time.sleep(0.015)


# --- upgrades, pipelining and invalid requests ------------------------------------------------------------------------

H2C = {"Connection": b"Upgrade, HTTP2-Settings", "Upgrade": b"h2c", "HTTP2_Settings": b"AAEAAEAAAAIAAAABAAMAAABk"}


def test_reads_the_body_of_a_request_that_offers_http_2(service: Service) -> None:
    connection = service.connect()
    for _ in range(2):
        status, echo = connection.send(post(b"hello", **H2C)).response()
        assert (status, echo["method"], echo["body"]) == (200, "POST", "hello")


def test_reads_a_body_in_parts_of_a_request_that_offers_http_2(service: Service) -> None:
    request = post(b"hello" * 1000, **H2C)
    parts = [request[i : i + 700] for i in range(0, len(request), 700)]
    status, echo = service.connect().send(*parts, wait_s=0.02).response()
    assert (status, echo["body"]) == (200, "hello" * 1000)


def test_reads_a_chunked_body_of_a_request_that_offers_http_2(service: Service) -> None:
    head, body = chunked(b"hello").split(b"\r\n\r\n", 1)
    upgrade = b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    status, echo = service.connect().send(head + upgrade + body, b"0\r\n\r\n").response()
    assert (status, echo["body"]) == (200, "hello")


def test_answers_many_pipelined_requests_that_offer_http_2(service: Service) -> None:
    count = 3000
    request = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    connection = service.connect().send(request * count)
    received = b""
    while received.count(b"HTTP/1.1 200 OK") < count:
        data = connection.socket.recv(100_000)
        assert data
        received += data


def test_a_websocket_still_reaches_the_application(service: Service) -> None:
    connection = service.connect().send(
        b"GET / HTTP/1.1\r\nHost: parley\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    received = b""
    while b"hello" not in received:
        data = connection.socket.recv(1000)
        assert data
        received += data
    assert received.startswith(b"HTTP/1.1 101 ")


def test_refuses_connect(service: Service) -> None:
    connection = service.connect().send(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n")
    assert connection.response()[0] == 400
    assert connection.is_closed()


def test_answers_pipelined_requests_in_order(service: Service) -> None:
    connection = service.connect().send(post(b"1", b"/slow") + post(b"2") + post(b"3"))
    assert [connection.response()[1]["body"] for _ in range(3)] == ["1", "2", "3"]


def test_answers_an_invalid_request_with_json(service: Service) -> None:
    connection = service.connect().send(b"\x16\x03\x01\x02\x00\x01\x00")  # TLS
    status, body = connection.response()
    assert (status, body["error"]["code"]) == (400, "malformed_body")
    assert connection.is_closed()


def test_answers_a_body_with_invalid_chunks(service: Service) -> None:
    connection = service.connect().send(chunked(b"hello"), b"not a length\r\n")
    assert connection.response()[0] == 400
    assert connection.is_closed()
    assert service.connect().send(post()).response()[0] == 200


def test_a_request_of_http_1_0_is_answered(service: Service) -> None:
    connection = service.connect().send(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
    status, echo = connection.response()
    assert (status, echo["body"]) == (200, "hi")
    assert connection.is_closed()
