"""What remains of a conversation that is longer than a context, without its oldest turns. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deployments.messages import ChatMessage

MESSAGE_BYTES = 16  # about what a chat template puts around each message


def remainders(messages: Sequence[ChatMessage], step_bytes: int) -> Iterator[list[ChatMessage]]:
    """Yield what remains of a conversation when its oldest turns are dropped: the shortest first, then longer ones.

    A turn is a user's message with the answers to it. System messages and the last turn always remain. There is one
    remainder for each ``step_bytes`` of the conversation, counted from its start: a conversation that grows is cut at
    the same place for several turns, so that most of its prompt is in the cache. A picture counts as a step.
    """
    cuts: list[int] = []  # indices of the first message that remains
    last_turn: int | None = None
    size_bytes, steps = 0, 0
    for index, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "user" and size_bytes:
            last_turn = index
            if size_bytes // step_bytes > steps:
                steps = size_bytes // step_bytes
                cuts.append(index)
        size_bytes += len(message.text.encode()) + MESSAGE_BYTES + step_bytes * len(message.images)
    if last_turn is not None and last_turn not in cuts[-1:]:
        cuts.append(last_turn)
    for cut in reversed(cuts):
        yield [message for index, message in enumerate(messages) if index >= cut or message.role == "system"]
