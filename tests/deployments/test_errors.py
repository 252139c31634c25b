from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from deployments.errors import ParleyError


def kinds(base: type[ParleyError] = ParleyError) -> Iterator[type[ParleyError]]:
    yield base
    for kind in base.__subclasses__():
        if kind.__module__ != "ray.exceptions":  # where Ray makes classes of what replicas raise
            yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[ParleyError]) -> None:
    error = kind("what was wrong", param="text", retry_after_s=2.5)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.param, again.retry_after_s, str(again)) == ("what was wrong", "text", 2.5, str(error))


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_only_a_fault_of_ours_or_a_full_house_may_be_tried_again(kind: type[ParleyError]) -> None:
    assert kind.status >= 400
    assert not kind.retryable or kind.status in (429, 503, 504)
