from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.engines.stop import StopScanner

texts = st.text("ab", max_size=6)


def scan(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    scanner = StopScanner(stops)
    out = ""
    for piece in pieces:
        out += scanner.push(piece)
        if scanner.stopped:
            return out, True
    return out + scanner.flush(), False


@settings(deadline=None)  # other processes may use the CPU
@given(st.lists(texts, max_size=8), texts.filter(bool))
def test_text_ends_at_the_stop_string_however_it_is_split(pieces: list[str], stop: str) -> None:
    whole = "".join(pieces)
    assert scan(pieces, [stop]) == (whole.split(stop)[0], stop in whole)


@settings(deadline=None)  # other processes may use the CPU
@given(st.lists(texts, max_size=8))
def test_without_stop_strings_text_passes_unchanged(pieces: list[str]) -> None:
    scanner = StopScanner([])
    assert [scanner.push(piece) for piece in pieces] == pieces


def test_holds_back_only_a_possible_start_of_a_stop_string() -> None:
    scanner = StopScanner(["\nUser:"])
    assert scanner.push("Yes.\nUs") == "Yes."
    assert scanner.push("ually, no.") == "\nUsually, no."
