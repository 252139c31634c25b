"""Large bodies in pieces: the items of JSON, which are counted while it arrives, and base64."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.errors import ParleyError, TooLarge
from graphs.http import body as bodies
from graphs.http.body import BoundedRequest, decoded, parse_json, read_json_body
from tests.graphs.http.client import budget, received

VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from(',:[{"\\é}]\n'), max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('a":,\\'), max_size=3), inner),
)


def items_of(text: str) -> int:
    """Return the number of separators outside of strings."""
    return len(re.findall(r"[,:\[{]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)))


def is_read(body: bytes, max_items: int, piece_bytes: int) -> bool:
    """Return whether a body that arrives in pieces is read to its end."""
    request = received("/chat", piece_bytes, content=body)
    with budget().reservation() as reservation:
        try:
            return asyncio.run(read_json_body(BoundedRequest(request, 2**30, reservation), max_items)) == body
        except TooLarge:
            return False


@given(VALUES, st.integers(1, 9), st.booleans())
def test_counts_separators_outside_of_strings_in_any_pieces(value: object, piece_bytes: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    items = items_of(text)
    assert is_read(text.encode(), items, piece_bytes)
    assert parse_json(text, items) == value
    if items:
        assert not is_read(text.encode(), items - 1, piece_bytes)
        with pytest.raises(TooLarge):
            parse_json(text, items - 1)


@pytest.mark.parametrize("text", ['""' * 100, '"' * 300, "[" * 100, "{" * 100, ":" * 100, '[","' + "," * 100])
def test_broken_json_has_items_as_well(text: str) -> None:
    assert not is_read(text.encode(), 20, 7)


def test_does_not_read_a_body_beyond_its_limit_of_items() -> None:
    request = received("/chat", 1000, content=b"[" + b"0," * 100_000)
    with budget().reservation() as reservation:
        body = BoundedRequest(request, 2**30, reservation)
        with pytest.raises(TooLarge):
            asyncio.run(read_json_body(body, 5000))
    assert body.received == 11_000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_counts_other_encodings_when_they_are_decoded(encoding: str) -> None:
    body = json.dumps(["∢" * 50] * 3, ensure_ascii=False).encode(encoding)  # U+2222 has the byte of a quote twice
    assert is_read(body, 5, 7)


def test_a_limit_of_items_is_an_error_of_the_request() -> None:
    with pytest.raises(ParleyError, match="more than 3 commas, colons and brackets") as caught:
        parse_json("[1, 2, 3, 4]", 3)
    assert caught.value.status == 413


@given(st.binary(max_size=40), st.integers(1, 9), st.sampled_from(["", "data:image/png;base64,"]))
def test_decodes_base64_with_white_space_in_any_pieces(data: bytes, piece_chars: int, prefix: str) -> None:
    text = prefix + base64.encodebytes(data).decode().replace("A", " A\r\n")
    with patch.object(bodies, "_PIECE_CHARS", piece_chars):
        if data:
            assert decoded(text) == data
        else:
            with pytest.raises(ValueError, match="is empty"):
                decoded(text)


@given(st.text("AB=*é", max_size=12), st.integers(1, 9))
def test_accepts_the_same_base64_in_any_pieces(text: str, piece_chars: int) -> None:
    def result() -> bytes | None:
        try:
            return bytes(decoded(text))
        except ValueError:
            return None

    try:
        whole = base64.b64decode(text, validate=True) or None
    except ValueError:
        whole = None
    with patch.object(bodies, "_PIECE_CHARS", piece_chars):
        assert result() == whole
