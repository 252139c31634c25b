"""What all models of requests have in common: pydantic makes few errors of a request that has many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

import graphs.http.chat.request
import graphs.http.openai.chat.request
import graphs.http.openai.realtime.endpoint
import graphs.http.openai.speech
import graphs.http.openai.transcription  # noqa: F401 - each defines models
from graphs.http.body import RequestModel
from graphs.http.openai.realtime.client_events import ResponseFields

MANY = 10_000


def models(base: type[RequestModel] = RequestModel) -> Iterator[type[RequestModel]]:
    for model in base.__subclasses__():
        if model.__module__.startswith("graphs."):
            yield model
        yield from models(model)


def lists(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas of lists within a schema of pydantic's core."""
    if isinstance(schema, dict):
        if schema.get("type") in ("list", "tuple", "set", "frozenset", "generator"):
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list | tuple):
        for part in schema:
            yield from lists(part)


@pytest.mark.parametrize("model", sorted(set(models()), key=str), ids=lambda model: model.__name__)
def test_a_list_has_a_greatest_length_and_ends_at_its_first_error(model: type[RequestModel]) -> None:
    """Without them a request of 400 kB becomes errors of 230 MB."""
    for schema in lists(model.__pydantic_core_schema__):
        assert schema.get("max_length") is not None
        assert schema.get("fail_fast") is True


def test_a_large_object_of_metadata_is_one_error() -> None:
    with pytest.raises(ValidationError) as caught:
        ResponseFields.model_validate({"metadata": {str(number): 1 for number in range(MANY)}})
    assert caught.value.error_count() == 1
