"""Memory and open handles of the whole application by process, Ray's own included.

    python -m bench.memory [--port 8265]

Memory is the proportional set size (PSS): a page that several processes share counts in equal parts, so that the total
is what the application really takes. Handles are file descriptors: files, sockets, pipes.
The application is the Ray whose dashboard listens on the port: the processes that name its session, all that descend
from them, and the ``serve`` commands that started it. The last line is the figures in JSON.
"""

from __future__ import annotations

import argparse
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

from bench.client import report

MIB = 2**20
_SESSION = re.compile(r"session_\d{4}-[\w-]+")


def application(port: int) -> list[psutil.Process]:
    """The processes of the Ray with this dashboard port. Raises ``LookupError`` when there is none."""
    everything = list(psutil.process_iter(["cmdline"]))
    dashboard = _listener(port)
    found = _SESSION.search(" ".join(dashboard.cmdline()))
    if not found:
        raise LookupError(f"port {port} belongs to {dashboard.name()}, which is no Ray dashboard")
    named = [p for p in everything if found.group() in " ".join(p.info["cmdline"] or ())]
    starters = [p for one in named for p in one.parents() if readable(_cmdline(p)).startswith("serve")]
    return sorted({*starters, *named, *(child for p in named for child in p.children(recursive=True))}, key=_pid)


def _listener(port: int) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise LookupError(f"no process of yours listens on port {port}; is the service running?")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process takes."""

    name: str
    pid: int
    pss_mib: float
    handles: int


def measured(processes: Iterable[psutil.Process]) -> list[Taken]:
    """What each process takes that is still there, the largest first."""
    found = []
    for process in processes:
        try:
            pss_mib = process.memory_full_info().pss / MIB
            found.append(Taken(readable(process.cmdline()), process.pid, round(pss_mib, 1), process.num_fds()))
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return sorted(found, key=lambda taken: -taken.pss_mib)


@dataclass(frozen=True, slots=True)
class Sample:
    """All processes at one moment, ``at_s`` seconds after the first."""

    at_s: float
    taken: Sequence[Taken]

    @property
    def pss_mib(self) -> float:
        return round(sum(taken.pss_mib for taken in self.taken), 1)

    @property
    def handles(self) -> int:
        return sum(taken.handles for taken in self.taken)

    def by_name(self, what: Literal["pss_mib", "handles"]) -> dict[str, float]:
        """The sum over the processes of each name."""
        totals: dict[str, float] = {}
        for taken in self.taken:
            totals[taken.name] = totals.get(taken.name, 0.0) + getattr(taken, what)
        return totals


def _measured(port: int, only: str) -> list[Taken]:
    return measured(process for process in application(port) if only in readable(_cmdline(process)))


class Sampler:
    """Measures the application behind a dashboard port, once or, while it is entered, every ``period_s``.

    ``only`` keeps the processes with this in their names. Every measurement stops a process for some milliseconds. A
    process apart looks through them all: in this one it would hold up whoever measures times meanwhile.
    """

    def __init__(self, port: int, period_s: float, only: str = "") -> None:
        self._port = port
        self._period_s = period_s
        self._only = only
        self._apart = ProcessPoolExecutor(1, get_context("spawn"), os.nice, (10,))
        self._started_s = time.monotonic()
        self.samples: list[Sample] = []

    async def take(self) -> Sample:
        """The application now. Raises ``LookupError`` when there is none."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._apart, _measured, self._port, self._only)
        return Sample(time.monotonic() - self._started_s, found)

    async def __aenter__(self) -> Self:
        self._started_s = time.monotonic()
        self.samples.append(await self.take())
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self.samples.append(await self.take())

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            self.samples.append(await self.take())


def readable(command: list[str]) -> str:
    """What a process is, in a word or two: ``ray::ServeReplica:default:TextLLM``, ``raylet``, ``serve run``."""
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
    """The folder of a ``main.py``, such as that of Ray's runtime_env agent."""
    return next(PurePath(word).parent.name for word in command if word.endswith("main.py"))


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _pid(process: psutil.Process) -> int:
    return int(process.pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", default=8265, type=int, help="of the Ray dashboard")
    try:
        found = measured(application(parser.parse_args().port))
    except LookupError as problem:
        raise SystemExit(f"memory: {problem}") from None
    for taken in found:
        print(f"{taken.pss_mib:8.1f} MiB  {taken.handles:>5} handles  {taken.pid:>7}  {taken.name}")
    total = {"total_pss_mib": round(sum(t.pss_mib for t in found), 1), "total_handles": sum(t.handles for t in found)}
    print(f"{total['total_pss_mib']:8.1f} MiB  {total['total_handles']:>5} handles  in {len(found)} processes")
    report("memory", {**total, "processes": [asdict(taken) for taken in found]})


if __name__ == "__main__":
    main()
