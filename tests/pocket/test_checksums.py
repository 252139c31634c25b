"""The bundled weights are those of pocket/SHA256SUMS, which `sha256sum -c` checks as well (in the folder pocket)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

POCKET = Path(__file__).resolve().parents[2] / "pocket"
LINES = (POCKET / "SHA256SUMS").read_text().splitlines()
SUMS = {name: digest for digest, name in (line.split("  ") for line in LINES)}


def test_every_bundled_file_has_a_checksum() -> None:
    weights = {str(path.relative_to(POCKET)) for path in POCKET.glob("*/weights/**/*") if path.is_file()}
    assert SUMS.keys() == weights
    assert len(weights) >= 11


@pytest.mark.parametrize("name", SUMS)
def test_a_bundled_file_has_its_checksum(name: str) -> None:
    with (POCKET / name).open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == SUMS[name]
