"""What waits for one caller, and a caller who does not wait any more."""

from __future__ import annotations

import asyncio

import pytest

from deployments.engines.llama import mailbox as module
from deployments.engines.llama.output import Mailbox, deliver
from deployments.errors import EngineUnavailable, ParleyError
from deployments.messages import FinishReason


@pytest.mark.parametrize("later", range(4))
def test_a_caller_who_is_cancelled_as_something_arrives_is_cancelled(later: int) -> None:
    """Python 3.11's own ``wait_for`` forgot it: whoever had left was read to till the end of his answer."""

    async def ended() -> bool:
        mailbox = Mailbox(asyncio.get_running_loop())
        waiting = asyncio.create_task(mailbox.wait(10))
        await asyncio.sleep(0)
        mailbox.put("text", None)
        for _ in range(later):
            await asyncio.sleep(0)
        asked = waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled() == asked

    assert asyncio.run(ended())


def test_nothing_comes_in_time() -> None:
    async def came() -> bool:
        return await Mailbox(asyncio.get_running_loop()).wait(0.001)

    assert not asyncio.run(came())


class Speaker:
    """Says a letter of the alphabet at a time; what has been said waits until it is asked for."""

    def __init__(self) -> None:
        self.said = ""
        self.asked = 0

    def text(self) -> str:
        self.asked += 1
        text, self.said = self.said, ""
        return text


def told(end: FinishReason | ParleyError, steps: int, step_s: float) -> tuple[list[str], int, FinishReason | None]:
    """What a caller took, how often the speaker was asked for it, and how it ended, if one step follows another."""

    async def talk() -> tuple[list[str], int, FinishReason | None]:
        mailbox, speaker, now_s = Mailbox(asyncio.get_running_loop()), Speaker(), 1000.0
        taken: list[str] = []
        finish = None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.time, "monotonic", lambda: now_s)
            for step in range(steps):
                now_s += step_s
                speaker.said += chr(ord("a") + step)
                deliver([(mailbox, speaker.text, end if step == steps - 1 else None)])
                await asyncio.sleep(0)
                text, finish = mailbox.take()
                taken.append(text)
        return taken, speaker.asked, finish

    return asyncio.run(talk())


def test_the_first_words_go_at_once_and_later_ones_travel_together() -> None:
    taken, asked, finish = told("stop", steps=9, step_s=0.008)
    assert taken == ["a", "", "", "bcd", "", "", "efg", "", "hi"]
    assert (asked, finish) == (4, "stop")


def test_whoever_speaks_slowly_is_heard_at_once() -> None:
    taken, _, _ = told("length", steps=4, step_s=0.03)
    assert taken == ["a", "b", "c", "d"]


def test_what_was_said_before_a_failure_arrives_before_it() -> None:
    taken, _, finish = told(EngineUnavailable("the engine is closed"), steps=3, step_s=0.001)
    assert (taken, finish) == (["a", "", "bc"], None)
