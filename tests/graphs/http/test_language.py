"""The field with the spoken language; tests/deployments/test_language.py has all forms."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.errors import InvalidRequest
from graphs.http.body import RequestModel, validated
from graphs.http.language import SpokenLanguage


class Fields(RequestModel):
    language: SpokenLanguage = None


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("en", "en"),
        ("en-US", "en"),
        ("English", "en"),
        ("auto", None),
        ("", None),
        (None, None),
    ],
)
def test_reads_a_code_a_region_or_a_name(value: str | None, code: str | None) -> None:
    assert validated(Fields, {"language": value}).language == code


@pytest.mark.parametrize("value", ["Klingon", "e", "en/us", "1", 5, ["en"], "\ud83d", "x" * 100_000])
def test_rejects_anything_else_by_its_name(value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validated(Fields, {"language": value})
    assert caught.value.param == "language"
