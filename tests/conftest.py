"""What all tests share, and their environment, set before anything imports Ray, which reads it once."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import settings

from models import cache, catalogue

os.environ.setdefault("RAY_AUTH_MODE", "token")

# No test depends on the speed of the machine.
settings.register_profile("parley", deadline=None)
settings.load_profile("parley")


@pytest.fixture(scope="session")
def real_model() -> Callable[[str], str]:
    """Return the name of a model of the catalogue that is in the cache; skip the test if it is not."""

    def pulled(name: str) -> str:
        if not cache.is_complete(catalogue.entries()[name]):
            pytest.skip(f"{name} is not in {cache.folder()}; run: python -m models pull {name}")
        return name

    return pulled
