"""The options and the growth figures of bench.load."""

from __future__ import annotations

import argparse

import pytest

from bench.load import growth, loopback


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://[::1]:8000"])
def test_accepts_loopback_addresses(url: str) -> None:
    assert loopback(url) == url


@pytest.mark.parametrize("url", ["http://10.0.0.1:8000", "http://example.com", "http://127.0.0.1.example.com"])
def test_rejects_other_machines(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="on this machine"):
        loopback(url)


def test_growth_compares_quarters_after_the_warm_up() -> None:
    snapshots = [{"a": 1.0}] * 2 + [{"a": 5.0, "b": 1.0}] * 4 + [{"a": 6.0, "b": 1.0}] * 2
    assert growth(snapshots) == {
        "all": {"early": 6.0, "late": 7.0},
        "a": {"early": 5.0, "late": 6.0},
        "b": {"early": 1.0, "late": 1.0},
    }
