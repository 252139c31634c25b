"""Responses to HTTP/1.0 through the proxy's HTTP server: without chunks, which that version does not have."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from graphs.http.server import install

PARTS = [b"data: one\n\n", b"", b"data: two\n\n"]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Send ``PARTS`` one after the other; /sized has a Content-Length."""
    assert scope["type"] == "http"
    length = [(b"content-length", b"%d" % len(b"".join(PARTS)))] if scope["path"] == "/sized" else []
    await send({"type": "http.response.start", "status": 200, "headers": length})
    for part in PARTS:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    install()
    server = uvicorn.Server(uvicorn.Config(application, "127.0.0.1", 0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def response(port: int, path: str, version: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of a response; the end of the connection ends the body."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET %s HTTP/%s\r\nHost: a\r\nConnection: close\r\n\r\n" % (path.encode(), version))
        data = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return head.lower(), body


@pytest.mark.parametrize("path", ["/stream", "/sized"])
def test_a_response_to_http_1_0_has_no_chunks_and_ends_with_the_connection(port: int, path: str) -> None:
    head, body = response(port, path, b"1.0")
    assert body == b"".join(PARTS)
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert (b"content-length" in head) == (path == "/sized")


def test_a_stream_to_http_1_1_has_chunks(port: int) -> None:
    head, body = response(port, "/stream", b"1.1")
    assert b"transfer-encoding: chunked" in head
    assert body == b"b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n"
