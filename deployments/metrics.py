"""The metrics that Parley exports through Ray's Prometheus endpoint.

Ray adds ``ray_`` before each name, ``_total`` after that of a counter, and the labels ``deployment``, ``replica`` and
``application``. Recording a value costs about 6 µs, so a request records each metric once, not once per token.
"""

from __future__ import annotations

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
    """One metric. ``labels`` are in addition to Ray's; ``buckets`` are the upper bounds of a histogram."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def record(self, value: float, **labels: str) -> None:
        """Increase a counter, set a gauge, or add an observation to a histogram. Ray's counters refuse 0; skip it."""
        metric = _ray_metric(self)
        if self.kind == "histogram":
            metric.observe(value, labels)
        elif self.kind == "gauge":
            metric.set(value, labels)
        elif value > 0:
            metric.inc(value, labels)


def _timed(name: str, meaning: str) -> Metric:
    return Metric(name, "histogram", meaning, buckets=SECONDS)


REQUESTS = Metric(
    "parley_requests", "counter", "Completed requests by outcome: finished, failed or cancelled.", ("outcome",)
)
REFUSALS = Metric("parley_refusals", "counter", "Error responses by code.", ("reason",))
QUEUE_WAIT = _timed(
    "parley_queue_wait_seconds", "Time from the Gateway's call to the start of the request in a replica."
)
DURATION = _timed("parley_request_seconds", "Time from the start of a request in a replica to its end.")
FIRST_TOKEN = _timed("parley_first_token_seconds", "Time from the start of a request in a replica to its first delta.")
FIRST_AUDIO = _timed("parley_first_audio_seconds", "Time from the start of a sentence in a replica to its first audio.")
REAL_TIME_FACTOR = Metric(
    "parley_real_time_factor",
    "histogram",
    "Duration of a request divided by that of its audio; below 1 is faster than real time.",
    buckets=RATIOS,
)
AUDIO = Metric("parley_audio_seconds", "counter", "Seconds of audio recognized or synthesized.")
TOKENS_IN = Metric("parley_prompt_tokens", "counter", "Prompt tokens of completed answers.")
TOKENS_OUT = Metric("parley_completion_tokens", "counter", "Generated tokens of completed answers.")
ACTIVE = Metric("parley_engine_active_requests", "gauge", "Requests in progress in the engine.")
WAITING = Metric("parley_engine_waiting_requests", "gauge", "Requests queued inside the engine.")
SLOTS = Metric("parley_engine_slots", "gauge", "Requests that the engine can process concurrently.")
CACHE_USED = Metric("parley_cache_used_tokens", "gauge", "Used tokens of the engine's KV cache.")
CACHE_SIZE = Metric("parley_cache_size_tokens", "gauge", "Size of the engine's KV cache in tokens.")


class RequestMetrics:
    """Records the metrics of one request in a replica, from its start on."""

    def __init__(self) -> None:
        self._started_s = perf_counter()
        self._audio_s = 0.0
        self._recorded: set[Metric] = set()

    def first(self, metric: Metric) -> None:
        """Record the time to the first of something; later calls do nothing."""
        if metric not in self._recorded:
            self._recorded.add(metric)
            metric.record(self._elapsed_s())

    def audio(self, seconds: float) -> None:
        """Add audio that was recognized or synthesized."""
        self._audio_s += seconds

    def tokens(self, prompt: int, completion: int) -> None:
        """Record the tokens of an answer."""
        TOKENS_IN.record(prompt)
        TOKENS_OUT.record(completion)

    def end(self, outcome: Outcome) -> None:
        """Record the end of the request."""
        REQUESTS.record(1, outcome=outcome)
        DURATION.record(elapsed_s := self._elapsed_s())
        if outcome == "finished" and self._audio_s:
            AUDIO.record(self._audio_s)
            REAL_TIME_FACTOR.record(elapsed_s / self._audio_s)

    def _elapsed_s(self) -> float:
        return perf_counter() - self._started_s


def record_load(load: Load) -> None:
    """Record the utilization of an engine, at the start and the end of a request."""
    ACTIVE.record(load.active)
    WAITING.record(load.waiting)
    SLOTS.record(load.slots)
    if load.cache_size:
        CACHE_USED.record(load.cache_used)
        CACHE_SIZE.record(load.cache_size)


@cache
def _ray_metric(metric: Metric) -> Any:
    """Return Ray's object for a metric: one per process, created on first use."""
    from ray.serve import metrics

    if metric.kind == "histogram":
        return metrics.Histogram(metric.name, metric.meaning, list(metric.buckets), metric.labels)
    kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
    return kind(metric.name, metric.meaning, metric.labels)
