"""Which folders of earlier Ray sessions are removed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.ray_sessions import remove_old

NAME = "session_2026-01-02_03-04-05_678901_{pid}"
LONG_AGO_S = time.time() - 7200


@pytest.fixture(scope="module")
def ended_pid() -> int:
    """The id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="parley-") as name:
        yield Path(name)


def session(folder: Path, pid: int) -> Path:
    """Create the folder of a session that has not changed for two hours."""
    path = folder / NAME.format(pid=pid)
    (path / "sockets").mkdir(parents=True)
    (path / "logs").mkdir()
    (path / "logs" / "raylet.out").write_text("log")
    make_old(path)
    return path


def make_old(path: Path) -> None:
    for part in (*path.rglob("*"), path):
        os.utime(part, (LONG_AGO_S, LONG_AGO_S))


def test_removes_a_session_that_nothing_uses(folder: Path, ended_pid: int) -> None:
    path = session(folder, ended_pid)
    assert remove_old(folder) == [path]
    assert not path.exists()


def test_keeps_the_latest_session(folder: Path, ended_pid: int) -> None:
    path = session(folder, ended_pid)
    (folder / "session_latest").symlink_to(path)
    assert remove_old(folder) == []
    assert path.exists()


def test_keeps_a_session_whose_process_runs(folder: Path) -> None:
    session(folder, os.getpid())
    assert remove_old(folder) == []


def test_keeps_a_session_with_a_listening_socket(folder: Path, ended_pid: int) -> None:
    path = session(folder, ended_pid)
    with socket.socket(socket.AF_UNIX) as raylet:
        raylet.bind(str(path / "sockets" / "raylet"))
        make_old(path)
        raylet.listen()
        assert remove_old(folder) == []
    assert remove_old(folder) == [path]


def test_keeps_a_session_whose_log_changed_lately(folder: Path, ended_pid: int) -> None:
    path = session(folder, ended_pid)
    os.utime(path / "logs" / "raylet.out")
    assert remove_old(folder) == []


@pytest.mark.parametrize("name", ["session_backup", "session_2026-01-02_03-04-05_678901_12x", "notes"])
def test_keeps_folders_with_other_names(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    make_old(folder / name)
    assert remove_old(folder) == []


def test_does_not_follow_a_link(folder: Path, ended_pid: int) -> None:
    target = folder / "target"
    target.mkdir()
    make_old(target)
    (folder / NAME.format(pid=ended_pid)).symlink_to(target)
    assert remove_old(folder) == []
    assert target.exists()


def test_without_a_folder_there_is_nothing_to_remove(folder: Path) -> None:
    assert remove_old(folder / "none") == []
