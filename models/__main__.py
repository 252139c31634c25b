"""The models of the catalogue: list them, pull them into the cache, verify them, remove them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from models import cache, catalogue, progress
from models.configuration import pull_named
from models.errors import ModelError
from models.pull import pull, remove, verify


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Return its exit code: 1 after an error, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except ModelError as error:
        print(f"models: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmodels: interrupted; the next pull continues", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("list", help="all models: task, size, licence, languages, and what is pulled")
    command.set_defaults(run=_list)
    command = commands.add_parser("pull", help="download models into the cache; what is there already is kept")
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--config", type=Path, metavar="FILE", help="pull all models that this configuration names")
    command.set_defaults(run=_pull)
    command = commands.add_parser("verify", help="read the pulled models and compare their hashes")
    command.add_argument("names", nargs="*", metavar="NAME", help="default: all pulled models")
    command.set_defaults(run=_verify)
    command = commands.add_parser("remove", help="delete models from the cache")
    command.add_argument("names", nargs="+", metavar="NAME")
    command.set_defaults(run=_remove)
    return parser


def _list(_: argparse.Namespace) -> int:
    rows = [("name", "task", "size", "licence", "state", "languages")]
    for entry in catalogue.entries().values():
        size = progress.human(entry.bytes)
        rows.append((entry.name, entry.task, size, entry.licence, cache.state(entry), entry.languages))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"\nThe cache is {cache.folder()}; {cache.VARIABLE} sets another folder.")
    return 0


def _pull(options: argparse.Namespace) -> int:
    if not options.names and options.config is None:
        raise ModelError(f"name a model, or a configuration with --config; there are {', '.join(catalogue.entries())}")
    configuration = _read(options.config) if options.config else {}
    names = [*options.names, *catalogue.named_in(configuration)]
    pulled = pull(names, progress.for_stream())
    for name in dict.fromkeys(names):
        print(f"{name}: {'pulled' if name in pulled else 'in the cache'}, {cache.folder_of(name)}")
    ready = pull_named(configuration, progress.for_stream())
    for named in ready:
        print(f"{named}: ready")
    if not names and not ready:
        print(f"{options.config}: nothing to pull, as it names no model to download")
    return 0


def _verify(options: argparse.Namespace) -> int:
    entries = [catalogue.entry(name) for name in options.names] or list(catalogue.entries().values())
    code = 0
    for entry in entries:
        recorded = cache.manifest(entry.name)
        if recorded is None or not cache.is_complete(entry):
            if options.names or recorded is not None:
                print(f"{entry.name}: not complete; run: python -m models pull {entry.name}")
                code = 1
        elif wrong := verify(entry.name):
            remedy = f"python -m models remove {entry.name} && python -m models pull {entry.name}"
            print(f"{entry.name}: missing or changed: {', '.join(wrong)}; run: {remedy}")
            code = 1
        else:
            size = progress.human(sum(file.bytes for file in recorded.values()))
            files = "1 file" if len(recorded) == 1 else f"{len(recorded)} files"
            print(f"{entry.name}: {files}, {size}, correct")
    return code


def _remove(options: argparse.Namespace) -> int:
    for name in options.names:
        freed = remove(name)
        print(f"{name}: removed, {progress.human(freed)}" if freed else f"{name}: not in the cache")
    return 0


def _read(path: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ModelError(f"{path} is not YAML: {error}") from None
    if not isinstance(read, dict):
        raise ModelError(f"{path} contains no configuration")
    return read


if __name__ == "__main__":
    sys.exit(main())
