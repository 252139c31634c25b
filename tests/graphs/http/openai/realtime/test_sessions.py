"""Open sessions: their limits, overall and per API key, and how they end with their replica."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from deployments.errors import Overloaded, RateLimited
from graphs.http.openai.realtime.sessions import Sessions
from graphs.settings import RealtimeConfig


def no_drain(within_s: float) -> None:
    pass


def test_refuses_sessions_above_the_limit_until_one_has_ended() -> None:
    sessions, config = Sessions(), RealtimeConfig(max_sessions=2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(sessions.entered(None, config, no_drain))
        with pytest.raises(Overloaded, match="2 live sessions"), sessions.entered(None, config, no_drain):
            pass
    with sessions.entered(None, config, no_drain):
        pass


def test_refuses_sessions_of_a_key_above_its_limit_only() -> None:
    sessions, config = Sessions(), RealtimeConfig(max_sessions_per_key=1)
    with sessions.entered("first", config, no_drain):
        with pytest.raises(RateLimited, match="1 live sessions"), sessions.entered("first", config, no_drain):
            pass
        with sessions.entered("second", config, no_drain):
            pass


def test_asks_every_session_to_end_and_refuses_further_ones() -> None:
    sessions, config, asked = Sessions(), RealtimeConfig(), []
    with (
        sessions.entered(None, config, lambda within_s: asked.append((1, within_s))),
        sessions.entered(None, config, lambda within_s: asked.append((2, within_s))),
    ):
        sessions.drain(20)
    assert asked == [(1, 20), (2, 20)]
    with pytest.raises(Overloaded, match="being replaced"), sessions.entered(None, config, no_drain):
        pass
