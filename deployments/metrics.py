"""What Parley counts and times: every metric by its name, and how it reaches Ray's Prometheus endpoint.

Ray adds ``ray_`` before each name, ``_total`` after a counter's, and the labels ``deployment``, ``replica`` and
``application``; so a metric says only what it measures, and which stage it belongs to stands in ``deployment``. One
recording costs about 6 µs of processor time, so a request records once per metric when it ends, not once per token.
Knows no engine and no route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any, Literal

from deployments.messages import Load

Kind = Literal["counter", "gauge", "histogram"]
Outcome = Literal["finished", "failed", "cancelled"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
RATIOS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``labels`` are those beside Ray's own; ``buckets`` the upper bounds of a histogram's."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def exported(self) -> str:
        """The name at Ray's endpoint; a histogram's has ``_bucket``, ``_sum`` and ``_count`` after it."""
        return f"ray_{self.name}_total" if self.kind == "counter" else f"ray_{self.name}"

    def record(self, value: float, **labels: str) -> None:
        """Add to a counter, set a gauge, or count one observation. A counter takes no zero, so that is left out."""
        made = _made(self)
        if self.kind == "histogram":
            made.observe(value, labels)
        elif self.kind == "gauge":
            made.set(value, labels)
        elif value > 0:
            made.inc(value, labels)


def _timed(name: str, meaning: str) -> Metric:
    return Metric(name, "histogram", meaning, buckets=SECONDS)


REQUESTS = Metric(
    "parley_requests", "counter", "Requests that ended, by how: finished, failed or cancelled.", ("outcome",)
)
REFUSALS = Metric("parley_refusals", "counter", "Requests answered with an error, by its code.", ("reason",))
QUEUE_WAIT = _timed("parley_queue_wait_seconds", "From the gateway's call to the replica that takes it up.")
DURATION = _timed("parley_request_seconds", "From the replica's taking a request up to its end.")
FIRST_TOKEN = _timed("parley_first_token_seconds", "From the replica's taking a request up to its first words.")
FIRST_AUDIO = _timed("parley_first_audio_seconds", "From the replica's taking a sentence up to its first sound.")
REAL_TIME_FACTOR = Metric(
    "parley_real_time_factor",
    "histogram",
    "Duration of a request by that of the sound it heard or made; below 1 is faster than it plays.",
    buckets=RATIOS,
)
AUDIO = Metric("parley_audio_seconds", "counter", "Sound heard, or made.")
TOKENS_IN = Metric("parley_prompt_tokens", "counter", "Tokens of the conversations that were answered.")
TOKENS_OUT = Metric("parley_completion_tokens", "counter", "Tokens of the answers.")
ACTIVE = Metric("parley_engine_active_requests", "gauge", "Requests that the engine works on at the same time.")
WAITING = Metric("parley_engine_waiting_requests", "gauge", "Requests that wait inside the engine for a place.")
SLOTS = Metric("parley_engine_slots", "gauge", "Requests that the engine can work on at the same time.")
CACHE_USED = Metric("parley_cache_used_tokens", "gauge", "Tokens of the engine's cache that hold something.")
CACHE_SIZE = Metric("parley_cache_size_tokens", "gauge", "Tokens that the engine's cache has room for.")

ALL: Sequence[Metric] = (
    *(REQUESTS, REFUSALS, QUEUE_WAIT, DURATION, FIRST_TOKEN, FIRST_AUDIO, REAL_TIME_FACTOR, AUDIO),
    *(TOKENS_IN, TOKENS_OUT, ACTIVE, WAITING, SLOTS, CACHE_USED, CACHE_SIZE),
)


class RequestMetrics:
    """Times one request at a replica, from the moment it is made."""

    def __init__(self) -> None:
        self._started_s = perf_counter()
        self._audio_s = 0.0
        self._came: set[Metric] = set()

    def first(self, metric: Metric) -> None:
        """The first of something has come; later ones are not recorded."""
        if metric not in self._came:
            self._came.add(metric)
            metric.record(self._elapsed_s())

    def audio(self, seconds: float) -> None:
        """So much more sound was heard or made."""
        self._audio_s += seconds

    def tokens(self, prompt: int, completion: int) -> None:
        """What an answer took."""
        TOKENS_IN.record(prompt)
        TOKENS_OUT.record(completion)

    def end(self, outcome: Outcome) -> None:
        """The request is over."""
        REQUESTS.record(1, outcome=outcome)
        DURATION.record(elapsed_s := self._elapsed_s())
        if outcome == "finished" and self._audio_s:
            AUDIO.record(self._audio_s)
            REAL_TIME_FACTOR.record(elapsed_s / self._audio_s)

    def _elapsed_s(self) -> float:
        return perf_counter() - self._started_s


def record_load(load: Load) -> None:
    """How full an engine is, at the beginning and the end of a request."""
    ACTIVE.record(load.active)
    WAITING.record(load.waiting)
    SLOTS.record(load.slots)
    if load.cache_size:
        CACHE_USED.record(load.cache_used)
        CACHE_SIZE.record(load.cache_size)


@cache
def _made(metric: Metric) -> Any:
    """Ray's object behind a metric: one a process, made when it is first used."""
    from ray.serve import metrics

    if metric.kind == "histogram":
        return metrics.Histogram(metric.name, metric.meaning, list(metric.buckets), metric.labels)
    kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
    return kind(metric.name, metric.meaning, metric.labels)
