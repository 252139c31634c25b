"""Pull what a configuration names: models of the catalogue, and models outside of it that an engine takes by name.

The latter are downloaded by the engine's own library into its own cache (that of the hub, or that of Coqui TTS), in a
process of its own: these libraries take seconds to import and much memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from models import catalogue
from models.cache import ROOT, is_hub_name
from models.errors import DiskFull, PullFailed, SourceFailed, Unreachable
from models.progress import Progress, human
from models.pull import pull, pull_each


@dataclass(frozen=True, slots=True)
class Named:
    """A model outside of the catalogue: single files of a repository, or what a library means by a name."""

    library: str
    name: str
    revision: str | None = None
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = "of Coqui TTS" if self.library == "coqui" else f"at revision {self.revision or 'main'} of the model hub"
        return f"{self.name} {place}"


def pull_configuration(configuration: Mapping[str, Any], progress: Progress) -> None:
    """Pull all models that the engines of a configuration name. Raise a ``ModelError``."""
    pull(catalogue.named_in(configuration), progress)
    pull_named(configuration, progress)


def pull_named(configuration: Mapping[str, Any], progress: Progress) -> list[Named]:
    """Pull the models outside of the catalogue that a configuration names, and return them. Raise a ``ModelError``.

    What is there already is not downloaded again. Where a revision is no commit, the hub is asked for a newer one; if
    it cannot be reached, the one that is there counts.
    """
    named = list(dict.fromkeys(named_in(configuration)))
    pull_each(named, lambda model: _download(model, progress))
    return named


def named_in(configuration: Mapping[str, Any]) -> Iterator[Named]:
    """Yield the models outside of the catalogue that the engines of a configuration name."""
    for engine in catalogue.engines_of(configuration):
        match engine:
            case {"engine": "llama", "repo_id": str(repository), "model": str(model)}:
                mmproj = engine.get("mmproj")
                files = (model, mmproj) if isinstance(mmproj, str) else (model,)
                yield Named("huggingface_hub", repository, engine.get("revision"), files)
            case {"engine": "whisper", "model": str(model)} if is_hub_name(model):
                yield Named("faster_whisper", model, engine.get("revision"))
            case {"engine": "coqui", "model_name": str(name)}:
                yield Named("coqui", name)


def _download(named: Named, progress: Progress) -> None:
    progress.message(f"Downloading {named}, unless it is there")
    started_s = time.monotonic()
    child = subprocess.run(
        [sys.executable, "-m", "models.libraries", json.dumps(asdict(named))],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,  # Coqui TTS would wait for an answer to its question about a licence
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        result = json.loads(child.stdout)
    except ValueError:
        result = {"error": f"its process has ended with {child.returncode}"}
    if (error := result.get("error")) is not None:
        if result.get("kind") == "disk":
            raise DiskFull(f"no space for {named}: {error}. Free some space, or move the cache: {result['cache']}")
        kind = Unreachable if result.get("kind") == "connection" else SourceFailed
        raise PullFailed(str(named), [kind(f"{named}: {error}")])
    progress.message(f"{named}  {human(result['bytes'])}  {time.monotonic() - started_s:.1f} s")
