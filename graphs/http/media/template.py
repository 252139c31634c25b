"""The template process of the sandbox: it has imported the decoders, and forks the processes that run jobs.

    python -m graphs.http.media.template LISTENER_FD IDLE MEMORY_BYTES CPU_S

At least ``IDLE`` processes wait for a connection, so that a job does not wait for a fork. On a connection a process
sends its process id, reads a pickled ``Job``, and sends its results and ``Done``, or an exception, each as a frame:
8 bytes with the length (big-endian) and a pickle. It has ``MEMORY_BYTES`` more address space than the template, and
``CPU_S`` of processor time for each result. After ``MAX_JOBS`` it ends. All processes end with the parent, which holds
the other end of their standard input.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from deployments.errors import ParleyError, TooLarge
from graphs.http.media.jobs import LENGTH, Done, Failed, Job

MAX_JOBS = 100
REAP_S = 1  # time after which a process that was killed is replaced
STATE = struct.Struct(">I?")  # a process id, and whether that process is idle


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    listener.setblocking(False)
    count, memory_bytes, cpu_s = map(int, sys.argv[2:5])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, and that ends this
    states, report = os.pipe()
    processes: set[int] = set()
    idle: set[int] = set()
    while True:
        while len(idle) < count:
            pid = _forked(listener, report, memory_bytes, cpu_s)
            processes.add(pid)
            idle.add(pid)
        ready, _, _ = select.select([states, sys.stdin], [], [], REAP_S)
        if sys.stdin in ready:
            return
        if states in ready:
            pid, is_idle = STATE.unpack(os.read(states, STATE.size))
            (idle.add if is_idle else idle.discard)(pid)
        for pid in _ended():
            processes.discard(pid)
        idle &= processes  # a process may have ended before its report was read


def _forked(listener: socket.socket, report: int, memory_bytes: int, cpu_s: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _limit_memory(memory_bytes)
        for _ in range(MAX_JOBS):
            connection = _accepted(listener)
            os.write(report, STATE.pack(os.getpid(), False))
            with connection, connection.makefile("rwb") as stream:
                if not _handle(stream, cpu_s):
                    break
            os.write(report, STATE.pack(os.getpid(), True))
    finally:
        os._exit(0)


def _accepted(listener: socket.socket) -> socket.socket:
    """Wait for a connection. End the process when the parent has ended."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:  # another process was faster
            continue
        connection.setblocking(True)
        return connection


def _ended() -> Iterator[int]:
    """Collect the processes that have ended. Yield their ids."""
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            yield pid


def _limit_memory(memory_bytes: int) -> None:
    with open("/proc/self/statm") as statm:
        size_bytes = int(statm.read().split()[0]) * resource.getpagesize()
    limit = size_bytes + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # decoders write no file; standard error may be one
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu(cpu_s: int) -> None:
    """Allow ``cpu_s`` more of processor time; beyond it the kernel kills the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(
        resource.RLIMIT_CPU, (math.ceil(usage.ru_utime + usage.ru_stime) + cpu_s, resource.RLIM_INFINITY)
    )


def _handle(stream: Any, cpu_s: int) -> bool:
    """Run one job. Return whether the process can run another."""
    _send(stream, os.getpid())
    job: Job = pickle.loads(stream.read(LENGTH.unpack(stream.read(LENGTH.size))[0]))
    try:
        _limit_cpu(cpu_s)
        for result in job.run():
            _send(stream, result)
            _limit_cpu(cpu_s)
    except ParleyError as error:
        _send(stream, error)
    except MemoryError:
        message = "Decoding needs more memory than the service allows. Send a smaller or simpler file."
        _send(stream, TooLarge(message, param=getattr(job, "param", None)))
        return False
    except OSError:  # the client has disconnected
        return False
    except Exception:
        _send(stream, Failed(traceback.format_exc()))
        return False
    else:
        _send(stream, Done())
    return True


def _send(stream: Any, value: Any) -> None:
    data = pickle.dumps(value, protocol=5)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


if __name__ == "__main__":
    main()
