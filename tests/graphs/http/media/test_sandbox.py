"""Decoding in processes with limits, which end alone and are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest

from deployments.errors import BrokenMedia, ParleyError, TooLarge
from graphs.http.media.jobs import Job
from graphs.http.media.sandbox import INLINE_BYTES, ROOT, Sandbox
from graphs.http.media.template import MAX_JOBS
from tests.graphs.http.media.bombs import (
    Allocate,
    Compute,
    Crash,
    Environment,
    Fail,
    LoadPicture,
    Sleep,
    jpeg_of_scans,
    m4a_index,
    png_column,
)
from tests.graphs.http.media.files import encoded, png, silence

MIB = 2**20
WITHIN_S = 20


@contextlib.contextmanager
def started(**settings: Any) -> Iterator[Sandbox]:
    sandbox = Sandbox(**{"processes": 1, "memory_bytes": 300 * MIB, "cpu_s": 2, "timeout_s": 100} | settings)
    try:
        yield sandbox
    finally:
        sandbox.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with started() as sandbox:
        yield sandbox


def results(sandbox: Sandbox, job: Job) -> list[Any]:
    async def collect() -> list[Any]:
        return [result async for result in sandbox.run(job)]

    return asyncio.run(collect())


def audio(sandbox: Sandbox, data: bytes) -> float:
    """Return the duration of a recording."""
    return asyncio.run(sandbox.audio(data, max_s=10, param="audio")).duration_s


def image(sandbox: Sandbox, data: bytes) -> tuple[int, ...]:
    """Return the shape of a picture."""
    return asyncio.run(sandbox.image(data, max_pixels=25_000_000, side_px=100, param="image")).pixels.shape


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def template() -> psutil.Process:
    """Return the template process of the newest sandbox."""
    return max(psutil.Process().children(), key=lambda process: process.create_time())


def decoders() -> list[psutil.Process]:
    return [process for process in template().children() if is_alive(process.pid)]


def test_decodes_recordings_and_pictures(sandbox: Sandbox) -> None:
    assert audio(sandbox, silence(1)) == 1
    assert image(sandbox, png(8, 6)) == (6, 8, 3)


def test_raises_the_error_of_the_decoder(sandbox: Sandbox) -> None:
    with pytest.raises(BrokenMedia) as caught:
        image(sandbox, png()[:50])
    assert caught.value.param == "image"


@pytest.mark.parametrize(
    "job",
    [Allocate(301 * MIB), LoadPicture(png_column()), Compute(9), LoadPicture(jpeg_of_scans(9000)), Crash()],
    ids=type,
)
def test_refuses_a_job_that_exceeds_a_limit(sandbox: Sandbox, job: Job) -> None:
    with pytest.raises(TooLarge):
        results(sandbox, job)
    assert audio(sandbox, silence(1)) == 1


def test_allows_a_job_within_its_memory(sandbox: Sandbox) -> None:
    assert results(sandbox, Allocate(200 * MIB)) == [200 * MIB]


def test_refuses_an_m4a_with_an_index_of_gigabytes(sandbox: Sandbox) -> None:
    with pytest.raises(ParleyError) as caught:
        audio(sandbox, m4a_index())
    assert caught.value.status in (400, 413, 422)  # FFmpeg may take the file for one without samples


def test_refuses_a_picture_of_one_column_without_decoding_it(sandbox: Sandbox) -> None:
    with pytest.raises(TooLarge, match="limit of a side is 30,000"):
        image(sandbox, png_column())


def test_refuses_a_jpeg_of_thousands_of_scans_without_decoding_it(sandbox: Sandbox) -> None:
    with pytest.raises(TooLarge, match="more than 100 scans"):
        image(sandbox, jpeg_of_scans(5000))
    assert image(sandbox, jpeg_of_scans(1)) == (100, 100, 3)


def test_the_limit_of_processor_time_is_that_of_one_result(sandbox: Sandbox) -> None:
    assert results(sandbox, Compute(0.5, results=7)) == [*range(7)]


def test_refuses_and_kills_a_job_above_its_time() -> None:
    pids: list[int] = []

    async def run(sandbox: Sandbox) -> None:
        async for pid in sandbox.run(Sleep()):
            pids.append(pid)

    with started(timeout_s=2) as sandbox:
        with pytest.raises(TooLarge):
            asyncio.run(run(sandbox))
        wait_until(lambda: not is_alive(pids[0]))


def test_kills_the_process_when_its_client_disconnects(sandbox: Sandbox) -> None:
    async def run() -> int:
        pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def decode() -> None:
            async for result in sandbox.run(Sleep()):
                pid.set_result(result)

        task = asyncio.create_task(decode())
        await pid
        assert is_alive(pid.result())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return pid.result()

    pid = asyncio.run(run())
    wait_until(lambda: not is_alive(pid))
    assert audio(sandbox, silence(1)) == 1


def test_keeps_the_process_after_a_job(sandbox: Sandbox) -> None:
    before = {process.pid for process in decoders()}
    for _ in range(10):
        audio(sandbox, silence(0.1))
    assert {process.pid for process in decoders()} & before


def test_replaces_a_template_that_was_killed() -> None:
    with started() as sandbox:
        audio(sandbox, silence(1))
        processes = [template(), *decoders()]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(is_alive(process.pid) for process in processes))
        assert audio(sandbox, silence(1)) == 1


def test_replaces_idle_processes_that_were_killed() -> None:
    with started() as sandbox:
        audio(sandbox, silence(1))
        for process in decoders():
            process.send_signal(signal.SIGKILL)
        assert audio(sandbox, silence(1)) == 1
        wait_until(lambda: len(decoders()) >= 2)


def test_all_processes_end_with_the_service() -> None:
    code = """
import asyncio, psutil
from graphs.http.media.sandbox import Sandbox
from tests.graphs.http.media.bombs import Sleep
async def run():
    async for pid in Sandbox(1, memory_bytes=2**28, cpu_s=9, timeout_s=99).run(Sleep(1)):
        print(*(process.pid for process in psutil.Process().children(recursive=True)), flush=True)
        await asyncio.sleep(99)
asyncio.run(run())
"""
    service = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    pids = [int(pid) for pid in service.stdout.readline().split()]
    assert len(pids) >= 3
    service.kill()
    service.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_processes_have_no_api_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_API_KEYS", "secret")
    with started() as sandbox:
        (environment,) = results(sandbox, Environment())
    assert "secret" not in str(environment)


def test_two_hundred_jobs_do_not_grow_the_memory() -> None:
    files = [png(400, 300), encoded("mp3", "libmp3lame", 44_100), jpeg_of_scans(1, 400), silence(3)]

    async def decode(sandbox: Sandbox, count: int) -> int:
        """Return the largest resident size of a decoder afterwards, in bytes."""
        for number in range(count):
            data = files[number % len(files)]
            if number % 2:
                await sandbox.audio(data, max_s=10, param="audio")
            else:
                await sandbox.image(data, max_pixels=25_000_000, side_px=1000, param="image")
        return max(process.memory_info().rss for process in decoders())

    async def run() -> None:
        with started() as sandbox:
            before_bytes = await decode(sandbox, 40)
            processes = len(decoders())
            after_bytes = await decode(sandbox, 2 * MAX_JOBS)
            assert after_bytes < before_bytes + 16 * MIB
            assert len(decoders()) <= processes + 1
            assert not any(process.status() == psutil.STATUS_ZOMBIE for process in template().children()[:-1])

    asyncio.run(run())


def test_a_bug_in_a_job_is_an_internal_error_with_a_traceback(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ParleyError) as caught:
        results(sandbox, Fail())
    assert caught.value.status == 500
    assert "ZeroDivisionError" in caplog.text


def test_decodes_the_pieces_of_a_file_as_they_are_requested(sandbox: Sandbox) -> None:
    async def run() -> list[tuple[float, float]]:
        with tempfile.TemporaryFile() as file:
            file.write(silence(70))
            pieces = sandbox.pieces(file, max_s=100, param="file")
            return [(start_s, audio.duration_s) async for start_s, audio in pieces]

    pieces = asyncio.run(run())
    assert pieces[0][0] == 0
    assert sum(duration_s for _, duration_s in pieces) == pytest.approx(70)


def test_a_large_file_reaches_its_decoder_and_no_file_stays_open(sandbox: Sandbox) -> None:
    recording = silence(9) + bytes(2 * INLINE_BYTES)
    assert audio(sandbox, recording) == 9
    before = len(os.listdir("/proc/self/fd"))
    assert audio(sandbox, recording) == 9
    with pytest.raises(BrokenMedia):
        image(sandbox, png()[:50] + bytes(2 * INLINE_BYTES))
    assert len(os.listdir("/proc/self/fd")) == before


def test_handing_over_a_large_file_does_not_block_the_event_loop(sandbox: Sandbox) -> None:
    """Its bytes are never in a message to the decoder."""
    sent: list[int] = []

    async def run() -> None:
        with patch.object(asyncio.StreamWriter, "write", lambda _, data: sent.append(len(data))):
            task = asyncio.create_task(sandbox.audio(silence(200), max_s=300, param="audio"))
            await asyncio.sleep(0.5)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert sent
    assert max(sent) < 1000


def test_decodes_at_most_as_many_long_recordings_at_once_as_it_has_streams() -> None:
    async def first_piece(pieces: AsyncGenerator[Any, None]) -> Any:
        return await anext(pieces)

    async def run(file: Any) -> None:
        with started(streams=1) as sandbox:
            first, second = (sandbox.pieces(file, max_s=100, param="file") for _ in range(2))
            await anext(first)
            waiting = asyncio.create_task(first_piece(second))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            await first.aclose()
            start_s, _ = await waiting
            assert start_s == 0
            await second.aclose()

    with tempfile.TemporaryFile() as file:
        file.write(silence(70))
        file.flush()
        asyncio.run(run(file))


def test_other_users_cannot_connect() -> None:
    folders = set(Path(tempfile.gettempdir()).glob("parley-media-*"))
    with started():
        (folder,) = set(Path(tempfile.gettempdir()).glob("parley-media-*")) - folders
        assert folder.stat().st_mode & 0o077 == 0
        assert folder.stat().st_uid == os.getuid()
