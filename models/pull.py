"""Bring models into the cache, check them, and remove them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from models import cache, catalogue
from models.cache import Recorded
from models.catalogue import Entry, File, HubFile, LocalFile, Source, Variant
from models.errors import CacheNotWritable, DiskFull, PullFailed, SourceFailed, WrongHash
from models.progress import Progress, human
from models.sources import Fetched, Workspace, listed

T = TypeVar("T")
R = TypeVar("R")

SPACE_LEFT_BYTES = 64 << 20
"""Space that a pull leaves free on the cache's file system."""


def pull(names: Iterable[str], progress: Progress | None = None) -> list[str]:
    """Bring models into the cache. Return the names of those that were not there before.

    Raise ``UnknownModel``, ``PullFailed`` for all models that fail, ``DiskFull`` or ``CacheNotWritable``. The next pull
    continues with what has been downloaded by then.
    """
    progress = progress or Progress()
    entries = [catalogue.entry(name) for name in dict.fromkeys(names)]
    missing = [entry for entry in entries if not cache.is_complete(entry)]
    if missing:
        _announce(missing, progress)
    pulled = pull_each(missing, lambda entry: _pull(entry, progress))
    return [entry.name for entry, is_new in zip(missing, pulled, strict=True) if is_new]


def pull_each(models: Iterable[T], pull_one: Callable[[T], R]) -> list[R]:
    """Call ``pull_one`` with every model, also after one that fails. Raise one ``PullFailed`` for those that fail."""
    results: list[R] = []
    failures: list[PullFailed] = []
    for model in models:
        try:
            results.append(pull_one(model))
        except PullFailed as failed:
            failures.append(failed)
    if failures:
        raise PullFailed.of_all(failures)
    return results


def verify(name: str) -> list[str]:
    """Read all files of a pulled model. Return the paths of those that are missing or differ from their hash."""
    recorded = cache.manifest(name) or {}
    folder = cache.folder_of(name)
    return [path for path, file in recorded.items() if _digest_or_none(folder / path) != file.sha256]


def remove(name: str) -> int:
    """Delete a model and its unfinished downloads. Return the bytes that this frees; 0 if there is nothing.

    Raise ``UnknownModel`` for a name that neither the catalogue nor the cache has.
    """
    folders = [cache.folder_of(name), cache.partial_folder_of(name)]
    if not (folders[0].is_dir() and folders[0].parent == cache.folder() and not name.startswith(".")):
        catalogue.entry(name)
    with _locked(name, Progress()):
        (folders[0] / cache.MANIFEST).unlink(missing_ok=True)
        freed = sum(map(cache.bytes_in, folders))
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _announce(entries: list[Entry], progress: Progress) -> None:
    total = sum(entry.bytes for entry in entries)
    names = ", ".join(f"{entry.name} ({human(entry.bytes)}, {entry.licence})" for entry in entries)
    progress.message(f"Pulling {names}: {human(total)} into {cache.folder()}")


def _pull(entry: Entry, progress: Progress) -> bool:
    """Pull one model. Return ``False`` if another process has pulled it in the meantime."""
    with _locked(entry.name, progress), _disk_errors(entry):
        if cache.is_complete(entry):
            return False
        causes: list[SourceFailed] = []
        for variant in entry.variants:
            try:
                _pull_variant(entry, variant, progress)
                return True
            except PullFailed as failed:
                causes += failed.causes
            except SourceFailed as failed:
                causes.append(failed)
            finally:
                progress.stop()
        raise PullFailed(entry.name, causes)


def _pull_variant(entry: Entry, variant: Variant, progress: Progress) -> None:
    """Pull all files of a variant, and record them. Raise ``PullFailed`` or ``SourceFailed``."""
    folder = cache.folder_of(entry.name)
    folder.mkdir(parents=True, exist_ok=True)
    files = _files_of(variant)
    _check_space(entry, files, folder)
    recorded: dict[str, Recorded] = {}
    with Workspace(cache.partial_folder_of(entry.name), progress) as workspace:
        for path, (file, sources) in files.items():
            recorded[path] = _pull_file(entry.name, path, file, sources, workspace, progress)
    for left in [path for path in folder.rglob("*") if path.is_file()]:  # of another variant, or of an older entry
        if str(left.relative_to(folder)) not in recorded:
            left.unlink()
    cache.write_manifest(entry.name, recorded)
    shutil.rmtree(cache.partial_folder_of(entry.name), ignore_errors=True)


def _pull_file(
    name: str, path: str, file: File, sources: tuple[Source, ...], workspace: Workspace, progress: Progress
) -> Recorded:
    """Pull one file from the first source that has it. Raise ``PullFailed``."""
    target = cache.folder_of(name) / path
    if file.sha256 is not None and _digest_or_none(target) == file.sha256:  # an earlier pull stopped after this file
        return Recorded(target.stat().st_size, file.sha256)
    causes: list[SourceFailed] = []
    for source in sources:
        try:
            fetched, recorded = _fetched(source, name, path, file, workspace)
        except SourceFailed as failed:
            causes.append(failed)
            progress.stop()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        fetched.path.replace(target)
        progress.end(recorded.bytes, str(source))
        return recorded
    raise PullFailed(name, causes)


def _fetched(source: Source, name: str, path: str, file: File, workspace: Workspace) -> tuple[Fetched, Recorded]:
    """Fetch a file and compare it. If it is wrong and continued an earlier download, fetch it once more, as a whole."""
    while True:
        try:
            fetched = workspace.fetch(source, path, f"{name}/{path}", file.bytes)
            return fetched, _compared(fetched, source, path, file, workspace)
        except WrongHash:
            continued = workspace.continues(source, path)
            workspace.discard(source, path)
            if not continued:
                raise


def _compared(fetched: Fetched, source: Source, path: str, file: File, workspace: Workspace) -> Recorded:
    """Return size and hash of a file. Raise ``WrongHash`` if they are wrong, or if nothing checks a continued file."""
    with fetched.path.open("rb") as stream:
        os.fsync(stream.fileno())
    found = Recorded(fetched.path.stat().st_size, _digest(fetched.path))
    expected = file.sha256 or fetched.sha256
    if expected not in (None, found.sha256) or file.bytes not in (None, found.bytes):
        raise WrongHash(
            f"{source}: {path} has {found.bytes} bytes and SHA-256 {found.sha256}; the right file has "
            f"{file.bytes or 'any number of'} bytes and {expected}"
        )
    if expected is None and workspace.continues(source, path):
        raise WrongHash(f"{source}: {path} was continued, and its source states no SHA-256")
    return found


def _files_of(variant: Variant) -> Mapping[str, tuple[File, tuple[Source, ...]]]:
    """Return the files of a variant and the sources of each; those of a whole repository are listed by the hub."""
    if variant.repository is None:
        return {path: (file, variant.sources_of(path)) for path, file in variant.files.items()}
    hub = variant.repository
    files = {file.path: File(bytes=file.bytes, sha256=file.sha256) for file in listed(hub)}
    try:
        whole = Variant(files=files, sources=(HubFile(hub=hub.hub, revision=hub.revision),))
    except ValidationError as error:
        raise SourceFailed(f"{hub}: its list of files is not valid: {error.errors()[0]['msg']}") from None
    return _files_of(whole)


def _check_space(entry: Entry, files: Mapping[str, tuple[File, tuple[Source, ...]]], folder: Path) -> None:
    """Raise ``DiskFull`` if the files do not fit."""
    needed = _needed_bytes(entry, files)
    free = shutil.disk_usage(folder).free
    if needed > 0 and needed + SPACE_LEFT_BYTES > free:
        raise DiskFull(_no_space(entry, f"it needs {human(needed)}, and {human(free)} are free"))


def _needed_bytes(entry: Entry, files: Mapping[str, tuple[File, tuple[Source, ...]]]) -> int:
    """Return the space that a pull still needs: twice that of packaged files, as packages are kept until the end."""
    needed = 0
    for path, (file, sources) in files.items():
        if not (cache.folder_of(entry.name) / path).is_file():
            packaged = not isinstance(sources[0], HubFile | LocalFile)
            needed += (file.bytes or 0) * (2 if packaged else 1)
    return needed - cache.bytes_in(cache.partial_folder_of(entry.name))


def _no_space(entry: Entry, detail: str) -> str:
    return (
        f"no space for {entry.name} in {cache.folder()}: {detail}. Free some space (`python -m models remove NAME` "
        f"deletes a model), or set {cache.VARIABLE} to a folder on another disk, and pull again; it continues"
    )


@contextmanager
def _disk_errors(entry: Entry) -> Iterator[None]:
    """Turn errors of the cache's file system into ``DiskFull`` and ``CacheNotWritable``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # EFBIG: `ulimit -f`, or a FAT file system
            variant = entry.variants[0]
            files = {path: (file, variant.sources_of(path)) for path, file in variant.files.items()}
            missing = max(_needed_bytes(entry, files), 0) or variant.bytes
            raise DiskFull(_no_space(entry, f"{error.strerror}; it needs {human(missing)} more")) from None
        raise CacheNotWritable(f"the cache {cache.folder()} cannot be used: {error}; set {cache.VARIABLE}") from None


@contextmanager
def _locked(name: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of one model; wait while another process has it. A killed process releases it."""
    path = cache.lock_file_of(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise CacheNotWritable(
            f"the cache {cache.folder()} cannot be written: {error.strerror}; set {cache.VARIABLE} to another folder"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.message(f"Another process pulls {name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_or_none(path: Path) -> str | None:
    return _digest(path) if path.is_file() else None
