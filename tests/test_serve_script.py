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


@pytest.mark.parametrize("mode", ["", "disabled", "k8s"])
def test_refuses_an_environment_that_turns_off_rays_token(
    config: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(serve.CannotStart, match=f"RAY_AUTH_MODE is '{mode}'"):
        serve.serve(config, LOOPBACK, open_to_all=False)


@pytest.mark.parametrize("keys", ["", " , "])
def test_refuses_to_start_with_an_empty_variable_for_keys(
    config: Path, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    monkeypatch.setenv("PARLEY_API_KEYS", keys)
    with pytest.raises(serve.CannotStart, match="PARLEY_API_KEYS is set but has no API key"):
        serve.serve(config, LOOPBACK, open_to_all=False)


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
    assert serve.proxy_limits(settings)["PARLEY_PROXY_MAX_REQUESTS"] == expected


def test_the_proxy_limits_of_bodies_are_those_of_the_gateway() -> None:
    config = {"max_body_bytes": 1000, "max_upload_bytes": 5000}
    settings = {"applications": [{"deployments": [{"name": "Gateway", "user_config": config}]}]}
    limits = serve.proxy_limits(settings)
    assert (limits["PARLEY_MAX_BODY_BYTES"], limits["PARLEY_MAX_UPLOAD_BYTES"]) == (1000, 5000)


def test_an_invalid_setting_of_the_gateway_prevents_the_start_by_name() -> None:
    settings = {"applications": [{"deployments": [{"name": "Gateway", "user_config": {"max_concurrent": 1}}]}]}
    with pytest.raises(serve.CannotStart, match="unknown setting 'max_concurrent'"):
        serve.proxy_limits(settings)


def test_replicas_cannot_reach_the_model_hub() -> None:
    assert serve.ENVIRONMENT["HF_HUB_OFFLINE"] == "1"


# --- Ray's token ------------------------------------------------------------------------------------------------------


def test_a_new_token_is_readable_by_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    serve.create_token(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text()) == 64


def test_every_start_has_another_token(tmp_path: Path) -> None:
    for name in "ab":
        serve.create_token(tmp_path / name)
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


def test_requests_to_the_dashboard_have_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    (tmp_path / "token").write_text("of-the-file\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert serve.dashboard_request("/api").get_header("Authorization") == "Bearer of-the-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-the-variable")
    assert serve.dashboard_request("/api").get_header("Authorization") == "Bearer of-the-variable"


def test_ray_requires_a_token_and_listens_on_the_loopback() -> None:
    assert serve.ENVIRONMENT["RAY_AUTH_MODE"] == "token"
    assert serve.ENVIRONMENT["RAY_AUTH_TOKEN_PATH"] == str(serve.TOKEN_FILE)
    assert serve.ENVIRONMENT["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
