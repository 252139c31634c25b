"""``make setup`` with fake tools: when it builds llama-cpp-python, and with which definitions."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CUDA = "LLAMA_CMAKE=GGML_CUDA=on"
UNINSTALL = "uninstall --quiet --python .venv/bin/python llama-cpp-python"  # so that uv builds it again


class Checkout:
    """A folder with the Makefile and a fake uv that records its arguments."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = folder / "calls"
        tools = folder / ".venv" / "bin"
        tools.mkdir(parents=True)
        (folder / "scripts").mkdir()
        for name in ("Makefile", "requirements.lock"):
            shutil.copy(ROOT / name, folder)
        (folder / "scripts" / "preflight.sh").write_text("")
        uv = f'echo "$@" >> {self._calls}; case "$*" in *FAILS*) exit 1;; esac'
        for name, script in {"python": "", "uv": uv}.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n")
            (tools / name).chmod(0o755)

    def setup(self, *arguments: str) -> str:
        """Run ``make setup`` and return the arguments of its calls of uv."""
        self._calls.write_text("")
        environment = {name: value for name, value in os.environ.items() if name not in ("LLAMA_CMAKE", "MAKEFLAGS")}
        subprocess.run(["make", "setup", *arguments], cwd=self._folder, env=environment, capture_output=True)
        return self._calls.read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_builds_once(checkout: Checkout) -> None:
    assert UNINSTALL in checkout.setup()
    assert not checkout.setup()


def test_builds_again_for_other_definitions(checkout: Checkout) -> None:
    checkout.setup()
    calls = checkout.setup(CUDA)
    assert "llama-cpp-python:cmake.define.GGML_CUDA=on" in calls
    assert UNINSTALL in calls


def test_keeps_the_definitions_until_others_are_given(checkout: Checkout) -> None:
    checkout.setup(CUDA)
    assert not checkout.setup()
    calls = checkout.setup("LLAMA_CMAKE=")
    assert "GGML_CUDA" not in calls
    assert UNINSTALL in calls


def test_does_not_build_again_for_a_changed_lock(checkout: Checkout) -> None:
    checkout.setup(CUDA)
    calls = checkout.setup("-W", "requirements.lock")
    assert "llama-cpp-python:cmake.define.GGML_CUDA=on" in calls
    assert UNINSTALL not in calls


def test_builds_with_the_earlier_definitions_after_a_failed_build(checkout: Checkout) -> None:
    checkout.setup(CUDA)
    checkout.setup("LLAMA_CMAKE=FAILS=on")
    calls = checkout.setup()
    assert "llama-cpp-python:cmake.define.GGML_CUDA=on" in calls
    assert UNINSTALL in calls
