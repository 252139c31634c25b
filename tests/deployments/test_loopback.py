"""The address to which a replica binds its gRPC server. Ray is not started."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest
import ray
from ray.serve._private import replica

from deployments import loopback


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return the address that Ray's replica binds on a node with a given address."""
    monkeypatch.setattr(replica, "add_port_to_grpc_server", replica.add_port_to_grpc_server)
    loopback.install()

    def on(node: str) -> str:
        monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: node)
        server = Mock()
        server.add_insecure_port.return_value = 4711
        assert replica.add_port_to_grpc_server(server, "[::]:0") == 4711
        ((address,), _) = server.add_insecure_port.call_args
        return str(address)

    return on


@pytest.mark.parametrize(
    ("node", "address"),
    [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0"), ("10.0.0.7", "[::]:0"), ("fd00::7", "[::]:0")],
)
def test_binds_to_the_loopback_only_on_a_node_whose_address_it_is(
    bound: Callable[[str], str], node: str, address: str
) -> None:
    assert bound(node) == address
