"""The names under which processes are listed."""

from __future__ import annotations

import pytest

from bench.memory import readable


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
def test_a_process_is_named_by_what_it_does(command: list[str], name: str) -> None:
    assert readable(command) == name
