from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.stop import StopScanner

letters = st.text("ab", max_size=6)


def scanned(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    scanner = StopScanner(stops)
    out = ""
    for piece in pieces:
        out += scanner.push(piece)
        if scanner.stopped:
            return out, True
    return out + scanner.flush(), False


@given(st.lists(letters, max_size=8), letters.filter(bool))
def test_the_text_ends_at_the_stop_however_it_is_cut(pieces: list[str], stop: str) -> None:
    whole = "".join(pieces)
    assert scanned(pieces, [stop]) == (whole.split(stop)[0], stop in whole)


@given(st.lists(letters, max_size=8))
def test_without_stops_all_passes_at_once(pieces: list[str]) -> None:
    scanner = StopScanner([])
    assert [scanner.push(piece) for piece in pieces] == pieces


def test_only_what_may_become_a_stop_is_held_back() -> None:
    scanner = StopScanner(["\nUser:"])
    assert scanner.push("Yes.\nUs") == "Yes."
    assert scanner.push("ually, no.") == "\nUsually, no."
