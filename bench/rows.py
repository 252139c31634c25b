"""The eight rows of the graph: what comes in and what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from bench.client import Output


@dataclass(frozen=True, slots=True)
class Row:
    picture: bool
    speech: bool
    output: Output

    def __str__(self) -> str:
        return f"{'picture+' if self.picture else ''}{'speech' if self.speech else 'text'}->{self.output}"


ROWS = tuple(
    Row(picture, speech, output) for picture in (False, True) for speech in (False, True) for output in get_args(Output)
)
