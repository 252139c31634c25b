"""The errors of the catalogue; each message states the cause and a remedy."""

from __future__ import annotations

from collections.abc import Sequence


class ModelError(Exception):
    """Base of all errors of this package."""


class InvalidCatalogue(ModelError):
    """The catalogue's file cannot be read."""


class UnknownModel(ModelError):
    """The catalogue has no entry of this name."""


class NotPulled(ModelError):
    """The files of a model are not in the cache."""


class DiskFull(ModelError):
    """The cache's file system has too little space."""


class CacheNotWritable(ModelError):
    """The cache's folder cannot be written."""


class SourceFailed(ModelError):
    """One source does not provide a file; another source may."""


class Unreachable(SourceFailed):
    """No connection to the server of a source."""


class Refused(SourceFailed):
    """The server of a source requires credentials."""


class NotFound(SourceFailed):
    """The server of a source has no such package, revision or file."""


class WrongHash(SourceFailed):
    """A file differs from the catalogue."""


class PullFailed(ModelError):
    """No source provides the model ``name``. ``causes`` has one error for each source that was tried."""

    def __init__(self, name: str, causes: Sequence[SourceFailed]) -> None:
        self.name = name
        self.causes = tuple(causes)
        lines = "".join(f"\n  - {cause}" for cause in dict.fromkeys(map(str, causes)))
        if all(isinstance(cause, Unreachable) for cause in causes):
            remedy = "Check the network, the proxy and the addresses of the registries, and pull again"
        elif any(isinstance(cause, WrongHash) for cause in causes):
            remedy = "Nothing of the wrong file is kept. If it happens again, the file or a proxy has changed it"
        else:
            remedy = "Pull again later, or put the files into a folder and name its path in the configuration"
        super().__init__(f"{name} cannot be pulled.{lines}\n  {remedy}.")

    @classmethod
    def of_all(cls, failures: Sequence[PullFailed]) -> PullFailed:
        """Return one error for several models."""
        return cls(", ".join(it.name for it in failures), [cause for it in failures for cause in it.causes])
