"""Memory of the whole application by process, Ray's own included, as proportional set size (PSS).

    python -m bench.memory [--port 8265]

PSS counts a page that several processes share in equal parts, so that the total is what the application really takes.
The application is the Ray whose dashboard listens on the port: the processes that name its session, all that descend
from them, and the ``serve`` commands that started it. The last line is the figures in JSON.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import PurePath

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
    starters = [p for one in named for p in one.parents() if "serve" in " ".join(_cmdline(p))]
    return sorted({*starters, *named, *(child for p in named for child in p.children(recursive=True))}, key=_pid)


def _listener(port: int) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise LookupError(f"no process of yours listens on port {port}; is the service running?")


def pss_mib(processes: Iterable[psutil.Process]) -> list[tuple[str, int, float]]:
    """(name, pid, MiB) of each process that is still there, the largest first."""
    rows = []
    for process in processes:
        try:
            rows.append((readable(process.cmdline()), process.pid, process.memory_full_info().pss / MIB))
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return sorted(rows, key=lambda row: -row[2])


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
        rows = pss_mib(application(parser.parse_args().port))
    except LookupError as problem:
        raise SystemExit(f"memory: {problem}") from None
    for name, pid, mib in rows:
        print(f"{mib:8.1f} MiB  {pid:>7}  {name}")
    total = sum(mib for _, _, mib in rows)
    print(f"{total:8.1f} MiB  in {len(rows)} processes")
    processes = [{"name": name, "pid": pid, "pss_mib": round(mib, 1)} for name, pid, mib in rows]
    report("memory", {"total_pss_mib": round(total, 1), "processes": processes})


if __name__ == "__main__":
    main()
