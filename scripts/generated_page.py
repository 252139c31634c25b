"""A page of the documentation that a script generates."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path


def write_or_check(target: Path, lines: Iterable[str]) -> int:
    """Write the page; with ``--check`` on the command line only compare it. Return the exit status."""
    page = "\n".join(lines)
    if "--check" not in sys.argv[1:]:
        target.write_text(page)
    elif target.read_text() != page:
        print(f"{target.name} is out of date: run `make docs`", file=sys.stderr)
        return 1
    return 0
