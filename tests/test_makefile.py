"""``make setup``, with pretended tools: when llama-cpp-python is built, and with what."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CUDA = "LLAMA_CMAKE=GGML_CUDA=on"
ANEW = "uninstall --quiet --python .venv/bin/python llama-cpp-python"  # and so not taken for what is wanted


class Checkout:
    """A Makefile in a folder of its own, and a uv that only notes what it is asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked = folder / "asked"
        tools = folder / ".venv" / "bin"
        tools.mkdir(parents=True)
        (folder / "scripts").mkdir()
        for name in ("Makefile", "requirements.lock"):
            shutil.copy(ROOT / name, folder)
        (folder / "scripts" / "preflight.sh").write_text("")
        uv = f'echo "$@" >> {self._asked}; case "$*" in *FAILS*) exit 1;; esac'
        for name, script in {"python": "", "uv": uv}.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n")
            (tools / name).chmod(0o755)

    def setup(self, *arguments: str) -> str:
        """What uv is asked by ``make setup``."""
        self._asked.write_text("")
        environment = {name: value for name, value in os.environ.items() if name not in ("LLAMA_CMAKE", "MAKEFLAGS")}
        subprocess.run(["make", "setup", *arguments], cwd=self._folder, env=environment, capture_output=True)
        return self._asked.read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_it_is_built_once(checkout: Checkout) -> None:
    assert ANEW in checkout.setup()
    assert not checkout.setup()


def test_other_definitions_build_it_anew(checkout: Checkout) -> None:
    checkout.setup()
    asked = checkout.setup(CUDA)
    assert "llama-cpp-python:cmake.define.GGML_CUDA=on" in asked
    assert ANEW in asked


def test_definitions_stay_until_others_are_given(checkout: Checkout) -> None:
    checkout.setup(CUDA)
    assert not checkout.setup()
    asked = checkout.setup("LLAMA_CMAKE=")
    assert "GGML_CUDA" not in asked
    assert ANEW in asked


def test_a_changed_lock_does_not_build_it_anew(checkout: Checkout) -> None:
    checkout.setup(CUDA)
    asked = checkout.setup("-W", "requirements.lock")
    assert "llama-cpp-python:cmake.define.GGML_CUDA=on" in asked
    assert ANEW not in asked


def test_after_a_build_that_failed_the_one_before_is_made_again(checkout: Checkout) -> None:
    checkout.setup(CUDA)
    checkout.setup("LLAMA_CMAKE=FAILS=on")
    asked = checkout.setup()
    assert "llama-cpp-python:cmake.define.GGML_CUDA=on" in asked
    assert ANEW in asked
