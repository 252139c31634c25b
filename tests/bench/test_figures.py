"""The statistics of timings."""

from __future__ import annotations

import pytest

from bench.figures import median_ratio, percentile, spread_ms


def test_percentiles_are_interpolated() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    assert percentile(values, 0) == 1.0
    assert percentile(values, 0.5) == 2.5
    assert percentile(values, 0.95) == pytest.approx(3.85)
    assert percentile(values, 1) == 4.0
    assert percentile([7.0], 0.95) == 7.0


def test_spread_is_in_milliseconds() -> None:
    assert spread_ms([0.1, 0.2, 0.3]) == {"p50_ms": 200.0, "p95_ms": 290.0}


def test_median_ratio_compares_within_pairs() -> None:
    # The machine was ten times slower during the second pair.
    assert median_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
