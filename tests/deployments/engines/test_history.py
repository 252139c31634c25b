"""What remains of a conversation without its oldest turns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.history import remainders
from deployments.messages import ChatMessage, Image

PICTURE = Image(np.zeros((2, 2, 3), np.uint8))

conversations = st.lists(
    st.builds(ChatMessage, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=60)), max_size=30
)
steps = st.integers(1, 300)


def turns(number: int, text: str = "x" * 84) -> list[ChatMessage]:
    """Return a conversation that waits for its next answer; a turn of two messages counts 200 bytes."""
    pairs = [(ChatMessage("user", text), ChatMessage("assistant", text)) for _ in range(number - 1)]
    return [message for pair in pairs for message in pair] + [ChatMessage("user", text)]


def lengths(messages: list[ChatMessage], step_bytes: int) -> list[int]:
    return [len(remainder) for remainder in remainders(messages, step_bytes)]


def test_there_is_a_remainder_for_each_step_and_one_with_the_last_turn_alone() -> None:
    assert lengths(turns(10), 200) == [1, 3, 5, 7, 9, 11, 13, 15, 17]
    assert lengths(turns(10), 600) == [1, 7, 13]
    assert lengths(turns(10), 100_000) == [1]


def test_a_conversation_of_one_turn_has_no_remainder() -> None:
    assert lengths([ChatMessage("system", "be brief"), ChatMessage("user", "hi")], 1) == []


def test_a_greeting_before_the_first_message_of_the_user_can_be_dropped() -> None:
    assert lengths([ChatMessage("assistant", "Hello."), ChatMessage("user", "hi")], 1) == [1]


def test_an_answer_is_dropped_with_its_question() -> None:
    messages = [ChatMessage("user", "a"), *turns(2), ChatMessage("assistant", "prefilled")]
    assert [[m.role for m in remainder] for remainder in remainders(messages, 1)] == [
        ["user", "assistant"],
        ["user", "assistant", "user", "assistant"],
    ]


def test_a_picture_counts_as_a_step() -> None:
    with_picture = [ChatMessage("user", "look", (PICTURE,)), ChatMessage("assistant", "a dog"), *turns(2)]
    assert lengths(with_picture, 10_000) == [1, 3]


def test_a_growing_conversation_is_cut_at_the_same_places() -> None:
    whole = turns(40)

    def cuts(messages: list[ChatMessage]) -> set[int]:
        return {len(messages) - len(remainder) for remainder in list(remainders(messages, 600))[1:]}

    for length in range(3, len(whole), 2):
        assert cuts(whole[:length]) == {cut for cut in cuts(whole) if cut < length - 1}


@given(conversations, steps)
def test_remainders_grow_keep_the_system_and_the_last_turn_and_begin_with_the_user(
    messages: list[ChatMessage], step_bytes: int
) -> None:
    found = list(remainders(messages, step_bytes))
    sizes = [len(remainder) for remainder in found]
    assert sizes == sorted(set(sizes))
    system = [message for message in messages if message.role == "system"]
    spoken = [message for message in messages if message.role != "system"]
    for remainder in found:
        assert len(remainder) < len(messages)
        assert [message for message in remainder if message.role == "system"] == system
        kept = [message for message in remainder if message.role != "system"]
        assert kept[0].role == "user"
        assert kept == spoken[-len(kept) :]
