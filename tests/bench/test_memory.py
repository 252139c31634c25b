"""The names and sums of process usage."""

from __future__ import annotations

import pytest

from bench.memory import ProcessUsage, Snapshot, readable


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["ray::ServeReplica:parley:TextLLM.handle_request", "", ""], "ray::ServeReplica:parley:TextLLM"),
        (["/opt/v/bin/python", "/opt/v/bin/serve", "run", "serve_config.yaml"], "serve run"),
        (["/opt/v/lib/ray/core/src/ray/raylet/raylet", "--raylet_socket_name=/tmp/x"], "raylet"),
        (["python", "-u", "/opt/v/lib/ray/_private/runtime_env/agent/main.py", "--node-id=1"], "agent"),
        (["python", "-u", "/opt/v/lib/ray/dashboard/dashboard.py", "--host=127.0.0.1"], "dashboard.py"),
        (["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main(x=1)"], "multiprocessing.spawn"),
        (["/opt/v/bin/python", "scripts/serve.py", "serve_config.yaml"], "serve.py"),
        ([], "?"),
    ],
)
def test_names_a_process_by_its_program(command: list[str], name: str) -> None:
    assert readable(command) == name


def test_a_snapshot_sums_usage_by_name() -> None:
    usages = [ProcessUsage("a", 1, 10.0, 3), ProcessUsage("b", 2, 5.0, 4), ProcessUsage("a", 3, 1.5, 1)]
    snapshot = Snapshot(0.0, usages)
    assert (snapshot.pss_mib, snapshot.handles) == (16.5, 8)
    assert snapshot.by_name("pss_mib") == {"a": 11.5, "b": 5.0}
    assert snapshot.by_name("handles") == {"a": 4, "b": 4}
