"""What waits for one caller, and a caller who does not wait any more."""

from __future__ import annotations

import asyncio

import pytest

from deployments.engines.llama.mailbox import Mailbox


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
