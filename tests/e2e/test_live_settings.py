"""A system prompt that is changed in the YAML file and deployed again applies to the next answer, without a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from scripts.serve import ENVIRONMENT, dashboard_request
from tests.e2e.conftest import ROOT

SERVED = ROOT / ".run" / "serve_config.yaml"


def replicas() -> dict[str, list[str]]:
    """Return the ids of all replicas, by deployment."""
    with urllib.request.urlopen(dashboard_request("/api/serve/applications/"), timeout=10) as response:
        application = json.load(response)["applications"]["parley"]
    return {
        name: sorted(replica["replica_id"] for replica in deployment["replicas"])
        for name, deployment in application["deployments"].items()
    }


def deploy(config: dict[str, Any], folder: Path) -> None:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(config))
    serve = Path(sys.executable).with_name("serve")
    subprocess.run(
        [serve, "deploy", path], cwd=ROOT, env=ENVIRONMENT | os.environ, check=True, capture_output=True, timeout=120
    )


def with_prompt(prompt: str) -> dict[str, Any]:
    config = yaml.safe_load(SERVED.read_text())
    (llm,) = (d for d in config["applications"][0]["deployments"] if d["name"] == "TextLLM")
    llm["user_config"]["system_prompt"] = prompt
    return config


@pytest.fixture
def restored(base_url: str, tmp_path: Path) -> Iterator[None]:
    yield
    deploy(yaml.safe_load(SERVED.read_text()), tmp_path)


@pytest.mark.usefixtures("restored")
def test_a_changed_prompt_applies_without_a_restart_or_a_failed_request(base_url: str, tmp_path: Path) -> None:
    before = replicas()
    statuses: list[int] = []
    stop = threading.Event()

    def steady_load() -> None:
        with httpx.Client(base_url=base_url, timeout=60) as client:
            while not stop.is_set():
                statuses.append(client.post("/chat", data={"text": "What is two plus two?"}).status_code)

    load = threading.Thread(target=steady_load)
    load.start()
    try:
        deploy(with_prompt("Your name is Rosie. You are a kind librarian."), tmp_path)
        deadline = time.monotonic() + 30
        answer = ""
        while "rosie" not in answer.lower() and time.monotonic() < deadline:
            answer = httpx.post(f"{base_url}/chat", data={"text": "What is your name?"}, timeout=60).json()["text"]
    finally:
        stop.set()
        load.join()
    assert "rosie" in answer.lower()
    assert replicas() == before
    assert statuses
    assert set(statuses) == {200}
