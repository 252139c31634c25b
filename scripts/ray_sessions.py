"""Remove the folders of earlier Ray sessions, which Ray leaves in its temporary folder.

A folder is removed only if nothing can be using it: it is not the latest session, it belongs to this user, the process
that started it has ended, no process listens on its sockets, and nothing in it has changed for ``KEPT_S``.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from pathlib import Path

FOLDER = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray"
KEPT_S = 3600.0
_NAME = re.compile(r"session_[\d-]+_[\d-]+_\d+_(?P<pid>\d+)")  # the process that started it


def remove_old(folder: Path = FOLDER, kept_s: float = KEPT_S) -> list[Path]:
    """Remove the sessions in ``folder`` that nothing uses, and return their folders."""
    latest = folder / "session_latest"
    in_use = latest.resolve() if latest.exists() else None
    old = [path for path in sorted(folder.glob("session_*")) if path.resolve() != in_use and _is_unused(path, kept_s)]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return old


def _is_unused(path: Path, kept_s: float) -> bool:
    name = _NAME.fullmatch(path.name)
    if name is None or path.is_symlink() or not path.is_dir() or path.stat().st_uid != os.getuid():
        return False
    if _is_running(int(name["pid"])) or any(map(_is_listening, (path / "sockets").glob("*"))):
        return False
    return time.time() - _changed_s(path) >= kept_s


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_listening(path: Path) -> bool:
    """Return whether a process accepts connections to a socket; true in doubt."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _changed_s(path: Path) -> float:
    """Return when something in a session's folder or in its logs last changed, in seconds since the epoch."""
    logs = path / "logs"
    parts = (path, *path.iterdir(), *(logs.iterdir() if logs.is_dir() else ()))
    return max(float(part.lstat().st_mtime) for part in parts)
