"""Which requests the fuzzer sends, and what counts as a problem."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.fuzz import Fuzzer, problem_of

ROOT = Path(__file__).resolve().parents[2]
ERROR = {"error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": "invalid_value"}}
OVERLOADED = {"error": {"message": "No.", "type": "overloaded_error", "param": None, "code": "overloaded"}}


def test_the_same_seed_causes_the_same_changes() -> None:
    """Files differ in the random numbers that their encoders write."""

    def changes(seed: int) -> list[tuple[str, str, int]]:
        return [(case.method, case.path, len(case.content)) for case in Fuzzer(seed).cases(50)]

    assert changes(1) == changes(1)
    assert changes(1) != changes(2)


def test_requests_reach_every_route_and_some_are_broken_http() -> None:
    cases = [*Fuzzer(1).cases(3000)]
    gateway = (ROOT / "graphs/gateway.py").read_text()
    paths = {case.path.partition("?")[0] for case in cases}
    assert paths >= set(re.findall(r'app\.get\("([^"{]+)"', gateway))
    posted = {case.path.partition("?")[0] for case in cases if case.method == "POST"}
    assert posted >= set(re.findall(r'app\.post\("([^"{]+)"', gateway))
    assert any(case.raw for case in cases)


@pytest.mark.parametrize(
    ("status", "media_type", "content", "is_problem"),
    [
        (200, "text/plain", b"Hello.", False),
        (400, "application/json", json.dumps(ERROR).encode(), False),
        (503, "application/json", json.dumps(OVERLOADED).encode(), False),
        (503, "application/json", json.dumps(ERROR).encode(), True),
        (500, "application/json", json.dumps(ERROR).encode(), True),
        (400, "text/plain", b"Invalid HTTP request received.", True),
        (404, "application/json", b'{"detail": "Not Found"}', True),
        (400, "application/json", b'{"error": {}}', True),
        (307, "text/plain", b"", True),
    ],
)
def test_an_error_without_the_usual_form_and_a_server_error_are_problems(
    status: int, media_type: str, content: bytes, is_problem: bool
) -> None:
    assert bool(problem_of("POST", status, media_type, content)) is is_problem
