"""The loops, the judge and the arithmetic of the load, against a service that is only pretended."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bench.client import Answer, Request
from bench.curves import draw_seconds, draw_steps
from bench.load import Bounds, Call, Deck, Range, Shot, Shots, growth, kinds, loopback, orderly, same, weights
from bench.memory import Sample, Taken
from bench.openai import complete
from deployments.messages import Audio

SHAPED = json.dumps({"error": {"message": "full", "type": "overloaded_error", "param": None, "code": "overloaded"}})
NAMES = ["text->text", "chat", "speech"]


class Service:
    """Answers chat completions after a moment, so many at a time, and refuses the others."""

    def __init__(self, places: int, took_s: float = 0.01) -> None:
        self.places, self.took_s = places, took_s
        self.active = self.most = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.active == self.places:
            return httpx.Response(503, text=SHAPED, headers={"Retry-After": "1"})
        self.active += 1
        self.most = max(self.most, self.active)
        await asyncio.sleep(self.took_s)
        self.active -= 1
        asked = json.loads(request.content)["messages"][0]["content"][0]["text"]
        return httpx.Response(200, json={"choices": [{"message": {"content": asked}}]})


@asynccontextmanager
async def loaded(service: Service) -> AsyncIterator[Range]:
    calls: dict[str, list[Call]] = {
        "chat": [partial(complete, request=Request("text", text=word), stream=False) for word in ("one", "two")]
    }
    async with httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(service)) as client:
        deck = Deck(calls, {"chat": 1.0}, seed=1)
        await deck.learn(client)
        yield Range(client, deck)


def test_requests_are_dealt_as_often_as_their_weights_say_and_each_question_as_often_as_its_neighbours() -> None:
    calls: dict[str, list[Call]] = {
        kind: [partial(complete, request=Request("text", text=f"{kind} {n}"), stream=False) for n in range(2)]
        for kind in ("chat", "speech")
    }
    deck = Deck(calls, {"chat": 3.0, "speech": 2.0}, seed=1)
    for _ in range(3):
        dealt = Counter(call for _, call in (deck.draw() for _ in range(10)))
        assert [dealt[call] for call in (*calls["chat"], *calls["speech"])] == [3, 3, 2, 2]


def test_a_closed_loop_keeps_so_many_callers_busy() -> None:
    async def body() -> tuple[Service, Shots]:
        service = Service(places=100)
        async with loaded(service) as range_:
            return service, await range_.closed(5, Bounds(60, requests=40))

    service, shots = asyncio.run(body())
    assert service.most == 5
    assert shots.figures()["right"] == len(shots.shots) == 40


def test_a_closed_loop_ends_in_time() -> None:
    async def body() -> Shots:
        async with loaded(Service(places=100)) as range_:
            return await range_.closed(2, Bounds(0.1))

    shots = asyncio.run(body())
    assert shots.shots
    assert all(shot.due_s < 0.1 for shot in shots.shots)


def test_an_open_loop_counts_from_when_a_request_was_due_and_tells_refusals_apart() -> None:
    async def body() -> Shots:
        async with loaded(Service(places=2, took_s=0.05)) as range_:
            return await range_.open(400, Bounds(60, requests=60))

    shots = asyncio.run(body())
    assert {shot.verdict for shot in shots.shots} == {"right", "refused"}
    figures = shots.figures()
    assert figures["right"] + figures["refused"] == 60
    assert figures["errors"] == {"503": figures["refused"]}
    assert figures["not_right_nor_orderly"] == {}
    assert all(shot.last_s >= 0.05 for shot in shots.shots if shot.verdict == "right")


def test_what_is_asked_alone_must_be_answered() -> None:
    async def body() -> None:
        async with loaded(Service(places=0)):
            raise AssertionError

    with pytest.raises(SystemExit, match="chat was answered 503"):
        asyncio.run(body())


def answer(status: int = 200, text: str = "", seconds: float | None = None, retry_after: str = "") -> Answer:
    audio = None if seconds is None else Audio(np.zeros(int(16_000 * seconds), np.float32), 16_000)
    return Answer(status, text, audio, 0.1, 0.2, retry_after=retry_after)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (answer(text="Paris. "), answer(text="Paris."), True),
        (answer(text="Paris."), answer(text="Rome."), False),
        (answer(seconds=1.05), answer(seconds=1.0), True),
        (answer(seconds=1.2), answer(seconds=1.0), False),
        (answer(), answer(seconds=1.0), False),
    ],
)
def test_an_answer_is_right_if_it_is_the_one_given_alone(one: Answer, other: Answer, alike: bool) -> None:
    assert same(one, other) is alike


@pytest.mark.parametrize(
    ("refusal", "is_orderly"),
    [
        (answer(503, SHAPED, retry_after="1"), True),
        (answer(429, SHAPED, retry_after="20"), True),
        (answer(503, SHAPED), False),
        (answer(503, "Service unavailable", retry_after="1"), False),
        (answer(503, '{"error": "full"}', retry_after="1"), False),
        (answer(500, SHAPED, retry_after="1"), False),
    ],
)
def test_a_refusal_is_orderly_if_it_says_what_and_when(refusal: Answer, is_orderly: bool) -> None:
    assert orderly(refusal) is is_orderly


def test_a_settled_rate_leaves_out_the_beginning_and_what_comes_after_the_end() -> None:
    ends = (1.0, 4.9, 5.0, 10.0, 25.0, 25.1)
    load = Shots([Shot("chat", end - 0.5, "200", "right", 0.2, 0.5) for end in ends], wall_s=26.0)
    load.shots.append(Shot("chat", 10.0, "503", "refused", 0.1, 0.1))
    assert load.settled_per_s(25.0) == 3 / 20


def test_a_mix_has_weights_and_groups() -> None:
    assert weights("chat=3,speech", NAMES) == {"chat": 3.0, "speech": 1.0}
    assert weights("all", NAMES) == dict.fromkeys(NAMES, 1.0)
    assert weights("rows", NAMES) == {"text->text": 1.0}
    assert weights("openai,chat", NAMES) == {"chat": 2.0, "speech": 1.0}
    with pytest.raises(ValueError, match="there is no kind 'tea'; there are all, rows, openai, text->text, chat"):
        weights("tea", NAMES)
    with pytest.raises(ValueError, match="more than 0"):
        weights("chat=0,speech", NAMES)


def test_there_are_all_rows_and_routes() -> None:
    calls = kinds()
    assert len([name for name in calls if "->" in name]) == 8
    assert calls.keys() >= {"chat", "chat-stream", "chat-aloud", "speech", "transcription"}
    assert all(calls.values())


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://[::1]:8000"])
def test_this_machine_may_be_loaded(url: str) -> None:
    assert loopback(url) == url


@pytest.mark.parametrize("url", ["http://10.0.0.1:8000", "http://example.com", "http://127.0.0.1.example.com"])
def test_no_other_machine_may_be_loaded(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="this machine only"):
        loopback(url)


def test_growth_compares_after_the_warm_up() -> None:
    samples = [{"a": 1.0}] * 2 + [{"a": 5.0, "b": 1.0}] * 4 + [{"a": 6.0, "b": 1.0}] * 2
    assert growth(samples) == {
        "all": {"early": 6.0, "late": 7.0},
        "a": {"early": 5.0, "late": 6.0},
        "b": {"early": 1.0, "late": 1.0},
    }


def test_a_sample_adds_up_by_name() -> None:
    sample = Sample(0.0, [Taken("a", 1, 10.0, 3), Taken("b", 2, 5.0, 4), Taken("a", 3, 1.5, 1)])
    assert (sample.pss_mib, sample.handles) == (16.5, 8)
    assert sample.by_name("pss_mib") == {"a": 11.5, "b": 5.0}
    assert sample.by_name("handles") == {"a": 4, "b": 4}


def shots() -> Shots:
    verdicts: list[Any] = ["right", "right", "refused", "broken"]
    made = [Shot("chat", 0.1 * at, "200", verdict, 0.05, 0.1) for at, verdict in enumerate(verdicts)]
    return Shots(made, wall_s=2.0, client_cpu_s=0.5)


def test_figures_count_right_answers_a_second() -> None:
    figures = shots().figures()
    assert (figures["per_s"], figures["client_cpu"]) == (1.0, 0.25)
    assert figures["last"] == {"p50_ms": 100.0, "p95_ms": 100.0, "p99_ms": 100.0, "max_ms": 100.0}
    assert figures["not_right_nor_orderly"] == {"broken 200": 1}
    assert figures["kinds"]["chat"]["right"] == 2


def test_the_curves_are_pictures(tmp_path: Path) -> None:
    draw_steps("concurrency", [(1, shots().figures()), (2, shots().figures())], tmp_path / "steps.png")
    sample = [Sample(float(at), [Taken("ray::ServeReplica:parley:TextLLM", 1, 10.0, 3)]) for at in range(3)]
    draw_seconds(shots().shots, sample, tmp_path / "seconds.png")
    for name in ("steps.png", "seconds.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
