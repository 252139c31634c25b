"""Decode media in processes with limits on memory, processor time and wall time.

Decoders of hostile bytes allocate gigabytes, run for minutes and crash. Here they end alone: the client gets an error,
and the process is killed when its client disconnects.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

from deployments.errors import EngineUnavailable, ParleyError, TooLarge
from deployments.messages import Audio, Image
from graphs.http.media.jobs import LENGTH, DecodeAudio, DecodeImage, DecodePieces, Done, Failed, Job

INLINE_BYTES = 262_144  # written in 0.1 ms, about the cost of switching threads
LARGE_BYTES = 1_048_576  # more than half a minute of WAV or ten seconds as browsers record them
STREAMS = 16
BACKLOG = 128
ROOT = Path(__file__).resolve().parents[3]

logger = logging.getLogger("ray.serve")


class Sandbox:
    """``processes`` concurrent jobs on small inputs, and as many on large ones, so that small ones do not queue behind.

    Long recordings have ``streams`` processes of their own. A job has ``memory_bytes``, ``cpu_s`` and ``timeout_s`` for
    each result. To be used from one event loop.
    """

    def __init__(
        self, processes: int, *, memory_bytes: int, cpu_s: int, timeout_s: float, streams: int = STREAMS
    ) -> None:
        self._processes = processes
        self._limits = (memory_bytes, cpu_s)
        self._timeout_s = timeout_s
        self._small = asyncio.Semaphore(processes)
        self._large = asyncio.Semaphore(processes)
        self._streams = asyncio.Semaphore(streams)
        self._folder = tempfile.TemporaryDirectory(prefix="parley-media-")  # mode 0700: no other user connects
        self._path = os.path.join(self._folder.name, "socket")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen(BACKLOG)
        self._template = self._started()

    async def audio(self, data: bytes, *, max_s: float, param: str) -> Audio:
        """Decode a recording; see ``decode_audio``."""
        audio: Audio = await self._result(data, lambda path: DecodeAudio(path, max_s, param))
        return audio

    async def image(self, data: bytes, *, max_pixels: int, side_px: int, param: str) -> Image:
        """Decode a picture; see ``decode_image``."""
        image: Image = await self._result(data, lambda path: DecodeImage(path, max_pixels, side_px, param))
        return image

    async def pieces(self, file: Any, *, max_s: float, param: str) -> AsyncGenerator[tuple[float, Audio], None]:
        """Decode the pieces of a recording in a file with a descriptor, as they are requested; see ``audio_pieces``."""
        job = DecodePieces(_path(file), max_s, param)
        async with self._streams, contextlib.aclosing(self.run(job)) as pieces:
            async for piece in pieces:
                yield piece

    def close(self) -> None:
        """End all processes. Idempotent."""
        self._close_template()
        self._listener.close()
        self._folder.cleanup()

    def _close_template(self) -> None:
        assert self._template.stdin is not None
        self._template.stdin.close()
        self._template.wait()

    async def _result(self, data: bytes, job: Callable[[str], Job]) -> Any:
        """Return the result of the job for the path of a file with ``data``."""
        async with self._large if len(data) > LARGE_BYTES else self._small, _file(data) as path:
            results = [result async for result in self.run(job(path))]
            return results[0]

    async def run(self, job: Job) -> AsyncGenerator[Any, None]:
        """Yield the results of a job. Raises its error, ``TooLarge`` above a limit, or ``EngineUnavailable``."""
        if self._template.poll() is not None:
            self._close_template()
            self._template = self._started()
        try:
            async with self._process() as process:
                await process.send(job)
                while not isinstance(result := await process.received(), Done | Failed | ParleyError):
                    yield result
                process.is_idle = not isinstance(result, Failed)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            raise _limit_exceeded(job) from None
        if isinstance(result, Failed):
            logger.error("decoding failed by a bug: %s", result.traceback)
            raise ParleyError("Parley failed to decode this file; its log has the reason.")
        if isinstance(result, ParleyError):
            raise result

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncGenerator[_Process, None]:
        """Connect to a process; kill it at the end unless it is idle again."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        process = _Process(reader, writer, self._timeout_s)
        try:
            await process.connect()
            yield process
        finally:
            process.close()

    def _started(self) -> subprocess.Popen[bytes]:
        arguments = map(str, (self._listener.fileno(), 2 * self._processes, *self._limits))
        return subprocess.Popen(
            [sys.executable, "-m", "graphs.http.media.template", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", ""), "OPENBLAS_NUM_THREADS": "1"},  # no key of the service
            stdin=subprocess.PIPE,
            pass_fds=(self._listener.fileno(),),
        )


class _Process:
    """A connection to one process. ``is_idle`` after it has finished its job."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._descriptor: int | None = None  # unlike a process id, it never refers to another process
        self.is_idle = False

    async def connect(self) -> None:
        """Wait until a process accepts the connection. Raise ``EngineUnavailable``."""
        try:
            self._descriptor = os.pidfd_open(await self.received())
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            raise EngineUnavailable("No process for decoding responds. Try again in a moment.") from None

    async def send(self, job: Job) -> None:
        data = pickle.dumps(job, protocol=5)
        self._writer.write(LENGTH.pack(len(data)) + data)
        await self._writer.drain()

    async def received(self) -> Any:
        """Return the next frame. Raise ``TimeoutError``, or ``IncompleteReadError`` if the process has ended."""
        async with asyncio.timeout(self._timeout_s):
            size = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))[0]
            return pickle.loads(await self._reader.readexactly(size))

    def close(self) -> None:
        """End the connection, and the process unless it is idle."""
        self._writer.close()
        if self._descriptor is not None:
            if not self.is_idle:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            os.close(self._descriptor)


@contextlib.asynccontextmanager
async def _file(data: bytes) -> AsyncGenerator[str, None]:
    """Yield the path of a file in memory with ``data``: sending 30 MB through a socket takes the event loop 60 ms."""
    with os.fdopen(os.memfd_create("parley-media"), "wb") as file:
        if len(data) > INLINE_BYTES:
            await asyncio.to_thread(file.write, data)  # without the GIL
        else:
            file.write(data)
        file.flush()
        yield _path(file)


def _path(file: Any) -> str:
    """Return the path by which another process opens a file that this one has open."""
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"


def _limit_exceeded(job: Job) -> TooLarge:
    return TooLarge(
        "Decoding needs more memory or time than the service allows. Send a smaller or simpler file.",
        param=getattr(job, "param", None),
    )
