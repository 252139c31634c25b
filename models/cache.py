"""The folder with the pulled models, and where an engine finds one. Nothing here uses the network.

A model's folder has its files and a manifest. The manifest is written last, so a folder with one is complete.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from models import catalogue
from models.catalogue import Entry, Variant
from models.errors import NotPulled as NotPulled

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = "PARLEY_MODELS"
"""Environment variable with the path of the cache."""

MANIFEST = ".manifest.json"

State = Literal["pulled", "partial", "absent"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Size and hash of a file in the cache."""

    bytes: int
    sha256: str


def folder() -> Path:
    """Return the folder of the cache: ``PARLEY_MODELS``, else ``parley/models`` in the user's cache folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "parley" / "models"


def folder_of(name: str) -> Path:
    """Return the folder of one model."""
    return folder() / name


def partial_folder_of(name: str) -> Path:
    """Return the folder with the unfinished downloads of one model."""
    return folder() / ".partial" / name


def lock_file_of(name: str) -> Path:
    """Return the file that a process locks while it changes one model."""
    return folder() / ".locks" / name


def find(value: str, setting: str = "model") -> Path | None:
    """Return the file or folder that a setting of an engine means if it names a model of the catalogue, else ``None``.

    Raise ``NotPulled`` if the model is not in the cache, and ``ValueError`` if it has nothing for this setting.
    """
    found = catalogue.entries().get(value)
    if found is None:
        return None
    if setting not in found.settings:
        raise ValueError(f"{value} is no value of {setting}; it provides {', '.join(found.settings)}")
    if not is_complete(found):
        raise NotPulled(f"{value} is not in {folder()}; run: python -m models pull {value}")
    return folder_of(value) / found.settings[setting]


def is_hub_name(value: str) -> bool:
    """Return whether a setting means a model of the hub: a plain name or owner/name, and no path that exists."""
    return (
        re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", value) is not None
        and value not in catalogue.entries()
        and not (ROOT / value).exists()
    )


def not_downloaded(what: str) -> NotPulled:
    """Return the error of a replica for a model outside of the catalogue that no pull has downloaded."""
    return NotPulled(
        f"{what} is not on this machine, and a replica downloads nothing; run: python -m models pull --config FILE"
    )


def is_complete(entry: Entry) -> bool:
    """Return whether all files of a model are in the cache with their sizes, and from the catalogue as it is now."""
    recorded = manifest(entry.name)
    return (
        recorded is not None
        and any(matches(variant, recorded) for variant in entry.variants)
        and all(_size(folder_of(entry.name) / path) == file.bytes for path, file in recorded.items())
    )


def state(entry: Entry) -> State:
    """Return how much of a model is in the cache."""
    if is_complete(entry):
        return "pulled"
    started = (folder_of(entry.name), partial_folder_of(entry.name))
    return "partial" if any(path.is_dir() and any(path.iterdir()) for path in started) else "absent"


def matches(variant: Variant, recorded: dict[str, Recorded]) -> bool:
    """Return whether the recorded files are those of a variant."""
    if variant.repository is not None:
        return bool(recorded)
    return recorded.keys() == variant.files.keys() and all(
        file.sha256 in (None, recorded[path].sha256) and file.bytes in (None, recorded[path].bytes)
        for path, file in variant.files.items()
    )


def manifest(name: str) -> dict[str, Recorded] | None:
    """Return the recorded files of a model by path; ``None`` if the model is not complete."""
    try:
        read = json.loads((folder_of(name) / MANIFEST).read_text())
        return {path: Recorded(**fields) for path, fields in read.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_manifest(name: str, recorded: dict[str, Recorded]) -> None:
    """Record the files of a model, which makes it complete."""
    target = folder_of(name) / MANIFEST
    temporary = target.with_suffix(".part")
    temporary.write_text(json.dumps({path: asdict(file) for path, file in recorded.items()}, indent=1))
    temporary.replace(target)


def bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder, which another process may be changing."""
    files = (Path(inside, name) for inside, _, names in os.walk(folder) for name in names)  # ignores what has vanished
    return sum(max(_size(path), 0) for path in files)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
