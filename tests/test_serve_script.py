"""The errors of `make serve` when the service cannot start."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from scripts import serve

CONFIG = "applications: [{name: parley, import_path: 'graphs.app:build', args: {}}]\n"
LOOPBACK = {"host": "127.0.0.1", "port": None}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "serve_config.yaml"
    path.write_text(CONFIG)
    return path


def test_names_a_port_in_use_and_a_remedy(config: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(serve.CannotStart, match=rf"port {port} is in use.*PORT="):
            serve.serve(config, LOOPBACK | {"port": port}, open_to_all=False)


def test_refuses_to_listen_on_all_interfaces_without_keys(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLEY_API_KEYS", raising=False)
    with pytest.raises(serve.CannotStart, match="PARLEY_API_KEYS"):
        serve.serve(config, {"host": "0.0.0.0"}, open_to_all=False)


def test_finds_keys_in_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_API_KEYS", "a-key-of-sixteen-characters")
    assert serve.has_keys(serve.load(config))


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
def test_recognizes_loopback_addresses(host: str, loopback: bool) -> None:
    assert serve.is_loopback(host) is loopback


@pytest.mark.parametrize(("text", "message"), [("a: [", "not YAML"), ("- a", "no mapping")])
def test_rejects_a_file_that_is_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(serve.CannotStart, match=message):
        serve.load(path)


def test_names_the_shipped_files_if_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(serve.CannotStart, match=r"serve_config\.yaml and configs"):
        serve.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        ({}, 128),
        ({"user_config": {"max_concurrent_requests": 32}}, 32),
        ({"num_replicas": 3, "user_config": {"max_concurrent_requests": 32}}, 96),
        ({"autoscaling_config": {"max_replicas": 4}, "user_config": {"max_concurrent_requests": 32}}, 128),
        ({"num_replicas": "auto"}, 0),
    ],
)
def test_the_proxy_limit_is_that_of_all_gateway_replicas(gateway: dict[str, Any], expected: int) -> None:
    settings = {"applications": [{"deployments": [{"name": "Gateway", **gateway}]}]}
    assert serve.concurrent_requests(settings) == expected


def test_an_invalid_setting_of_the_gateway_prevents_the_start_by_name() -> None:
    settings = {"applications": [{"deployments": [{"name": "Gateway", "user_config": {"max_concurrent": 1}}]}]}
    with pytest.raises(serve.CannotStart, match="unknown setting 'max_concurrent'"):
        serve.concurrent_requests(settings)
