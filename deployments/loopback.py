"""Keep the gRPC server of a replica on the loopback where Ray's own ports are on it.

Ray Serve binds it to all interfaces and has no setting for the address (Ray 2.60: ``_on_initialized`` of
``ray/serve/_private/replica.py``). Other processes connect to the address of the replica's node, so on a node whose
address is the loopback nothing needs the other interfaces. With token authentication, a client needs the token as well.
"""

from __future__ import annotations

import ipaddress
from typing import Any

ALL_INTERFACES = "[::]"


def install() -> None:
    """Make the replica of this process bind its server by ``_add_port``. Call before the replica is initialized."""
    from ray.serve._private import replica

    replica.add_port_to_grpc_server = _add_port


def _add_port(server: Any, address: str) -> int:
    """Bind ``server`` to ``address``, or to the address of this node if that is the loopback. Return the port."""
    import ray
    from ray._common.tls_utils import add_port_to_grpc_server

    host, _, port = address.rpartition(":")
    node = ray.util.get_node_ip_address()
    if host == ALL_INTERFACES and ipaddress.ip_address(node).is_loopback:
        host = f"[{node}]" if ":" in node else node
    return int(add_port_to_grpc_server(server, f"{host}:{port}"))
