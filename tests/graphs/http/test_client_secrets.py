"""Client secrets: what they grant, until when, and that nobody else can make one."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.errors import TooLarge
from graphs.http.client_secrets import MAX_SESSION_BYTES, Grant, issue, verified

OWNER, OTHER = hashlib.sha256(b"first").digest(), hashlib.sha256(b"second").digest()
SESSION: dict[str, Any] = {"type": "realtime", "instructions": "Be brief."}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(session=st.dictionaries(st.text(max_size=8), json_values, max_size=4), expires_at=st.integers(1, 2**40))
def test_a_secret_grants_what_it_was_issued_for(session: dict[str, Any], expires_at: int) -> None:
    grant = Grant(session, expires_at, OWNER)
    assert verified(issue(grant), [OTHER, OWNER], expires_at - 1) == grant


def test_a_secret_expires() -> None:
    secret = issue(Grant(SESSION, 100, OWNER))
    assert verified(secret, [OWNER], 99.9)
    assert verified(secret, [OWNER], 100) is None


def test_a_secret_is_void_without_its_owner() -> None:
    assert verified(issue(Grant(SESSION, 100, OWNER)), [OTHER], 0) is None
    assert verified(issue(Grant(SESSION, 100, OWNER)), [], 0) is None


def test_a_secret_of_an_open_service_is_not_valid_where_there_are_keys() -> None:
    secret = issue(Grant(SESSION, 100))
    assert verified(secret, [], 0)
    assert verified(secret, [OWNER], 0) is None


@given(st.data())
def test_a_changed_secret_is_refused(data: st.DataObject) -> None:
    secret = issue(Grant(SESSION, 100, OWNER))
    at = data.draw(st.integers(3, len(secret) - 2))  # the last character has bits that base64 ignores
    other = data.draw(st.sampled_from("abcXYZ019-_.").filter(lambda c: c != secret[at]))
    assert verified(secret[:at] + other + secret[at + 1 :], [OWNER], 0) is None


@given(st.text(max_size=80))
def test_any_other_text_is_refused(text: str) -> None:
    assert verified(text, [], 0) is None
    assert verified("ek_" + text, [], 0) is None
    assert verified("ek_" + text, [OWNER], 0) is None


def test_a_secret_has_only_characters_of_a_subprotocol() -> None:
    secret = issue(Grant({"instructions": "ünïcode " * 50}, 2**33, OWNER))
    assert all(character.isascii() and (character.isalnum() or character in "_-.") for character in secret)


def test_a_session_that_fits_no_header_is_refused() -> None:
    with pytest.raises(TooLarge, match=r"session\.update"):
        issue(Grant({"instructions": "x" * MAX_SESSION_BYTES}, 100, OWNER))
    with pytest.raises(TooLarge):
        issue(Grant({"instructions": "".join(map(str, range(12_000)))}, 100, OWNER))
