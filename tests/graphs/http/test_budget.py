"""The bytes that requests hold, all together and those of one API key."""

from __future__ import annotations

import asyncio

import pytest

from deployments.errors import Overloaded, RateLimited
from graphs.http.auth import KEY
from graphs.http.body import BoundedRequest
from graphs.http.budget import ByteBudget, Reservation
from tests.graphs.http.client import received


def receive(budget: ByteBudget, size_bytes: int, key: str | None) -> Reservation:
    """Return the reservation of a body that has arrived."""
    request = received("/chat", content=bytes(size_bytes))
    request.scope[KEY] = key
    reservation = Reservation(budget)
    asyncio.run(BoundedRequest(request, 1_000_000, reservation).body())
    return reservation


def test_one_key_cannot_take_the_bytes_of_all() -> None:
    budget = ByteBudget(1000, retry_after_s=2, per_key_bytes=600)
    first = receive(budget, 600, "ann")
    with pytest.raises(RateLimited, match="600 bytes"):
        receive(budget, 1, "ann")
    receive(budget, 400, "bob")
    first.release()
    first.release()
    receive(budget, 600, "ann").release()
    assert budget.used_bytes == 400


def test_without_api_keys_only_the_limit_of_all_requests_applies() -> None:
    budget = ByteBudget(1000, retry_after_s=2, per_key_bytes=600)
    receive(budget, 1000, None)
    with pytest.raises(Overloaded):
        receive(budget, 1, None)


def test_a_service_may_have_no_limit_per_key() -> None:
    budget = ByteBudget(1000, retry_after_s=2)
    assert receive(budget, 1000, "ann").key == "ann"
