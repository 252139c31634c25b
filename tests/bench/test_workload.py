"""The order of a workload, its options, and the check of responses."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial

import numpy as np
import pytest

from bench.client import Request, Response
from bench.openai import complete
from bench.workload import Call, Workload, is_load_shedding, is_same, kinds, parse_mix
from deployments.messages import Audio

ERROR_BODY = json.dumps({"error": {"message": "full", "type": "overloaded_error", "param": None, "code": "overloaded"}})
NAMES = ["text->text", "chat", "speech"]


def test_kinds_occur_by_weight_and_calls_equally_often() -> None:
    calls: dict[str, list[Call]] = {
        kind: [partial(complete, request=Request("text", text=f"{kind} {n}"), stream=False) for n in range(2)]
        for kind in ("chat", "speech")
    }
    workload = Workload(calls, {"chat": 3.0, "speech": 2.0}, seed=1)
    for _ in range(3):
        counts = Counter(call for _, call in (workload.next() for _ in range(10)))
        assert [counts[call] for call in (*calls["chat"], *calls["speech"])] == [3, 3, 2, 2]


def response(status: int = 200, text: str = "", seconds: float | None = None, retry_after: str = "") -> Response:
    audio = None if seconds is None else Audio(np.zeros(int(16_000 * seconds), np.float32), 16_000)
    return Response(status, text, audio, 0.1, 0.2, retry_after=retry_after)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (response(text="Paris. "), response(text="Paris."), True),
        (response(text="Paris."), response(text="Rome."), False),
        (response(seconds=1.05), response(seconds=1.0), True),
        (response(seconds=1.2), response(seconds=1.0), False),
        (response(), response(seconds=1.0), False),
    ],
)
def test_a_response_is_the_same_with_equal_text_and_similar_duration(
    one: Response, other: Response, same: bool
) -> None:
    assert is_same(one, other) is same


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (response(503, ERROR_BODY, retry_after="1"), True),
        (response(429, ERROR_BODY, retry_after="20"), True),
        (response(503, ERROR_BODY), False),
        (response(503, "Service unavailable", retry_after="1"), False),
        (response(503, '{"error": "full"}', retry_after="1"), False),
        (response(500, ERROR_BODY, retry_after="1"), False),
    ],
)
def test_load_shedding_needs_status_body_and_retry_after(error: Response, expected: bool) -> None:
    assert is_load_shedding(error) is expected


def test_a_mix_has_weights_and_groups() -> None:
    assert parse_mix("chat=3,speech", NAMES) == {"chat": 3.0, "speech": 1.0}
    assert parse_mix("all", NAMES) == dict.fromkeys(NAMES, 1.0)
    assert parse_mix("rows", NAMES) == {"text->text": 1.0}
    assert parse_mix("openai,chat", NAMES) == {"chat": 2.0, "speech": 1.0}
    with pytest.raises(ValueError, match="unknown kind 'tea'; valid: all, rows, openai, text->text, chat"):
        parse_mix("tea", NAMES)
    with pytest.raises(ValueError, match="above 0"):
        parse_mix("chat=0,speech", NAMES)


def test_kinds_cover_all_rows_and_routes() -> None:
    calls = kinds()
    assert len([name for name in calls if "->" in name]) == 8
    assert calls.keys() >= {"chat", "chat-stream", "chat-voice", "speech", "transcription"}
    assert all(calls.values())
