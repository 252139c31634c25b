"""A local Ray with fake engines, on free ports and in a temporary folder. All tests here share one application.

The fixture ``service`` deploys any other configuration, given as in serve_config.yaml, and returns its address.
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

from scripts.serve import ENVIRONMENT, create_token
from tests.serve.serve_fakes import APPLICATION, FAKES, IMPORT_PATH, wait_until

ROOT = Path(__file__).resolve().parents[2]
READY_S = 180
FREQUENT_METRICS = {"RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.5"}  # the default of 10 scales later

Service = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="session")
def serve_url() -> Iterator[str]:
    """Start a Ray Serve and return its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The path of pytest's temporary folder is too long for the sockets that Ray creates in it.
    with tempfile.TemporaryDirectory(prefix="parley-ray-", ignore_cleanup_errors=True) as folder:
        token = Path(folder) / "token"
        create_token(token)
        os.environ |= ENVIRONMENT | {"PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN_PATH": str(token), **FREQUENT_METRICS}
        import ray
        from ray import serve

        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        try:
            serve.start(http_options=serve.config.HTTPOptions(host="127.0.0.1", port=port))
            yield f"http://127.0.0.1:{port}"
        finally:
            serve.shutdown()
            ray.shutdown()


@pytest.fixture(scope="session")
def service(serve_url: str) -> Service:
    """Deploy ``args`` and ``deployments`` at ``/`` and return the address once every deployment answers."""
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    def running() -> bool:
        status = serve.status().applications[APPLICATION]
        assert status.status != "DEPLOY_FAILED", status.message
        return status.status == "RUNNING" and httpx.get(f"{serve_url}/health", timeout=30).status_code == 200

    def deploy(config: dict[str, Any]) -> str:
        application = {"name": APPLICATION, "import_path": IMPORT_PATH, "route_prefix": "/", **config}
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
    """Return the ``Stats`` of the one replica of a deployment."""
    from ray import serve

    def of(name: str) -> Any:
        return serve.get_deployment_handle(name, APPLICATION).stats.remote().result(timeout_s=30)

    return of
