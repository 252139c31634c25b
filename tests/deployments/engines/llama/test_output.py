"""The text of one answer on its way to the event loop, and the cancellation of its reader."""

from __future__ import annotations

import asyncio

import pytest

from deployments.engines.llama import output as module
from deployments.engines.llama.output import Delta, OutputQueue, send
from deployments.errors import EngineUnavailable, ParleyError
from deployments.messages import FinishReason


@pytest.mark.parametrize("later", range(4))
def test_a_cancellation_that_coincides_with_new_text_is_not_lost(later: int) -> None:
    """``asyncio.wait_for`` of Python 3.11 loses it; the answer would be generated to its end."""

    async def ended() -> bool:
        queue = OutputQueue(asyncio.get_running_loop())
        waiting = asyncio.create_task(queue.wait(10))
        await asyncio.sleep(0)
        queue.put("text", None)
        for _ in range(later):
            await asyncio.sleep(0)
        cancelling = waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled() == cancelling

    assert asyncio.run(ended())


def test_wait_returns_false_after_the_timeout() -> None:
    async def received() -> bool:
        return await OutputQueue(asyncio.get_running_loop()).wait(0.001)

    assert not asyncio.run(received())


class FakeGeneration:
    """Generates one letter of the alphabet per step; counts the calls of ``take_text``."""

    def __init__(self) -> None:
        self.text = ""
        self.calls = 0

    def take_text(self) -> str:
        self.calls += 1
        text, self.text = self.text, ""
        return text


def received(end: FinishReason | ParleyError, steps: int, step_s: float) -> tuple[list[str], int, FinishReason | None]:
    """Return the text that a reader gets after each step, the calls of ``take_text``, and the finish reason."""

    async def generate() -> tuple[list[str], int, FinishReason | None]:
        queue, generation, now_s = OutputQueue(asyncio.get_running_loop()), FakeGeneration(), 1000.0
        texts: list[str] = []
        finish = None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.time, "monotonic", lambda: now_s)
            for step in range(steps):
                now_s += step_s
                generation.text += chr(ord("a") + step)
                send([Delta(queue, generation.take_text, end if step == steps - 1 else None)])
                await asyncio.sleep(0)
                text, finish = queue.take()
                texts.append(text)
        return texts, generation.calls, finish

    return asyncio.run(generate())


def test_the_first_text_is_sent_at_once_and_later_text_is_gathered() -> None:
    texts, calls, finish = received("stop", steps=9, step_s=0.008)
    assert texts == ["a", "", "", "bcd", "", "", "efg", "", "hi"]
    assert (calls, finish) == (4, "stop")


def test_text_that_is_slower_than_the_window_is_sent_at_once() -> None:
    texts, _, _ = received("length", steps=4, step_s=0.03)
    assert texts == ["a", "b", "c", "d"]


def test_text_is_sent_before_the_error_that_ends_its_answer() -> None:
    texts, _, finish = received(EngineUnavailable("the engine is closed"), steps=3, step_s=0.001)
    assert (texts, finish) == (["a", "", "bc"], None)
