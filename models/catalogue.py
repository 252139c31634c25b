"""The entries of catalogue.yaml.

A model has one or more variants: complete sets of files of the same model, tried in order. Each file has one or more
sources, also tried in order. In a source's ``member``, ``path`` and ``local``, ``{path}`` stands for the file's path in
the model's folder and ``{name}`` for its last part.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from models.errors import InvalidCatalogue, UnknownModel

FILE = Path(__file__).with_name("catalogue.yaml")
VARIABLE = "PARLEY_CATALOGUE"
"""Environment variable with the path of another catalogue, in place of the bundled one."""

Task = Literal["speech-to-text", "chat", "chat with pictures", "text-to-speech", "end-of-turn"]


def _relative(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError(f"{path!r} is no path within the model's folder")
    return path


RelativePath = Annotated[str, AfterValidator(_relative)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PythonPackage(_Model):
    """A file in the wheel of a package of the Python registry."""

    python: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"Python package {self.python} {self.version}"


class NpmPackage(_Model):
    """A file in the archive of a package of the npm registry."""

    npm: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"npm package {self.npm} {self.version}"


class Joined(_Model):
    """A file that packages contain in parts, in order."""

    parts: tuple[PythonPackage | NpmPackage, ...] = Field(min_length=2)

    def __str__(self) -> str:
        return f"{self.parts[0]} and {len(self.parts) - 1} more"


class HubFile(_Model):
    """A file of a repository of the model hub."""

    hub: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str
    path: str = "{path}"

    def __str__(self) -> str:
        return f"hub repository {self.hub}"


class LocalFile(_Model):
    """A file of this machine, such as a mounted share."""

    local: str

    def __str__(self) -> str:
        return f"local file {self.local}"


Package = PythonPackage | NpmPackage
Source = PythonPackage | NpmPackage | Joined | HubFile | LocalFile


class File(_Model):
    """One file. Without ``sha256``, the hash that the hub states is used and recorded."""

    bytes: NonNegativeInt | None = None
    sha256: Sha256 | None = None
    sources: tuple[Source, ...] = Field(default=(), description="Empty: the sources of the variant.")


class Variant(_Model):
    """A complete set of files of a model."""

    files: dict[RelativePath, File] = {}
    sources: tuple[Source, ...] = Field(default=(), description="Sources of the files that have none of their own.")
    repository: HubFile | None = Field(default=None, description="In place of files: all files of this repository.")
    about_bytes: NonNegativeInt | None = Field(default=None, description="Size, where the files do not state theirs.")
    verified: bool = Field(default=False, description="Pulled once, and its hashes compared.")

    @model_validator(mode="after")
    def _has_sources(self) -> Self:
        if bool(self.files) == bool(self.repository):
            raise ValueError("a variant has either files or a repository")
        if without := [path for path, file in self.files.items() if not (file.sources or self.sources)]:
            raise ValueError(f"no source for {', '.join(without)}")
        return self

    def sources_of(self, path: str) -> tuple[Source, ...]:
        """Return the sources of a file, with its path filled in."""
        return tuple(_filled(source, path) for source in self.files[path].sources or self.sources)

    @property
    def bytes(self) -> int:
        """The total size; 0 if it is not known."""
        sizes = [file.bytes for file in self.files.values()]
        return self.about_bytes or sum(size or 0 for size in sizes)


class Entry(_Model):
    """One model."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    title: str
    task: Task
    licence: str
    languages: str
    settings: dict[str, str] = Field(
        description="What each setting of an engine means: a file or a folder of the model; '.' is the whole folder."
    )
    notes: str = Field(default="", description="What code that runs the model must know.")
    variants: tuple[Variant, ...] = Field(min_length=1)

    @property
    def bytes(self) -> int:
        return self.variants[0].bytes

    @property
    def verified(self) -> bool:
        """Whether at least one variant has been pulled and compared."""
        return any(variant.verified for variant in self.variants)


def entries() -> Mapping[str, Entry]:
    """Return the entries by name. Raise ``InvalidCatalogue``."""
    return _load(Path(os.environ.get(VARIABLE) or FILE))


def entry(name: str) -> Entry:
    """Return the entry of this name. Raise ``UnknownModel``, which lists the names."""
    if name not in entries():
        raise UnknownModel(f"the catalogue has no model {name!r}; it has {', '.join(entries())}")
    return entries()[name]


def named_in(configuration: Mapping[str, Any]) -> list[str]:
    """Return the models of the catalogue that the engines of a configuration name, each once, in order."""
    values = (value for engine in engines_of(configuration) for value in _values(engine))
    return list(dict.fromkeys(value for value in values if value in entries()))


def engines_of(configuration: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the settings of each engine of a configuration."""
    for application in configuration.get("applications") or ():
        yield from (engine for engine in (application.get("args") or {}).values() if isinstance(engine, dict))


def _values(engine: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text values of an engine's settings, unless they are those of a repository of the hub."""
    if not engine.get("repo_id"):
        for key, value in engine.items():
            if isinstance(value, str) and key not in ("engine", "served_name"):
                yield value


@lru_cache(maxsize=4)
def _load(path: Path) -> Mapping[str, Entry]:
    try:
        read = yaml.safe_load(path.read_text())
        return {name: Entry.model_validate({"name": name, **fields}) for name, fields in read.items()}
    except OSError as error:
        raise InvalidCatalogue(f"the catalogue {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValidationError, AttributeError, TypeError) as error:
        raise InvalidCatalogue(f"the catalogue {path} is not valid: {error}") from None


def _filled(source: Source, path: str) -> Source:
    def fill(text: str) -> str:
        return text.replace("{path}", path).replace("{name}", PurePosixPath(path).name)

    match source:
        case PythonPackage() | NpmPackage():
            return source.model_copy(update={"member": fill(source.member)})
        case HubFile():
            return source.model_copy(update={"path": fill(source.path)})
        case LocalFile():
            return source.model_copy(update={"local": fill(source.local)})
        case Joined():
            return source
