"""The service with serve_config.yaml, whose models are pulled if they are not in the cache (257 MB)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from models import catalogue, progress
from models.errors import PullFailed, Unreachable
from models.pull import pull
from tests.e2e.conftest import ROOT, running_service

CONFIG = "serve_config.yaml"


@pytest.fixture(scope="package")
def models() -> None:
    """Pull the models that the configuration names; skip the tests if no registry can be reached."""
    try:
        pull(catalogue.named_in(yaml.safe_load((ROOT / CONFIG).read_text())), progress.for_stream())
    except PullFailed as failed:
        if all(isinstance(cause, Unreachable) for cause in failed.causes):
            pytest.skip(f"the models are not in the cache, and {failed}")
        raise


@pytest.fixture(scope="package")
def base_url(models: None) -> Iterator[str]:
    """Start a service with serve_config.yaml and return its address."""
    with running_service(CONFIG) as url:
        yield url
