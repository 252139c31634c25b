"""The names of languages that people write."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from deployments.language import language_code
from deployments.messages import TranscribeOptions
from deployments.settings import SpeechToTextConfig

LANGUAGES = [
    ("en", "en"),
    ("EN", "en"),
    ("en-US", "en"),
    ("en_us", "en"),
    ("zh-Hant-TW", "zh"),
    ("English", "en"),
    (" german ", "de"),
    ("Haitian Creole", "ht"),
    ("yue", "yue"),
    ("auto", None),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("value", "code"), LANGUAGES)
def test_reads_a_code_a_region_or_a_name(value: str | None, code: str | None) -> None:
    assert language_code(value) == code


@pytest.mark.parametrize(("value", "code"), LANGUAGES)
def test_the_setting_takes_a_language_in_each_form(value: str | None, code: str | None) -> None:
    assert SpeechToTextConfig(language=value).language == code


@pytest.mark.parametrize("value", ["Klingon", "e", "en/us", "1", 5, ["en"]])
def test_the_setting_refuses_anything_else(value: Any) -> None:
    with pytest.raises(ValidationError, match="language"):
        SpeechToTextConfig(language=value)


def test_auto_detects_the_language_of_one_recognition_and_none_keeps_the_setting() -> None:
    live = SpeechToTextConfig(language="de")
    assert live.for_request(TranscribeOptions(language="auto")).language is None
    assert live.for_request(TranscribeOptions()).language == "de"
