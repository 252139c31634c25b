"""The clients of the registries of packages, ``pip`` and ``npm``, run as processes.

They have the user's settings: addresses, proxies, certificates, credentials. They say where an archive is, so that its
download can be continued. What only they can download, they download as a whole. Nothing of a package is built,
installed, imported or run.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from models.catalogue import Package, PythonPackage
from models.errors import NotFound, SourceFailed, Unreachable, WrongHash

POLL_S = 0.25

NO_SPACE = ("No space left on device", "ENOSPC", "Disk quota exceeded", "EDQUOT")
NO_CONNECTION = (
    "Connection refused", "Failed to establish a new connection", "Connection broken", "Connection reset",
    "Connection aborted", "Name or service not known", "Temporary failure in name resolution", "Network is unreachable",
    "No route to host", "ProxyError", "SSLError", "timed out", "Max retries exceeded", "IncompleteRead",
    "incomplete download", "ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH",
    "EHOSTUNREACH", "ERR_SOCKET_TIMEOUT",
)  # fmt: skip
WRONG_HASH = ("DO NOT MATCH THE HASHES", "EINTEGRITY")


def address_of(package: Package, temporary: Path) -> str | None:
    """Return the address of a package's archive, as its client finds it.

    ``None`` if the client does not tell, or if the address is of no use to others: that of a local file, or one whose
    credentials the client hides. The client writes into ``temporary`` only.
    """
    if isinstance(package, PythonPackage):
        command = _pip("index", "versions", package.python)  # with -vv it lists the files of all versions
        pattern = rf"Found link (http\S+\.whl)\S* \(from .*, version: {re.escape(package.version)}$"
        environment = {**os.environ, "TMPDIR": str(temporary), "PIP_RETRIES": "0"}
    else:
        npm = shutil.which("npm")
        if npm is None:
            return None
        command = [
            npm, "view", f"{package.npm}@{package.version}", "dist.tarball", "--json", "--cache",
            str(temporary / "cache"), "--fetch-retries", "0",
        ]  # fmt: skip
        pattern = r'^"(http\S+)"$'
        environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        command, cwd=temporary, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace",
    )  # fmt: skip
    found = re.search(pattern, done.stdout, re.MULTILINE)
    return found[1] if found and "****" not in found[1] else None


def fetch(package: Package, temporary: Path, watch: Callable[[], None]) -> Path:
    """Let the client download a package's archive as a whole, and return it.

    The client writes into ``temporary`` only, and runs no code of the package: pip accepts wheels only, npm ignores its
    scripts. Raise ``SourceFailed`` or ``OSError``.
    """
    result = temporary / "result"
    result.mkdir()
    if isinstance(package, PythonPackage):
        command = _pip("download", "--no-deps", "--dest", str(result), f"{package.python}=={package.version}")
        # PIP_RESUME_RETRIES: pip 25.1 and later continue a wheel after a broken connection; earlier ones ignore it.
        environment = {"PIP_RETRIES": "3", "PIP_RESUME_RETRIES": "5"} | os.environ | {"TMPDIR": str(temporary)}
    else:
        npm = shutil.which("npm")
        if npm is None:
            raise NotFound(f"{package}: npm is not installed")
        command = [
            npm, "pack", f"{package.npm}@{package.version}", "--ignore-scripts", "--loglevel", "error", "--no-progress",
            "--pack-destination", str(result), "--cache", str(temporary / "cache"), "--fetch-retries", "2",
            "--fetch-retry-mintimeout", "1000",
        ]  # fmt: skip
        environment = {**os.environ, "TMPDIR": str(temporary)}
    _run(command, environment, temporary, package, watch)
    found = list(result.iterdir())
    if len(found) != 1:
        raise NotFound(f"{package}: its client has downloaded {len(found)} files, not one")
    return found[0]


def _pip(*command: str) -> list[str]:
    """Return a command of pip for wheels. Only with ``-vv`` pip reports why it does not reach an index."""
    return [
        sys.executable, "-m", "pip", *command, "--only-binary", ":all:", "--ignore-requires-python", "--no-cache-dir",
        "--no-input", "--disable-pip-version-check", "-vv",
    ]  # fmt: skip


def _run(
    command: list[str], environment: dict[str, str], folder: Path, package: Package, watch: Callable[[], None]
) -> None:
    """Run a registry's client in ``folder`` and call ``watch`` regularly. Raise ``SourceFailed`` or ``OSError``."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while True:
                try:
                    child.wait(POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    watch()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if child.returncode:
            log.seek(0)
            raise _explained(log.read(), package, Path(command[0]).name if "pip" not in command else "pip")


def _explained(log: str, package: Package, client: str) -> SourceFailed | OSError:
    """Return the error that the output of a registry's client describes."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if any(mark in log for mark in NO_SPACE):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if any(mark in log for mark in WRONG_HASH):
        return WrongHash(f"{package}: {client} reports that the archive differs from the registry's hash")
    cause = next((mark for mark in NO_CONNECTION if mark in log), None)
    if cause is not None:
        return Unreachable(f"{package}: {client} does not reach the registry ({cause})")
    last = next((line for line in reversed(lines) if "ERR" in line.upper()), lines[-1] if lines else "no message")
    return NotFound(f"{package}: {client} reports: {last}")
