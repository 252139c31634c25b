"""What every command of ``bench`` has in common: its argument parser, and the JSON line that ends its output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

URL = "http://127.0.0.1:8000"
CONFIG = "configs/pocket.yaml"


def argument_parser(docstring: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the docstring of the bench, unchanged."""
    return argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)


def comma_separated(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return an argument type that splits ``1,2,4`` at its commas and converts each part."""

    def parse(text: str) -> list[Any]:
        return [convert(part) for part in text.split(",")]

    return parse


def report(bench: str, figures: dict[str, Any]) -> None:
    """Print the figures as one line of JSON on standard output."""
    sys.stdout.flush()
    print(json.dumps({"bench": bench, **figures}), flush=True)
