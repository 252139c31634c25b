"""OpenAI's Node client for the tests, installed once from the lock file of tests/node.

Parley itself does not need Node: where it is not installed, its tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT

HOME = ROOT / "tests" / "node"
INSTALLED = HOME / "node_modules" / ".package-lock.json"
LOCK = HOME / "package-lock.json"


def environment() -> dict[str, str]:
    """Return the environment in which Node finds the client.

    Skip the test if Node is not installed or if the client cannot be installed; the latter fails the test in CI.
    """
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("needs node and npm")
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
        done = subprocess.run(["npm", "ci"], cwd=HOME, capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            message = f"npm ci in {HOME.relative_to(ROOT)}: {done.stderr[-500:]}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
        INSTALLED.touch()
    return os.environ | {"NODE_PATH": str(HOME / "node_modules")}


def run(arguments: list[str], folder: Path) -> str:
    """Return the output of a Node program. Fail the test if the program fails."""
    done = subprocess.run(
        ["node", *arguments], cwd=folder, env=environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
