"""Pictures by address: fetched from the hosts that the operator allows, and from public addresses alone.

A request that names an address makes this server connect to it, so every step is looked at. Scheme, port and host have
to be allowed; the name is resolved once and that very address is connected to, so that it cannot change after it was
looked at; redirects are followed by hand and looked at in the same way. Size, time and number at once are bounded.
What comes back is not believed: its content decides what it is. Knows no route.
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
from deployments.settings import GatewayConfig

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

PORTS = {"http": 80, "https": 443}
REDIRECTS = (301, 302, 303, 307, 308)

# IPv6 that is given out to anybody; all else (mapped IPv4, NAT64, link-local, unique local ...) is not the Internet.
_GIVEN_OUT = IPv6Network("2000::/3")
_TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))  # Teredo and 6to4 carry an IPv4 address


class UnreachablePicture(InvalidRequest):
    """An address that may not be fetched, or that gave no picture."""

    code = "invalid_image_url"


def is_public(address: Address) -> bool:
    """Whether an address is one of the Internet: none of this machine or a network around it, in no disguise."""
    if isinstance(address, IPv6Address) and (
        address not in _GIVEN_OUT or any(address in tunnel for tunnel in _TUNNELS)
    ):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class Resolver:
    """The system's resolver, in threads of its own: names that nobody answers for hold up nothing else."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "resolve")

    async def __call__(self, host: str, port: int) -> list[Address]:
        """The addresses of a name, best first. Raises ``OSError`` when it has none."""
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


class Fetcher:
    """Fetches pictures within the limits of the settings. ``may_connect`` and ``resolve`` are for tests to replace."""

    def __init__(
        self,
        limits: GatewayConfig,
        *,
        may_connect: Callable[[Address], bool] = is_public,
        resolve: Resolve | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._limits = limits
        self._may_connect = may_connect
        self._resolve = resolve or Resolver(limits.picture_fetches)
        self._places = asyncio.Semaphore(limits.picture_fetches)
        # A kept connection would be shared by all names of one address, though it was proven for the first alone; and
        # a proxy of the environment would resolve names by itself.
        self._client = httpx.AsyncClient(
            transport=transport, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def fetch(self, url: str, param: str) -> bytes:
        """The bytes at ``url``. Raises ``UnreachablePicture`` or ``TooLarge``."""
        try:
            async with asyncio.timeout(self._limits.picture_timeout_s), self._places:
                return await self._followed(_parsed(url, param), param)
        except TimeoutError:
            limit_s = self._limits.picture_timeout_s
            raise UnreachablePicture(f"The picture did not come within {limit_s:g} s.", param=param) from None

    async def _followed(self, url: httpx.URL, param: str) -> bytes:
        for _ in range(self._limits.picture_redirects + 1):
            try:
                found = await self._got(url, await self._address(url, param), param)
            except (httpx.HTTPError, httpx.InvalidURL):
                raise UnreachablePicture(f"The picture could not be fetched from {_host(url)}.", param=param) from None
            if isinstance(found, bytes):
                return found
            if url.scheme == "https" and found.scheme != "https":
                raise UnreachablePicture(f"{_host(url)} redirects to what is not https.", param=param)
            url = found
        raise UnreachablePicture(
            f"The address redirects more than {self._limits.picture_redirects} times.", param=param
        )

    async def _address(self, url: httpx.URL, param: str) -> Address:
        """The address to connect to for ``url``, if it may be fetched."""
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
        # One address that is not public is enough: nobody's name for the Internet has such a one.
        if not addresses or not all(map(self._may_connect, addresses)):
            raise UnreachablePicture(f"There is no public address of {_host(url)}.", param=param)
        return addresses[0]

    def _is_allowed(self, host: str, port: int, scheme: str) -> bool:
        name = host.lower().rstrip(".")
        return any(_matches(entry.lower(), name, port, PORTS[scheme]) for entry in self._limits.picture_hosts)

    async def _got(self, url: httpx.URL, address: Address, param: str) -> bytes | httpx.URL:
        """The content of ``url`` at ``address``, or where it redirects to."""
        request = self._client.build_request(
            "GET",
            url.copy_with(host=str(address), fragment=None),
            headers={"Host": url.netloc.decode(), "Accept": "image/*", "Accept-Encoding": "identity"},
            timeout=self._limits.picture_timeout_s,
            extensions={"sni_hostname": _host(url)},  # whose certificate it has to be
        )
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code in REDIRECTS and "location" in response.headers:
                return url.join(response.headers["location"])
            if response.status_code != httpx.codes.OK:
                raise UnreachablePicture(f"{_host(url)} answers {response.status_code}.", param=param)
            return await self._read(response, param)
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response, param: str) -> bytes:
        most = self._limits.picture_max_bytes
        data = bytearray()
        async for chunk in response.aiter_raw():  # as it came: what is packed does not unpack to gigabytes here
            data += chunk
            if len(data) > most:
                raise TooLarge(f"The picture is larger than {most:,} bytes, the most that is fetched.", param=param)
        return bytes(data)


def _parsed(url: str, param: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise UnreachablePicture("This is no address. Send https://host/picture.png.", param=param) from None


def _host(url: httpx.URL) -> str:
    """The host in ASCII, as names are resolved and certificates are written."""
    return url.raw_host.decode()


def _matches(entry: str, host: str, port: int, usual_port: int) -> bool:
    """Whether an entry of the settings (``host``, ``*.host``, either with ``:port``, or ``*``) means this place."""
    name, _, wanted_port = entry.rpartition(":") if entry.rpartition(":")[2].isdecimal() else (entry, "", "")
    if port != int(wanted_port or usual_port):
        return False
    return name in ("*", host) or (name.startswith("*.") and host.endswith(name[1:]))
