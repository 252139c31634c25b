"""Limits of the HTTP server in Ray's proxy: the size of a request's header and body, the time in which the header must
arrive, and the rate at which a client must read its response.

Ray starts uvicorn with httptools, which has none of them: a header without end fills the proxy's memory before any
middleware runs, and a client that reads nothing keeps its response there. ``install`` makes uvicorn use
``BoundedHttpProtocol`` instead; the proxy calls it before it starts its server. The limits are environment variables,
as no deployment's settings reach the proxy.

The Gateway limits bodies as well. A body that it would refuse is refused here before it is read, as Ray's proxy passes
on to the Gateway whatever arrives, without waiting for it.
"""

from __future__ import annotations

import asyncio
import os
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from deployments.errors import MalformedBody, ParleyError, TooLarge
from graphs.http import errors

MAX_HEADER_BYTES = int(os.environ.get("PARLEY_MAX_HEADER_BYTES", str(64 * 2**10)))
HEADER_TIMEOUT_S = float(os.environ.get("PARLEY_HEADER_TIMEOUT_S", "10"))
SEND_TIMEOUT_S = float(os.environ.get("PARLEY_SEND_TIMEOUT_S", "60"))
MIN_SEND_RATE = float(os.environ.get("PARLEY_MIN_SEND_RATE", "500"))  # bytes per second
BODY_VARIABLE, UPLOAD_VARIABLE = "PARLEY_MAX_BODY_BYTES", "PARLEY_MAX_UPLOAD_BYTES"
MAX_BODY_BYTES = int(os.environ.get(BODY_VARIABLE, "0"))  # 0 is no limit
MAX_UPLOAD_BYTES = int(os.environ.get(UPLOAD_VARIABLE, "0"))  # of a recording to transcribe
UPLOAD_PATH = "/v1/audio/transcriptions"

LINGER_S = 1
_FIELD_OVERHEAD = len(b":\r\n")
_UPGRADE_HEADERS = (b"connection", b"upgrade", b"http2-settings")


class HeaderTooLarge(ParleyError):
    """The request's header exceeds its limit."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    type = "invalid_request_error"
    code = "header_too_large"


class HeaderTimeout(ParleyError):
    """The request's header did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    type = "timeout_error"
    code = "header_timeout"


def install() -> None:
    """Make every uvicorn server that this process starts apply the limits."""
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedHttpProtocol.__name__}"


def _header_too_large() -> HeaderTooLarge:
    return HeaderTooLarge(f"The request's header is larger than {MAX_HEADER_BYTES:,} bytes, the limit.")


def _body_limit_bytes(url: bytes) -> int:
    """Return the largest body of a request to ``url``; 0 is no limit."""
    return MAX_UPLOAD_BYTES if url.partition(b"?")[0].endswith(UPLOAD_PATH.encode()) else MAX_BODY_BYTES


class _Expected(Enum):
    """What the connection expects next."""

    HEADER = auto()
    BODY = auto()
    REQUEST = auto()  # the next one of a connection that is kept alive
    NOTHING = auto()  # the connection was refused, or is a WebSocket's


class Http10Cycle(RequestResponseCycle):  # type: ignore[misc]
    """A response to HTTP/1.0, which has no chunks: the end of the connection ends a response of unknown length."""

    async def send(self, message: Any) -> None:
        self.chunked_encoding = False
        self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class BoundedHttpProtocol(HttpToolsProtocol):  # type: ignore[misc]
    """uvicorn's protocol for one connection, with limits on the header of each request and on slow readers.

    An upgrade to anything but a WebSocket is ignored (RFC 9110, section 7.8): Java's HttpClient offers HTTP/2 in its
    requests, and uvicorn would lose the body of such a request.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle  # of the header, or of the unread rest of a body
        self._send_timer: asyncio.TimerHandle | None = None
        self._header_bytes = self._fields_bytes = self._body_bytes = 0
        self._has_progressed = False
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._stop_send_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data and self._expected is not _Expected.NOTHING:
            data = self._feed(data)
        if self._expected is _Expected.REQUEST and self.cycle.response_complete:
            self._limit_idle_time()

    def _feed(self, data: bytes) -> bytes:
        """Parse ``data``. Return what is to be parsed after a request whose upgrade is ignored."""
        self._has_progressed = False
        try:
            self.parser.feed_data(data)
            self._count_header(len(data))
        except httptools.HttpParserUpgrade as upgrade:
            return self._upgraded(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            reason = error.__context__
            self._refuse(reason if isinstance(reason, ParleyError) else MalformedBody("This is not valid HTTP."))
        except ParleyError as error:
            self._refuse(error)
        return b""

    def _count_header(self, size_bytes: int) -> None:
        """Count the bytes of a header, or of trailers, chunk extensions and empty lines, since the last progress.

        Those in the same read as the start of a request are not counted: a read is small, and ``on_headers_complete``
        counts a whole header.
        """
        self._header_bytes = 0 if self._has_progressed else self._header_bytes + size_bytes
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _header_too_large()

    # --- callbacks of the parser: their ParleyErrors refuse the request -----------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_progressed = True
        if self._expected is not _Expected.HEADER:  # a further request of the connection
            self._expect_header()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_field(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._expected is _Expected.HEADER:  # trailers are ignored
            super().on_header(name, value)
            self._count_field(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._timer.cancel()
        self._expected = _Expected.BODY
        if self.parser.get_method() == b"CONNECT":
            raise MalformedBody("CONNECT is not supported: this is not a proxy.")
        self._body_bytes = 0
        length = next((value for name, value in self.headers if name == b"content-length"), b"0")
        self._require_body_within_limit(int(length))  # the parser refuses one that is not a number
        if not self._ignores_upgrade():
            super().on_headers_complete()
            if self.scope["http_version"] == "1.0" and isinstance(self.cycle, RequestResponseCycle):
                self.cycle.__class__ = Http10Cycle

    def on_body(self, body: bytes) -> None:
        self._has_progressed = True
        if not self.cycle.response_complete:  # else the rest of the body is ignored
            self._body_bytes += len(body)
            self._require_body_within_limit(self._body_bytes)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._ignores_upgrade():
            self._timer.cancel()
            self._has_progressed = True
            self._expected = _Expected.REQUEST
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._expected is _Expected.BODY and self.cycle.response_complete:
            # The rest of the body is read and ignored for a while, so that the connection can be kept alive.
            self._timer = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.close)

    def _require_body_within_limit(self, size_bytes: int) -> None:
        limit_bytes = _body_limit_bytes(self.url)
        if 0 < limit_bytes < size_bytes:
            raise TooLarge(f"The request is larger than {limit_bytes:,} bytes, the limit.")

    # --- header -------------------------------------------------------------------------------------------------------

    def _expect_header(self) -> None:
        self._expected = _Expected.HEADER
        self._header_bytes = self._fields_bytes = 0
        self._start_header_timer()

    def _start_header_timer(self) -> None:
        self._timer = self.loop.call_later(HEADER_TIMEOUT_S, self._time_out)

    def _time_out(self) -> None:
        if self._is_responding():  # reading may be paused until the response is complete
            self._start_header_timer()
        elif not self.transport.is_closing():
            self._refuse(HeaderTimeout(f"The request's header did not arrive within {HEADER_TIMEOUT_S:g} s."))

    def _count_field(self, size_bytes: int) -> None:
        self._fields_bytes += size_bytes + _FIELD_OVERHEAD
        if self._fields_bytes > MAX_HEADER_BYTES:
            raise _header_too_large()

    def _refuse(self, error: ParleyError) -> None:
        """Send an error response, unless another response is in progress, and close the connection."""
        self._expected = _Expected.NOTHING
        self._timer.cancel()
        if self._is_responding():
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True  # its body cannot be read to the end
            self.cycle.message_event.set()
        response = errors.response(error)
        lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode(), b"connection: close"]
        lines += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self._linger()

    def _linger(self) -> None:
        """Close the connection after a while, without reading: closing at once can destroy the response.

        A client that sends on meanwhile waits, which costs less than to read what it sends.
        """
        self.flow.pause_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _is_responding(self) -> bool:
        """Return whether a request is in progress."""
        return self.cycle is not None and not self.cycle.response_complete

    def _limit_idle_time(self) -> None:
        """Start uvicorn's timer again, which any byte stops, such as that of an empty line."""
        if self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    # --- upgrades -----------------------------------------------------------------------------------------------------

    def _ignores_upgrade(self) -> bool:
        return bool(self.parser.should_upgrade() and not self._should_upgrade())

    def _upgraded(self, rest: bytes) -> bytes:
        """Begin a WebSocket; or return the request without its upgrade, then ``rest``, which follows its header."""
        if self._should_upgrade():
            self._expected = _Expected.NOTHING
            self.handle_websocket_upgrade()
            return b""
        head = [self.parser.get_method() + b" " + self.url + b" HTTP/" + self.parser.get_http_version().encode()]
        head += [name + b": " + value for name, value in self.headers if name not in _UPGRADE_HEADERS]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._expected = _Expected.HEADER
        self._fields_bytes = 0
        return b"\r\n".join([*head, b"", rest])

    # --- slow readers -------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_send_timer()

    def _watch_reader(self) -> None:
        unsent_bytes = self.transport.get_write_buffer_size()
        self._send_timer = self.loop.call_later(SEND_TIMEOUT_S, self._check_reader, unsent_bytes)

    def _check_reader(self, before_bytes: int) -> None:
        """Close the connection if its client has read less than the minimum since the last check."""
        if before_bytes - self.transport.get_write_buffer_size() < MIN_SEND_RATE * SEND_TIMEOUT_S:
            self.transport.abort()
        else:
            self._watch_reader()

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
