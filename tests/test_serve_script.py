"""What `make serve` says when it cannot start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scripts import serve

CONFIG = "applications: [{name: parley, import_path: 'graphs.app:build', args: {}}]\n"
LOOPBACK = {"host": "127.0.0.1", "port": None}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "serve_config.yaml"
    path.write_text(CONFIG)
    return path


def test_a_port_that_is_taken_is_named_with_a_remedy(config: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(serve.CannotStart, match=rf"port {port} is taken.*PORT="):
            serve.serve(config, LOOPBACK | {"port": port}, open_to_all=False)


def test_other_machines_are_not_served_without_keys(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLEY_API_KEYS", raising=False)
    with pytest.raises(serve.CannotStart, match="PARLEY_API_KEYS"):
        serve.serve(config, {"host": "0.0.0.0"}, open_to_all=False)


def test_keys_in_the_environment_are_enough(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_API_KEYS", "a-key-of-sixteen-characters")
    assert serve.has_keys(serve.load(config))


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
def test_loopback_is_known(host: str, loopback: bool) -> None:
    assert serve.is_loopback(host) is loopback


@pytest.mark.parametrize(("text", "words"), [("a: [", "not YAML"), ("- a", "no mapping")])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(serve.CannotStart, match=words):
        serve.load(path)


def test_a_missing_file_names_those_that_are_shipped(tmp_path: Path) -> None:
    with pytest.raises(serve.CannotStart, match=r"serve_config\.yaml and configs"):
        serve.load(tmp_path / "none.yaml")
