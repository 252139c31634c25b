"""Fetch pictures by URL, only from the hosts that the operator allows and only from public addresses.

A URL in a request makes this server connect to it (server-side request forgery), so every step is checked. Scheme, host
and port must be allowed. The name is resolved once, and the connection goes to the address that was checked. Redirects
are followed here and checked in the same way. Size, time and concurrency are limited.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from deployments.errors import InvalidRequest, TooLarge
from graphs.settings import GatewayConfig

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

PORTS = {"http": 80, "https": 443}
REDIRECTS = (301, 302, 303, 307, 308)

# Global unicast IPv6; other prefixes (mapped IPv4, NAT64, link-local, unique local ...) are not public.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))  # Teredo and 6to4 contain an IPv4 address


class UnreachablePicture(InvalidRequest):
    """A URL that may not be fetched, or that did not return a picture."""

    code = "invalid_image_url"


def is_public(address: Address) -> bool:
    """Return whether an address is public. IPv6 addresses that contain an IPv4 address are not."""
    if isinstance(address, IPv6Address) and (
        address not in _GLOBAL_UNICAST or any(address in tunnel for tunnel in _TUNNELS)
    ):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class Resolver:
    """The system's resolver in its own threads, so that slow lookups delay no other work."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "resolve")

    async def __call__(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a name in order of preference. Raise ``OSError`` if it has none."""
        lookup = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, lookup)
        return [ip_address(str(socket_address[0]).partition("%")[0]) for *_, socket_address in found]


class Fetcher:
    """Fetches pictures within the limits of ``config``. Tests replace the other parameters."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        may_connect: Callable[[Address], bool] = is_public,
        resolve: Resolve | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._config = config
        self._may_connect = may_connect
        self._resolve = resolve or Resolver(config.picture_fetches)
        self._permits = asyncio.Semaphore(config.picture_fetches)
        # No connection is kept alive: it would serve other names of the same address without a check of their
        # certificates. No proxy of the environment is used: it would resolve names itself.
        self._client = httpx.AsyncClient(
            transport=transport, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def fetch(self, url: str, param: str) -> bytes:
        """Return the bytes at ``url``. Raise ``UnreachablePicture`` or ``TooLarge``."""
        try:
            async with asyncio.timeout(self._config.picture_timeout_s), self._permits:
                return await self._followed(_parsed(url, param), param)
        except TimeoutError:
            limit_s = self._config.picture_timeout_s
            raise UnreachablePicture(f"The picture was not received within {limit_s:g} s.", param=param) from None

    async def _followed(self, url: httpx.URL, param: str) -> bytes:
        for _ in range(self._config.picture_redirects + 1):
            try:
                found = await self._got(url, await self._address(url, param), param)
            except (httpx.HTTPError, httpx.InvalidURL):
                raise UnreachablePicture(f"The picture could not be fetched from {_host(url)}.", param=param) from None
            if isinstance(found, bytes):
                return found
            if url.scheme == "https" and found.scheme != "https":
                raise UnreachablePicture(f"{_host(url)} redirects to a URL that is not https.", param=param)
            url = found
        raise UnreachablePicture(f"The URL redirects more than {self._config.picture_redirects} times.", param=param)

    async def _address(self, url: httpx.URL, param: str) -> Address:
        """Return the address to connect to. Raise ``UnreachablePicture`` if ``url`` may not be fetched."""
        port = url.port or PORTS.get(url.scheme, 0)
        if url.scheme not in PORTS or url.userinfo or not self._is_allowed(_host(url), port, url.scheme):
            raise UnreachablePicture(
                f"Pictures are not fetched from {url.scheme}://{_host(url)[:100]}:{port}. "
                "Send them as data:image/png;base64,...",
                param=param,
            )
        try:
            addresses = await self._resolve(_host(url), port)
        except (OSError, ValueError):
            addresses = []
        # All must be public: a public host has no private address.
        if not addresses or not all(map(self._may_connect, addresses)):
            raise UnreachablePicture(f"{_host(url)} has no public address.", param=param)
        return addresses[0]

    def _is_allowed(self, host: str, port: int, scheme: str) -> bool:
        name = host.lower().rstrip(".")
        return any(_matches(entry.lower(), name, port, PORTS[scheme]) for entry in self._config.picture_hosts)

    async def _got(self, url: httpx.URL, address: Address, param: str) -> bytes | httpx.URL:
        """Return the content of ``url`` at ``address``, or the URL that it redirects to."""
        request = self._client.build_request(
            "GET",
            url.copy_with(host=str(address), fragment=None),
            headers={"Host": url.netloc.decode(), "Accept": "image/*", "Accept-Encoding": "identity"},
            timeout=self._config.picture_timeout_s,
            extensions={"sni_hostname": _host(url)},  # the name that the certificate is checked for
        )
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code in REDIRECTS and "location" in response.headers:
                return url.join(response.headers["location"])
            if response.status_code != httpx.codes.OK:
                raise UnreachablePicture(f"{_host(url)} responds with status {response.status_code}.", param=param)
            return await self._read(response, param)
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response, param: str) -> bytes:
        limit = self._config.picture_max_bytes
        data = bytearray()
        async for chunk in response.aiter_raw():  # raw: a compressed body is not decompressed
            data += chunk
            if len(data) > limit:
                raise TooLarge(f"The picture is larger than {limit:,} bytes, the limit.", param=param)
        return bytes(data)


def _parsed(url: str, param: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise UnreachablePicture("This is not a URL. Send https://host/picture.png.", param=param) from None


def _host(url: httpx.URL) -> str:
    """Return the host in ASCII (IDNA)."""
    return url.raw_host.decode()


def _matches(entry: str, host: str, port: int, usual_port: int) -> bool:
    """Return whether an entry of the settings (``host``, ``*.host``, either with ``:port``, or ``*``) matches."""
    name, _, wanted_port = entry.rpartition(":") if entry.rpartition(":")[2].isdecimal() else (entry, "", "")
    if port != int(wanted_port or usual_port):
        return False
    return name in ("*", host) or (name.startswith("*.") and host.endswith(name[1:]))
