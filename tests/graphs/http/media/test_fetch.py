"""Pictures by address: what may be fetched, from where, and how much of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import Thread
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from deployments.errors import ParleyError, TooLarge
from deployments.settings import GatewayConfig
from graphs.http.media.fetch import Address, Fetcher, UnreachablePicture, is_public

HOME = ip_address("127.0.0.1")
PICTURE = b"\x89PNG\r\n\x1a\n of a kind"

# From IANA's registries of special-purpose addresses: none of these is a host of the Internet.
NOT_THE_INTERNET = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24",
        "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
NOT_THE_INTERNET_6 = [
    IPv6Network(network)
    for network in (
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32",
        "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
]  # fmt: skip
PUBLIC = [IPv4Network("93.184.216.0/24"), IPv4Network("8.8.0.0/16"), IPv4Network("151.101.0.0/16")]


def of(networks: Sequence[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(networks).flatmap(
        lambda network: st.integers(0, network.num_addresses - 1).map(lambda offset: network[offset])
    )


@settings(deadline=None)
@given(of(NOT_THE_INTERNET))
def test_no_address_of_a_network_of_ones_own_is_public(address: IPv4Address) -> None:
    assert not is_public(address)


@settings(deadline=None)
@given(of(NOT_THE_INTERNET_6))
def test_nor_is_one_of_version_6(address: IPv6Address) -> None:
    assert not is_public(address)


@settings(deadline=None)
@given(of(NOT_THE_INTERNET) | of(PUBLIC))
def test_no_disguise_of_an_address_is_public(address: IPv4Address) -> None:
    number = int(address)
    mapped, compatible = IPv6Address(0xFFFF << 32 | number), IPv6Address(number)
    nat64, six_to_four = IPv6Address(0x64FF9B << 96 | number), IPv6Address(0x2002 << 112 | number << 80)
    assert not any(map(is_public, (mapped, compatible, nat64, six_to_four)))


@settings(deadline=None)
@given(of(PUBLIC))
def test_an_address_of_the_internet_is(address: IPv4Address) -> None:
    assert is_public(address)


def test_so_it_is_in_version_6() -> None:
    assert is_public(ip_address("2606:2800:220:1:248:1893:25c8:1946"))


# --- against a server -------------------------------------------------------------------------------------------------


class Pages(BaseHTTPRequestHandler):
    """A server of pictures, good ones and others."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))  # type: ignore[attr-defined]
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.end_headers()
        elif self.path == "/missing":
            self.send_error(404)
        elif self.path == "/slow":
            self.server.leave.wait(5)  # type: ignore[attr-defined]
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(2**16))
            except OSError:
                pass
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(PICTURE)))
            self.end_headers()
            self.wfile.write(PICTURE)

    def log_message(self, *_: Any) -> None:
        """Silence."""


@contextmanager
def serving() -> Iterator[ThreadingHTTPServer]:
    from threading import Event

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.daemon_threads = True
    server.asked = []  # type: ignore[attr-defined]
    server.leave = Event()  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    try:
        yield server
    finally:
        server.leave.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with serving() as server:
        yield server


async def at_home(host: str, port: int) -> list[Address]:
    """Every name is this machine, but for those that are addresses."""
    try:
        return [ip_address(host)]
    except ValueError:
        return [HOME]


def fetch(
    url: str,
    *hosts: str,
    may_connect: Callable[[Address], bool] = lambda address: address == HOME or is_public(address),
    resolve: Any = at_home,
    transport: httpx.AsyncBaseTransport | None = None,
    **limits: Any,
) -> bytes:
    """As the gateway fetches, but that the one address of the server here counts as public."""

    async def go() -> bytes:
        args = GatewayConfig(picture_hosts=hosts, **limits)
        fetcher = Fetcher(args, may_connect=may_connect, resolve=resolve, transport=transport)
        return await fetcher.fetch(url, "p")

    return asyncio.run(go())


def refused(url: str, *hosts: str, **more: Any) -> ParleyError:
    with pytest.raises(UnreachablePicture) as caught:
        fetch(url, *hosts, **more)
    assert caught.value.param == "p"
    return caught.value


def test_a_picture_of_an_allowed_host_comes(server: ThreadingHTTPServer) -> None:
    port = server.server_port
    assert fetch(f"http://pictures.example:{port}/a.png", f"pictures.example:{port}") == PICTURE
    assert server.asked == [("/a.png", f"pictures.example:{port}")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("entry", ["*", "*.example", "pictures.example", "PICTURES.example"])
def test_an_entry_may_mean_several(server: ThreadingHTTPServer, entry: str) -> None:
    port = server.server_port
    assert fetch(f"http://Pictures.Example:{port}/a.png", f"{entry}:{port}") == PICTURE


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example:{port}/a.png",
        "http://pictures.example.evil:{port}/a.png",
        "http://evilpictures.example:{port}/a.png",
        "http://pictures.example:1/a.png",
        "http://pictures.example/a.png",
        "http://pictures.example:{port}@other.example/a.png",
        "http://me:secret@pictures.example:{port}/a.png",
        "ftp://pictures.example:{port}/a.png",
        "file:///etc/passwd",
        "http://",
        "http://[",
    ],
)
def test_no_other_place_is_even_asked(server: ThreadingHTTPServer, url: str) -> None:
    refused(url.format(port=server.server_port), f"pictures.example:{server.server_port}")
    assert server.asked == []  # type: ignore[attr-defined]


def test_without_a_list_nothing_is_fetched(server: ThreadingHTTPServer) -> None:
    refused(f"http://pictures.example:{server.server_port}/a.png")
    assert server.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"])
def test_a_private_address_is_refused_though_every_host_is_allowed(server: ThreadingHTTPServer, host: str) -> None:
    refused(f"http://{host}:{server.server_port}/a.png", f"*:{server.server_port}", may_connect=is_public,
            resolve=None)  # fmt: skip
    assert server.asked == []  # type: ignore[attr-defined]


def test_a_name_with_one_private_address_is_refused(server: ThreadingHTTPServer) -> None:
    async def both(host: str, port: int) -> list[Address]:
        return [ip_address("93.184.216.34"), HOME]

    refused(f"http://a.example:{server.server_port}/", f"*:{server.server_port}", may_connect=is_public, resolve=both)
    assert server.asked == []  # type: ignore[attr-defined]


def test_a_name_is_resolved_once_and_that_address_is_connected_to() -> None:
    asked: list[str] = []
    sent: list[httpx.Request] = []

    async def rebinding(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address("93.184.216.34") if len(asked) == 1 else HOME]

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(PICTURE))

    found = fetch("https://a.example/b.png#c", "a.example", may_connect=is_public, resolve=rebinding,
                  transport=httpx.MockTransport(answer))  # fmt: skip
    assert found == PICTURE
    assert asked == ["a.example"]
    [request] = sent
    assert str(request.url) == "https://93.184.216.34/b.png"
    assert request.headers["host"] == "a.example"
    assert request.extensions["sni_hostname"] == "a.example"


def test_a_redirect_is_followed(server: ThreadingHTTPServer) -> None:
    port = server.server_port
    assert fetch(f"http://a.example:{port}/to?/to?/b.png", f"a.example:{port}") == PICTURE
    assert fetch(f"http://a.example:{port}/to?http://b.example:{port}/b.png", f"*.example:{port}") == PICTURE


@pytest.mark.parametrize(
    "target",
    [
        "http://c.example:{port}/b.png",
        "http://127.0.0.2:{port}/b.png",
        "http://169.254.169.254/latest",
        "file:///etc/x",
    ],
)
def test_a_redirect_is_looked_at_as_the_first_address_was(server: ThreadingHTTPServer, target: str) -> None:
    port = server.server_port
    refused(f"http://a.example:{port}/to?{target.format(port=port)}", f"a.example:{port}", f"127.0.0.2:{port}",
            "169.254.169.254")  # fmt: skip
    assert len(server.asked) == 1  # type: ignore[attr-defined]


def test_redirects_come_to_an_end(server: ThreadingHTTPServer) -> None:
    port = server.server_port
    refused(f"http://a.example:{port}/to?/to?/to?/b.png", f"a.example:{port}", picture_redirects=2)
    assert len(server.asked) == 3  # type: ignore[attr-defined]


def test_a_redirect_never_leaves_https() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": "http://a.example/b.png"})

    refused("https://a.example/", "a.example", transport=httpx.MockTransport(answer))


def test_no_more_than_the_limit_is_read(server: ThreadingHTTPServer) -> None:
    with pytest.raises(TooLarge):
        fetch(f"http://a.example:{server.server_port}/endless", f"*:{server.server_port}", picture_max_bytes=10**6)


def test_a_server_that_does_not_answer_is_given_up(server: ThreadingHTTPServer) -> None:
    error = refused(f"http://a.example:{server.server_port}/slow", f"*:{server.server_port}", picture_timeout_s=0.3)
    assert "within 0.3 s" in error.message


def test_what_is_not_there_is_said(server: ThreadingHTTPServer) -> None:
    port = server.server_port
    assert "404" in refused(f"http://a.example:{port}/missing", f"*:{port}").message
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "a.example" in refused(f"http://a.example:{port}/", f"*:{port}").message


def test_only_so_many_at_once() -> None:
    now = most = 0

    async def slowly(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return httpx.Response(200, stream=httpx.ByteStream(PICTURE))

    async def go() -> None:
        args = GatewayConfig(picture_hosts=("*",), picture_fetches=3)
        fetcher = Fetcher(args, may_connect=lambda _: True, resolve=at_home, transport=httpx.MockTransport(slowly))
        await asyncio.gather(*(fetcher.fetch("https://a.example/", "p") for _ in range(12)))

    asyncio.run(go())
    assert most == 3


@pytest.mark.parametrize("entry", ["", "https://a.example", "a.example/b", "a*.example", "a.example:port", "a b"])
def test_an_entry_that_means_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig(picture_hosts=(entry,))
