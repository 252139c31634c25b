"""How much memory and how many open handles does the whole application use, per process and with Ray's own?

    python -m bench.memory [--port 8265]

Method: memory is the proportional set size (PSS), in which a page shared by n processes counts as 1/n for each, so that
the sum is the memory in use. Handles are file descriptors: files, sockets and pipes. The processes are those that name
the session of the Ray whose dashboard listens on ``--port``, their descendants, and the ``serve`` commands above them.

JSON: ``total_pss_mib``, ``total_handles``, and per process ``name``, ``pid``, ``pss_mib`` and ``handles``.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import PurePath
from typing import Literal, Self

import psutil  # type: ignore[import-untyped]

from bench.command import argument_parser, report

MIB = 2**20
_SESSION = re.compile(r"session_\d{4}-[\w-]+")


def application(port: int) -> list[psutil.Process]:
    """Return the processes of the Ray with this dashboard port. Raise ``LookupError`` if there is none."""
    processes = list(psutil.process_iter(["cmdline"]))
    dashboard = _listener(port)
    found = _SESSION.search(" ".join(dashboard.cmdline()))
    if not found:
        raise LookupError(f"port {port} belongs to {dashboard.name()}, not to a Ray dashboard")
    named = [p for p in processes if found.group() in " ".join(p.info["cmdline"] or ())]
    starters = [p for process in named for p in process.parents() if readable(_cmdline(p)).startswith("serve")]
    return sorted({*starters, *named, *(child for p in named for child in p.children(recursive=True))}, key=_pid)


def _listener(port: int) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise LookupError(f"no process of this user listens on port {port}; is the service running?")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Memory and open handles of one process."""

    name: str
    pid: int
    pss_mib: float
    handles: int


def usage_of(processes: Iterable[psutil.Process]) -> list[ProcessUsage]:
    """Return the usage of each process that still exists, the largest first."""
    found = []
    for process in processes:
        try:
            pss_mib = process.memory_full_info().pss / MIB
            found.append(ProcessUsage(readable(process.cmdline()), process.pid, round(pss_mib, 1), process.num_fds()))
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return sorted(found, key=lambda usage: -usage.pss_mib)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The usage of all processes, ``at_s`` seconds after the start."""

    at_s: float
    processes: Sequence[ProcessUsage]

    @property
    def pss_mib(self) -> float:
        return round(sum(usage.pss_mib for usage in self.processes), 1)

    @property
    def handles(self) -> int:
        return sum(usage.handles for usage in self.processes)

    def by_name(self, what: Literal["pss_mib", "handles"]) -> dict[str, float]:
        """Return the sum over the processes of each name."""
        totals: dict[str, float] = {}
        for usage in self.processes:
            totals[usage.name] = totals.get(usage.name, 0.0) + getattr(usage, what)
        return totals


def _usage(port: int, only: str) -> list[ProcessUsage]:
    return usage_of(process for process in application(port) if only in readable(_cmdline(process)))


class Sampler:
    """Takes snapshots of the application behind a dashboard port: one at a time, or every ``period_s`` while entered.

    ``only`` selects processes by a part of their name. The measurement suspends each process for a few milliseconds. It
    runs in a process with low priority, as it would block the event loop of the bench.
    """

    def __init__(self, port: int, period_s: float, only: str = "") -> None:
        self._port = port
        self._period_s = period_s
        self._only = only
        self._executor = ProcessPoolExecutor(1, get_context("spawn"), os.nice, (10,))
        self._started_s = time.monotonic()
        self.snapshots: list[Snapshot] = []

    async def take(self) -> Snapshot:
        """Return the current usage. Raise ``LookupError`` if the application does not run."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._executor, _usage, self._port, self._only)
        return Snapshot(time.monotonic() - self._started_s, found)

    async def __aenter__(self) -> Self:
        self._started_s = time.monotonic()
        self.snapshots.append(await self.take())
        self._task = asyncio.create_task(self._repeat())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self.snapshots.append(await self.take())

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            self.snapshots.append(await self.take())


def readable(command: list[str]) -> str:
    """Return a short name for a process: ``ray::ServeReplica:default:TextLLM``, ``raylet``, ``serve run``."""
    if not command:
        return "?"
    if command[0].startswith("ray"):
        return command[0].split(".")[0].strip()
    if helper := re.search(r"multiprocessing\.\w+", " ".join(command)):
        return helper.group()
    words = [PurePath(word).name for word in command if not word.startswith("-") and "=" not in word]
    if words and words[0].startswith("python") and len(words) > 1:
        words = words[1:]
    if words[0] == "serve":
        return " ".join(words[:2])
    return words[0] if words[0] != "main.py" else _package(command)


def _package(command: list[str]) -> str:
    """Return the folder of a ``main.py``, such as that of Ray's runtime_env agent."""
    return next(PurePath(word).parent.name for word in command if word.endswith("main.py"))


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _pid(process: psutil.Process) -> int:
    return int(process.pid)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--port", default=8265, type=int, help="port of the Ray dashboard")
    try:
        found = usage_of(application(parser.parse_args().port))
    except LookupError as error:
        raise SystemExit(f"memory: {error}") from None
    for usage in found:
        print(f"{usage.pss_mib:8.1f} MiB  {usage.handles:>5} handles  {usage.pid:>7}  {usage.name}")
    total = {"total_pss_mib": round(sum(u.pss_mib for u in found), 1), "total_handles": sum(u.handles for u in found)}
    print(f"{total['total_pss_mib']:8.1f} MiB  {total['total_handles']:>5} handles  in {len(found)} processes")
    report("memory", {**total, "processes": [asdict(usage) for usage in found]})


if __name__ == "__main__":
    main()
