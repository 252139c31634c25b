"""The requests of a load: their kinds, their weights, their order, and the check of a response under load."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, Literal, TypeVar

import httpx

from bench.audio import CLIPS
from bench.cases import questions
from bench.client import Request, Response, post_chat
from bench.openai import complete, speak, transcribe
from bench.rows import QUESTIONS, ROWS, requests_of

Call = Callable[[httpx.AsyncClient], Awaitable[Response]]
Verdict = Literal["correct", "wrong", "rejected", "malformed", "failed"]
T = TypeVar("T")

AUDIO_TOLERANCE = 0.1  # relative difference in duration
TEXT_QUESTIONS = 12  # per kind


def kinds() -> dict[str, list[Call]]:
    """Return the calls of each kind of request, by its name."""
    texts = [case.question for case in questions(1)[:TEXT_QUESTIONS]]
    requests: dict[str, list[Request]] = {
        str(row): requests_of(row)
        if row.speech or row.picture
        else [Request(row.output, text=question) for question in texts]
        for row in ROWS
    }
    calls: dict[str, list[Call]] = {
        name: [partial(post_chat, request=request) for request in of_row] for name, of_row in requests.items()
    }
    return calls | {
        "chat": [partial(complete, request=request, stream=False) for request in requests["text->text"]],
        "chat-stream": [partial(complete, request=request, stream=True) for request in requests["text->text"]],
        "chat-voice": [partial(complete, request=request, stream=True) for request in requests["text->voice"]],
        "speech": [partial(speak, text=question) for question in texts],
        "transcription": [partial(transcribe, clip=(CLIPS / clip).read_bytes()) for clip in QUESTIONS.values()],
    }


def parse_mix(mix: str, names: Sequence[str]) -> dict[str, float]:
    """Return the weight of each kind of ``chat=3,speech`` or a group's name. Raise ``ValueError``."""
    rows = [name for name in names if "->" in name]
    groups = {"all": list(names), "rows": rows, "openai": [name for name in names if name not in rows]}
    weights: dict[str, float] = {}
    for part in mix.split(","):
        name, _, weight = part.strip().partition("=")
        for kind in groups.get(name, [name]):
            if kind not in names:
                raise ValueError(f"unknown kind {kind!r}; valid: {', '.join([*groups, *names])}")
            weights[kind] = weights.get(kind, 0.0) + float(weight or 1)
    if min(weights.values()) <= 0:
        raise ValueError("a weight must be above 0")
    return weights


class _Shuffled(Generic[T]):
    """An endless sequence that repeats its items, shuffled anew for each round."""

    def __init__(self, items: Sequence[T], rng: random.Random) -> None:
        self._items = items
        self._rng = rng
        self._rest: list[T] = []

    def next(self) -> T:
        self._rest = self._rest or self._rng.sample(self._items, len(self._items))
        return self._rest.pop()


class Workload:
    """An endless sequence of requests in random order, with the response that each has on the idle service.

    Kinds occur exactly in proportion to their weights within a round, and so do the calls of a kind: two runs over the
    same workload cause the same work.
    """

    def __init__(self, calls: dict[str, list[Call]], weights: dict[str, float], seed: int) -> None:
        self._rng = random.Random(seed)
        self._calls = {name: calls[name] for name in weights}
        self._of_kind = {name: _Shuffled(calls, self._rng) for name, calls in self._calls.items()}
        smallest = min(weights.values())
        counts = {name: round(10 * weight / smallest) for name, weight in weights.items()}
        divisor = math.gcd(*counts.values())
        self._kinds = _Shuffled([name for name, count in counts.items() for _ in range(count // divisor)], self._rng)
        self._references: dict[Call, Response] = {}

    async def record_references(self, client: httpx.AsyncClient) -> None:
        """Send every request once, one at a time. Raise ``SystemExit`` for an error response."""
        for name, call in [(name, call) for name, calls in self._calls.items() for call in calls]:
            response = await call(client)
            if response.status != 200:
                raise SystemExit(f"load: on the idle service, {name} returned {response.status}: {response.text}")
            self._references[call] = response

    def next(self) -> tuple[str, Call]:
        """Return the next request and its kind."""
        name = self._kinds.next()
        return name, self._of_kind[name].next()

    def next_interval_s(self, rate: float) -> float:
        """Return the time to the next arrival of a Poisson process with ``rate`` arrivals per second."""
        return self._rng.expovariate(rate)

    def verdict(self, call: Call, response: Response) -> Verdict:
        """Compare a response under load with the reference."""
        if response.status != 200:
            return "rejected" if is_load_shedding(response) else "malformed"
        return "correct" if is_same(response, self._references[call]) else "wrong"


def is_same(response: Response, reference: Response) -> bool:
    """Return whether two responses have the same text and about the same duration of audio."""
    if response.text.strip() != reference.text.strip() or (response.audio is None) != (reference.audio is None):
        return False
    if response.audio is None or reference.audio is None:
        return True
    expected_s = reference.audio.duration_s
    return abs(response.audio.duration_s - expected_s) <= AUDIO_TOLERANCE * expected_s


def is_load_shedding(response: Response) -> bool:
    """Return whether an error is a 429 or 503 with Retry-After and a body in OpenAI's format."""
    try:
        error = json.loads(response.text)["error"]
        complete_body = error.keys() >= {"message", "type", "param", "code"} and bool(error["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return response.status in (429, 503) and complete_body and response.retry_after.isdecimal()
