"""A real local Ray with fake engines: small, on ports and folders of its own, one application for all tests here.

``service`` deploys any other configuration as serve_config.yaml would write it and returns its address.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.serve import ENVIRONMENT
from tests.serve.serve_fakes import APPLICATION, FAKES, wait_until

ROOT = Path(__file__).resolve().parents[2]
READY_S = 180
PUSHED_OFTEN = {"RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.5"}  # of ten: replicas come sooner

Service = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="session")
def serve_url() -> Iterator[str]:
    """The address of a Ray Serve that is started for these tests and ended after them."""
    os.environ |= ENVIRONMENT | {"PYTHONPATH": str(ROOT), **PUSHED_OFTEN}
    import ray
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # pytest's own folder has a name too long for the sockets in it.
    with tempfile.TemporaryDirectory(prefix="parley-ray-", ignore_cleanup_errors=True) as folder:
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        try:
            serve.start(http_options=serve.config.HTTPOptions(host="127.0.0.1", port=port))
            yield f"http://127.0.0.1:{port}"
        finally:
            serve.shutdown()
            ray.shutdown()


@pytest.fixture(scope="session")
def service(serve_url: str) -> Service:
    """Deploys ``args`` and ``deployments`` at ``/`` and returns the address once every deployment answers."""
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    def running() -> bool:
        status = serve.status().applications[APPLICATION]
        assert status.status != "DEPLOY_FAILED", status.message
        return status.status == "RUNNING" and httpx.get(f"{serve_url}/health", timeout=30).status_code == 200

    def deploy(config: dict[str, Any]) -> str:
        application = {"name": APPLICATION, "import_path": "graphs.app:build", "route_prefix": "/", **config}
        _get_global_client().deploy_apps(ServeDeploySchema.model_validate({"applications": [application]}))
        wait_until(running, READY_S)
        return serve_url

    return deploy


@pytest.fixture(scope="session")
def fakes(service: Service) -> str:
    return service(FAKES)


@pytest.fixture
def client(fakes: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fakes, timeout=60) as client:
        yield client


@pytest.fixture
def stats(fakes: str) -> Callable[[str], Any]:
    """What the one replica of a deployment has counted."""
    from ray import serve

    def of(name: str) -> Any:
        return serve.get_deployment_handle(name, APPLICATION).stats.remote().result(timeout_s=30)

    return of
