"""Download one file over HTTP, and continue an earlier download of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from models.errors import NotFound, Refused, SourceFailed, Unreachable, WrongHash
from models.progress import Progress

TIMEOUT = httpx.Timeout(60, connect=15)
ATTEMPTS = 5
"""How often a download is continued without progress before it fails."""
PAUSE_S = 0.5
"""Pause before the second attempt; it doubles with each further one."""
MAX_PAUSE_S = 30.0
MAX_BYTES = 4 << 30
"""Limit of a file whose size is not known, such as the archive of a package."""


class _Failed(Exception):
    """One request failed; another one may succeed."""

    def __init__(self, error: SourceFailed, pause_s: float = 0.0) -> None:
        self.error = error
        self.pause_s = pause_s


def download(
    url: str, headers: Mapping[str, str], target: Path, what: str, progress: Progress, size: int | None = None
) -> str | None:
    """Download ``url`` to ``target``, continuing what is there. Return the SHA-256 that the server states, if it does.

    ``what`` names the source in errors; ``size`` is the file's, if it is known. A part that the server does not
    continue is dropped. A continued file may be wrong: the caller compares its hash. Raise ``SourceFailed`` or
    ``OSError``.
    """
    failures = 0
    while True:
        before = _size(target)
        try:
            return _request(url, headers, target, what, progress, size)
        except (_Failed, httpx.TransportError) as error:
            failed = error if isinstance(error, _Failed) else _Failed(_unreachable(what, error))
            failures = 1 if _size(target) > before else failures + 1
            if failures >= ATTEMPTS or (isinstance(error, httpx.ConnectError) and failures >= 2):
                raise failed.error from None
            time.sleep(min(failed.pause_s or PAUSE_S * 2 ** (failures - 1), MAX_PAUSE_S))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceFailed(f"{what}: {error}") from None


def _request(
    url: str, headers: Mapping[str, str], target: Path, what: str, progress: Progress, size: int | None
) -> str | None:
    """Append to ``target`` what it lacks. Return the SHA-256 that the server states, if it does."""
    start = _size(target)
    wanted = {**headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with (
        httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client,
        client.stream("GET", url, headers=wanted) as response,
    ):
        stated = next(filter(None, map(_stated_hash, [*response.history, response])), None)
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("Content-Range", "").endswith(f"/{start}"):
                return stated  # it was whole already
            raise _restarted(target, what)
        _check_status(response, what, url)
        appends = response.status_code == httpx.codes.PARTIAL_CONTENT
        if appends and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _restarted(target, what)
        done = start if appends else 0
        length = _integer(response.headers.get("Content-Length"))
        total = done + length if length is not None else size
        if size is not None and total != size:
            target.unlink(missing_ok=True)
            raise WrongHash(f"{what}: {url} has {total} bytes; the right file has {size}")
        with target.open("ab" if appends else "wb") as file:
            for chunk in response.iter_raw():
                if done + len(chunk) > (total or MAX_BYTES):
                    break
                file.write(chunk)
                file.flush()
                done += len(chunk)
                progress.at(done)
            else:
                if total is not None and done < total:  # the connection was closed without an error
                    raise _Failed(Unreachable(f"{what}: the connection has ended after {done} of {total} bytes"))
                return stated
        target.unlink()
        raise WrongHash(f"{what}: {url} sends more than {total or MAX_BYTES} bytes; nothing of it is kept")


def _check_status(response: httpx.Response, what: str, url: str) -> None:
    """Raise ``SourceFailed`` for an error that remains, ``_Failed`` for one that may pass."""
    status = response.status_code
    message = f"{what}: the server has answered {status} for {url}"
    if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS:
        raise _Failed(SourceFailed(message), float(_integer(response.headers.get("Retry-After")) or 0))
    if status in (401, 403, 407):
        raise Refused(f"{message}; what is private or gated needs credentials, on the hub HF_TOKEN")
    if status in (404, 410):
        raise NotFound(message)
    if not response.is_success:
        raise SourceFailed(message)


def _restarted(target: Path, what: str) -> _Failed:
    """Drop a part that does not fit to the server's file. Return the error that lets the download begin again."""
    target.unlink(missing_ok=True)
    return _Failed(SourceFailed(f"{what}: the server does not continue the file"))


def _unreachable(what: str, error: httpx.TransportError) -> Unreachable:
    return Unreachable(f"{what}: {str(error) or type(error).__name__}")


def _stated_hash(response: httpx.Response) -> str | None:
    """Return the SHA-256 that the hub states for a large file, also in the redirect to its store."""
    tag = response.headers.get("X-Linked-Etag", "").strip('W/"')
    return tag if len(tag) == 64 and set(tag) <= set("0123456789abcdef") else None


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
