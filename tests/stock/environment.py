"""Stock Python clients in an environment of their own, as their dependencies are not Parley's.

It is made once from requirements.lock. To change a version:

    .venv/bin/uv pip compile tests/stock/requirements.in --python-version 3.11 --no-emit-index-url --generate-hashes \
      --custom-compile-command "see tests/stock/environment.py" -o tests/stock/requirements.lock
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / ".run" / "stock-clients"
INSTALLED = ENVIRONMENT / "requirements.lock"
LOCK = HERE / "requirements.lock"
INSTALL_TIMEOUT_S = 600


def run(script: str, *arguments: str, timeout_s: float = 120) -> dict[str, Any]:
    """Run a script of this folder with its clients; return the JSON object of its last line."""
    command = [str(_python()), str(HERE / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _python() -> Path:
    """Return the interpreter of the environment, which is made first if it is missing or out of date."""
    python = ENVIRONMENT / "bin" / "python"
    if not INSTALLED.exists() or INSTALLED.read_bytes() != LOCK.read_bytes():
        uv = str(Path(sys.executable).with_name("uv"))
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT)],
            [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(LOCK)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
            assert done.returncode == 0, done.stderr[-3000:]
        shutil.copy(LOCK, INSTALLED)
    return python
