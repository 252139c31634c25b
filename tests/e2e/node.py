"""OpenAI's Node client for the tests: installed from tests/node's lock once, where there is Node.

Node is not needed to run Parley, so that its tests are left out where it is missing.
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
    """Where Node finds the client. Skips the test where there is no Node; fails in CI when it cannot be installed."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("needs node and npm, which Parley itself does not")
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
        done = subprocess.run(["npm", "ci"], cwd=HOME, capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            said = f"npm ci in {HOME.relative_to(ROOT)}: {done.stderr[-500:]}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(said)
        INSTALLED.touch()
    return os.environ | {"NODE_PATH": str(HOME / "node_modules")}


def run(arguments: list[str], folder: Path) -> str:
    """What a Node program prints. Fails the test when it fails."""
    done = subprocess.run(
        ["node", *arguments], cwd=folder, env=environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
