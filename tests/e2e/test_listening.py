"""What the running service listens on, and that Ray's ports refuse who has no token: Ray runs what it is sent there."""

from __future__ import annotations

import ipaddress
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import psutil  # type: ignore[import-untyped]
import pytest
from ray.serve.generated.serve_pb2 import ASGIRequest
from ray.serve.generated.serve_pb2_grpc import ASGIServiceStub

from bench.memory import application
from scripts.serve import DASHBOARD_PORT, TOKEN_FILE, token

AGENT_PORT = 52365  # of Ray's agent on each node
CALLS = (
    "HandleRequest",
    "HandleRequestStreaming",
    "HandleRequestWithRejection",
    "HandleRequestWithRejectionStreaming",
)
WRONG = "0" * 64
JOB = b'{"entrypoint": "touch /tmp/parley-job-without-token"}'

pytestmark = pytest.mark.usefixtures("base_url")


def listening(processes: list[psutil.Process]) -> list[tuple[str, int, str]]:
    """Return the address, the port and the process of every listening socket."""
    return [
        (connection.laddr.ip, connection.laddr.port, " ".join(process.cmdline())[:80])
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]


def is_loopback(address: str) -> bool:
    """Return whether an address is the loopback, also as an IPv4 address of an IPv6 socket."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def test_every_socket_listens_on_the_loopback() -> None:
    sockets = listening(application(DASHBOARD_PORT))
    assert len(sockets) >= 10
    assert DASHBOARD_PORT in [port for _, port, _ in sockets]
    assert [socket for socket in sockets if not is_loopback(socket[0])] == []


def test_the_token_is_readable_by_its_owner_only() -> None:
    assert TOKEN_FILE.stat().st_mode & 0o777 == 0o600


def status(url: str, bearer: str | None, body: bytes | None = None) -> int:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(("bearer", "expected"), [(None, 401), (WRONG, 403)], ids=["no token", "wrong token"])
@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:{DASHBOARD_PORT}/api/jobs/",
        f"http://127.0.0.1:{AGENT_PORT}/api/job_agent/jobs/",
    ],
    ids=["dashboard", "agent"],
)
def test_the_job_api_refuses_a_job(url: str, bearer: str | None, expected: int) -> None:
    assert status(url, bearer, JOB) == expected


def test_the_job_api_accepts_the_token() -> None:
    assert status(f"http://127.0.0.1:{DASHBOARD_PORT}/api/jobs/", token()) == 200


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._path), "w")


def send_pickle(port: int, call: str, path: Path, bearer: str | None) -> grpc.StatusCode:
    """Send a pickle that creates ``path`` to a replica's port, and return the status of the call."""
    request = ASGIRequest(pickled_request_metadata=pickle.dumps(Touch(path)))
    metadata = [("authorization", f"Bearer {bearer}")] if bearer else []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            response = getattr(ASGIServiceStub(channel), call)(request, timeout=10, metadata=metadata)
            for _ in response if "Streaming" in call else [response]:
                pass
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.fixture(scope="module")
def replica_ports(base_url: str, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """The ports on which replicas unpickle what they are sent with the token."""
    folder = tmp_path_factory.mktemp("pickles")
    replicas = [p for p in application(DASHBOARD_PORT) if " ".join(p.cmdline()).startswith("ray::ServeReplica")]
    assert len(replicas) == 5
    ports = [port for _, port, _ in listening(replicas)]
    for port in ports:
        send_pickle(port, CALLS[1], folder / str(port), token())
    found = [port for port in ports if (folder / str(port)).exists()]
    assert len(found) == len(replicas)
    return found


@pytest.mark.parametrize("bearer", [None, WRONG], ids=["no token", "wrong token"])
@pytest.mark.parametrize("call", CALLS)
def test_a_replica_unpickles_nothing_without_the_token(
    replica_ports: list[int], tmp_path: Path, call: str, bearer: str | None
) -> None:
    for port in replica_ports:
        assert send_pickle(port, call, tmp_path / "created", bearer) == grpc.StatusCode.UNAUTHENTICATED
    assert list(tmp_path.iterdir()) == []
