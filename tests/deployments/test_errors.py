from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from deployments.errors import ParleyError


def kinds(base: type[ParleyError] = ParleyError) -> Iterator[type[ParleyError]]:
    yield base
    for kind in base.__subclasses__():
        if kind.__module__ != "ray.exceptions":  # Ray derives classes from those that replicas raise
            yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[ParleyError]) -> None:
    error = kind("what is wrong", param="text", retry_after_s=2.5)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.param, again.retry_after_s, str(again)) == ("what is wrong", "text", 2.5, str(error))


@pytest.mark.parametrize("character", ["x", "\ud800"], ids=["a letter", "a lone surrogate"])
def test_an_error_repeats_no_more_than_the_beginning_and_the_end_of_a_long_text(character: str) -> None:
    text = "The field has " + character * 15_000_000 + ", not one of 'text'"
    error = pickle.loads(pickle.dumps(ParleyError(text, param=text)))
    for part in (error.message, error.param, str(error)):
        assert len(part) <= 1000
        assert part.startswith("The field has ")
        assert part.endswith(", not one of 'text'")


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_the_type_of_an_error_agrees_with_its_status(kind: type[ParleyError]) -> None:
    types = {401: "authentication_error", 404: "not_found_error", 408: "timeout_error", 429: "rate_limit_error"}
    if kind.status >= 500:
        assert kind.type in {"server_error", "overloaded_error", "timeout_error"}
    else:
        assert kind.status >= 400
        assert kind.type == types.get(kind.status, "invalid_request_error")


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_only_errors_of_the_server_and_of_limits_invite_another_attempt(kind: type[ParleyError]) -> None:
    """OpenAI's clients repeat a request after these statuses."""
    repeated = kind.status in (408, 409, 429) or kind.status >= 500
    assert repeated == (kind.type in {"server_error", "overloaded_error", "timeout_error", "rate_limit_error"})
