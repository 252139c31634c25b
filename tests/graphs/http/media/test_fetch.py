"""Fetching of pictures by URL: allowed hosts, public addresses, redirects and limits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from deployments.errors import ParleyError, TooLarge
from graphs.http.media.fetch import Address, Fetcher, UnreachablePicture, is_public
from graphs.settings import GatewayConfig

LOOPBACK = ip_address("127.0.0.1")
PICTURE = b"\x89PNG\r\n\x1a\n and more"

# From IANA's registries of special-purpose addresses: none of these is a public host.
SPECIAL_4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24",
        "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
SPECIAL_6 = [
    IPv6Network(network)
    for network in (
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32",
        "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
]  # fmt: skip
PUBLIC = [IPv4Network("93.184.216.0/24"), IPv4Network("8.8.0.0/16"), IPv4Network("151.101.0.0/16")]


def addresses(networks: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Addresses of any of ``networks``."""
    return st.sampled_from(networks).flatmap(
        lambda network: st.integers(0, network.num_addresses - 1).map(lambda offset: network[offset])
    )


@settings(deadline=None)
@given(addresses(SPECIAL_4))
def test_a_special_purpose_ipv4_address_is_not_public(address: IPv4Address) -> None:
    assert not is_public(address)


@settings(deadline=None)
@given(addresses(SPECIAL_6))
def test_a_special_purpose_ipv6_address_is_not_public(address: IPv6Address) -> None:
    assert not is_public(address)


@settings(deadline=None)
@given(addresses(SPECIAL_4) | addresses(PUBLIC))
def test_an_ipv4_address_within_an_ipv6_address_is_not_public(address: IPv4Address) -> None:
    number = int(address)
    mapped, compatible = IPv6Address(0xFFFF << 32 | number), IPv6Address(number)
    nat64, six_to_four = IPv6Address(0x64FF9B << 96 | number), IPv6Address(0x2002 << 112 | number << 80)
    assert not any(map(is_public, (mapped, compatible, nat64, six_to_four)))


@settings(deadline=None)
@given(addresses(PUBLIC))
def test_a_global_ipv4_address_is_public(address: IPv4Address) -> None:
    assert is_public(address)


def test_a_global_ipv6_address_is_public() -> None:
    assert is_public(ip_address("2606:2800:220:1:248:1893:25c8:1946"))


# --- against a server -------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Serves a picture, and on some paths redirects and failures."""

    server: PictureServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers["Host"]))
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.end_headers()
        elif self.path == "/missing":
            self.send_error(404)
        elif self.path == "/slow":
            self.server.closing.wait(5)
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
        """Log nothing."""


class PictureServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str]] = []  # path and Host
        self.closing = Event()


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as server:
        Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


async def to_loopback(host: str, port: int) -> list[Address]:
    """Resolve every name to this machine, and an address to itself."""
    try:
        return [ip_address(host)]
    except ValueError:
        return [LOOPBACK]


def fetch(
    url: str,
    *hosts: str,
    may_connect: Callable[[Address], bool] = lambda address: address == LOOPBACK or is_public(address),
    resolve: Any = to_loopback,
    transport: httpx.AsyncBaseTransport | None = None,
    **limits: Any,
) -> bytes:
    """Fetch as the Gateway does, except that the address of the test server counts as public."""

    async def run() -> bytes:
        config = GatewayConfig(picture_hosts=hosts, **limits)
        fetcher = Fetcher(config, may_connect=may_connect, resolve=resolve, transport=transport)
        return await fetcher.fetch(url, "p")

    return asyncio.run(run())


def refused(url: str, *hosts: str, **more: Any) -> ParleyError:
    """Return the error of a fetch that fails."""
    with pytest.raises(UnreachablePicture) as caught:
        fetch(url, *hosts, **more)
    assert caught.value.param == "p"
    return caught.value


def test_fetches_a_picture_of_an_allowed_host(server: PictureServer) -> None:
    port = server.server_port
    assert fetch(f"http://pictures.example:{port}/a.png", f"pictures.example:{port}") == PICTURE
    assert server.requests == [("/a.png", f"pictures.example:{port}")]


@pytest.mark.parametrize("entry", ["*", "*.example", "pictures.example", "PICTURES.example"])
def test_an_entry_of_the_settings_matches_several_hosts(server: PictureServer, entry: str) -> None:
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
def test_sends_no_request_to_other_urls(server: PictureServer, url: str) -> None:
    refused(url.format(port=server.server_port), f"pictures.example:{server.server_port}")
    assert server.requests == []


def test_the_default_allows_no_host(server: PictureServer) -> None:
    refused(f"http://pictures.example:{server.server_port}/a.png")
    assert server.requests == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"])
def test_refuses_a_private_address_where_every_host_is_allowed(server: PictureServer, host: str) -> None:
    refused(f"http://{host}:{server.server_port}/a.png", f"*:{server.server_port}", may_connect=is_public,
            resolve=None)  # fmt: skip
    assert server.requests == []


def test_refuses_a_name_with_one_private_address(server: PictureServer) -> None:
    async def both(host: str, port: int) -> list[Address]:
        return [ip_address("93.184.216.34"), LOOPBACK]

    refused(f"http://a.example:{server.server_port}/", f"*:{server.server_port}", may_connect=is_public, resolve=both)
    assert server.requests == []


def test_resolves_a_name_once_and_connects_to_the_checked_address() -> None:
    resolved: list[str] = []
    sent: list[httpx.Request] = []

    async def rebinding(host: str, port: int) -> list[Address]:
        resolved.append(host)
        return [ip_address("93.184.216.34") if len(resolved) == 1 else LOOPBACK]

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(PICTURE))

    found = fetch("https://a.example/b.png#c", "a.example", may_connect=is_public, resolve=rebinding,
                  transport=httpx.MockTransport(respond))  # fmt: skip
    assert found == PICTURE
    assert resolved == ["a.example"]
    [request] = sent
    assert str(request.url) == "https://93.184.216.34/b.png"
    assert request.headers["host"] == "a.example"
    assert request.extensions["sni_hostname"] == "a.example"


def test_follows_redirects(server: PictureServer) -> None:
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
def test_checks_the_target_of_a_redirect(server: PictureServer, target: str) -> None:
    port = server.server_port
    refused(f"http://a.example:{port}/to?{target.format(port=port)}", f"a.example:{port}", f"127.0.0.2:{port}",
            "169.254.169.254")  # fmt: skip
    assert len(server.requests) == 1


def test_limits_the_number_of_redirects(server: PictureServer) -> None:
    port = server.server_port
    refused(f"http://a.example:{port}/to?/to?/to?/b.png", f"a.example:{port}", picture_redirects=2)
    assert len(server.requests) == 3


def test_refuses_a_redirect_from_https_to_http() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": "http://a.example/b.png"})

    refused("https://a.example/", "a.example", transport=httpx.MockTransport(respond))


def test_stops_reading_at_the_size_limit(server: PictureServer) -> None:
    with pytest.raises(TooLarge):
        fetch(f"http://a.example:{server.server_port}/endless", f"*:{server.server_port}", picture_max_bytes=10**6)


def test_stops_waiting_at_the_time_limit(server: PictureServer) -> None:
    error = refused(f"http://a.example:{server.server_port}/slow", f"*:{server.server_port}", picture_timeout_s=0.3)
    assert "within 0.3 s" in error.message


def test_the_error_names_the_status_or_the_host(server: PictureServer) -> None:
    port = server.server_port
    assert "404" in refused(f"http://a.example:{port}/missing", f"*:{port}").message
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "a.example" in refused(f"http://a.example:{port}/", f"*:{port}").message


def test_limits_concurrent_fetches() -> None:
    active = most = 0

    async def slowly(request: httpx.Request) -> httpx.Response:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.01)
        active -= 1
        return httpx.Response(200, stream=httpx.ByteStream(PICTURE))

    async def run() -> None:
        config = GatewayConfig(picture_hosts=("*",), picture_fetches=3)
        fetcher = Fetcher(
            config, may_connect=lambda _: True, resolve=to_loopback, transport=httpx.MockTransport(slowly)
        )
        await asyncio.gather(*(fetcher.fetch("https://a.example/", "p") for _ in range(12)))

    asyncio.run(run())
    assert most == 3


@pytest.mark.parametrize("entry", ["", "https://a.example", "a.example/b", "a*.example", "a.example:port", "a b"])
def test_rejects_an_entry_of_the_settings_that_is_not_a_host(entry: str) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig(picture_hosts=(entry,))
