"""Statistics of lists of timings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def percentile(values: Sequence[float], fraction: float) -> float:
    """Return the value below which ``fraction`` (0..1) of the values are, interpolated linearly."""
    return float(np.quantile(np.asarray(values, np.float64), fraction))


def spread_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile, in milliseconds."""
    return {"p50_ms": round(1000 * percentile(seconds, 0.5), 1), "p95_ms": round(1000 * percentile(seconds, 0.95), 1)}


def tail_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 95th and 99th percentile and the maximum, in milliseconds; empty without values."""
    if not seconds:
        return {}
    tail = {"p99_ms": percentile(seconds, 0.99), "max_ms": max(seconds)}
    return spread_ms(seconds) | {name: round(1000 * value, 1) for name, value in tail.items()}


def gaps_s(times_s: Sequence[float]) -> list[float]:
    """Return the differences between neighbours."""
    return [after - before for before, after in pairwise(times_s)]


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the ratios of paired timings: a slow phase of the machine affects both of a pair."""
    return round(percentile([n / d for n, d in zip(numerators, denominators, strict=True)], 0.5), 3)
