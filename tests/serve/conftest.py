"""A real local Ray with fake engines: small, on ports and folders of its own, one application for all tests here.

``service`` deploys any other configuration as serve_config.yaml would write it and returns its address.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = "parley"
READY_S = 180

# Slow enough to hang up in the middle of, and with few enough places to fill them.
FAKES: dict[str, Any] = {
    "args": {
        "speech_to_text": {"engine": "fake", "first_s": 0.4, "transcript": "it lasted {seconds} seconds"},
        "text_llm": {"engine": "fake", "step_s": 0.02},
        "vision_llm": {"engine": "fake", "step_s": 0.02, "vision": True},
        "text_to_speech": {"engine": "fake", "step_s": 0.02, "word_s": 0.05},
        "gateway": {"max_body_bytes": 4_000_000, "max_audio_s": 60},
    },
    "deployments": [
        {
            "name": name,
            "num_replicas": 1,
            "max_ongoing_requests": places,
            "max_queued_requests": places,
            "ray_actor_options": {"num_cpus": 0.1},
            "graceful_shutdown_timeout_s": 1,
            "health_check_period_s": 1,
        }
        for name, places in [
            ("SpeechToText", 8),
            ("TextLLM", 8),
            ("VisionLLM", 2),
            ("TextToSpeech", 32),
            ("Gateway", 64),
        ]
    ],
}

Service = Callable[[dict[str, Any]], str]


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def serve_url() -> Iterator[str]:
    """The address of a Ray Serve that is started for these tests and ended after them."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    import ray
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="parley-ray-")  # pytest's own is too long for the sockets in it
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    serve.start(http_options=serve.config.HTTPOptions(host="127.0.0.1", port=port))
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


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
