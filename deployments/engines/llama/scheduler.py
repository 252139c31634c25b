"""Who reads and who speaks in the next step: continuous batching over a model that has a fixed number of slots.

Every slot holds one conversation, up to the context's length. A stream joins when a slot is free, reads its prompt in
chunks beside the others' tokens, and leaves between two steps. What a prompt shares with a slot's content is not read
again. Knows no model, no thread and no event loop: ``Backend`` does the work, and ``step`` is called in a loop.
"""

from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from deployments.errors import ContextOverflow
from deployments.messages import FinishReason
from deployments.engines.stop import StopScanner

# A copy moves a whole slot; for fewer places than these, reading them again is as fast.
WORTH_COPYING = 16
# Every stream beside an answer makes it as much slower as if its prompt had so many places more.
COMPANY = 64
# Nobody reads less at once, unless it is all that he has; see ``Prompt.run``.
LEAST = 3
# Between the tokens of those who speak, the others may read for as long as the tokens take, or for this long.
UNNOTICED_S = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What is read before an answer; it ends with a token.

    ``keys`` is int64 of shape (n,): token ids, and for a place of a picture a negative number drawn from its content.
    ``pictures`` are the embeddings, float32 of shape (places, width), with the places at which they begin, in order.
    """

    keys: NDArray[np.int64]
    pictures: tuple[tuple[int, NDArray[np.float32]], ...] = ()

    def run(self, start: int, limit: int) -> NDArray[Any]:
        """The next places from ``start`` on, of one kind: tokens (n,), or embeddings (n, width); at most ``limit``.

        Never one place alone, if its kind has more (and ``limit`` is 3 or more): a matrix with one row is multiplied
        in another way than one of several, and an answer must not depend on how its prompt was cut.
        """
        begin, end = self._kind(start)
        size = min(limit, end - start)
        if end - start - size == 1:
            size -= 1
        rows = dict(self.pictures).get(begin)
        return self.keys[start : start + size] if rows is None else rows[start - begin : start - begin + size]

    def beginning(self, length: int) -> int:
        """How many of the first ``length`` places may be taken as read, so that no place is left to be read alone."""
        length = min(length, len(self.keys) - 1)
        begin, end = self._kind(length)
        return length - 1 if end - length == 1 and length > begin else length

    def _kind(self, place: int) -> tuple[int, int]:
        """Where the picture, or the tokens between two pictures, begins and ends."""
        begin = 0
        for at, rows in self.pictures:
            if place < at:
                return begin, at
            begin = at
            if place < at + len(rows):
                return at, at + len(rows)
            begin += len(rows)
        return begin, len(self.keys)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; ``temperature`` 0 takes the likeliest. ``grammar`` is GBNF text with a rule ``root``."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = 0
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be made. ``reader`` is whatever the caller wants to find again in its ``Stream``."""

    prompt: Prompt
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    reader: Any = None


def nothing() -> None:
    """There is nothing to be done meanwhile."""


class Run(NamedTuple):
    """Places to be added to a slot: tokens (n,), or embeddings (n, width). With a sampler, the next token is wanted."""

    slot: int
    cells: NDArray[Any]
    sampler: Any = None


class Backend(Protocol):
    """A model with ``slots`` contexts of ``context_length`` places each."""

    @property
    def slots(self) -> int: ...

    @property
    def context_length(self) -> int: ...

    def decode(self, runs: Sequence[Run], meanwhile: Callable[[], None] = nothing) -> Iterable[tuple[int, int]]:
        """Add every run to its slot, at most one run a slot; each slot of which a token is wanted, and the token.

        Calls ``meanwhile`` once: while the model is at work, if that needs no thread of ours, and before it otherwise.
        """
        ...

    def trim(self, slot: int, length: int) -> int:
        """Forget all but the first ``length`` places; the number kept, which may be 0 where a model cannot."""
        ...

    def copy(self, source: int, target: int, length: int) -> int:
        """Make ``target`` the first ``length`` places of ``source``; the number that it then has."""
        ...

    def sampler(self, sampling: Sampling) -> Any:
        """A sampler for one stream. Raises ``InvalidRequest``. May be called from any thread, as ``release`` may."""
        ...

    def release(self, sampler: Any) -> None:
        """Give back a sampler."""
        ...

    def ends(self, token: int) -> bool:
        """Whether ``token`` ends an answer."""
        ...

    def text(self, token: int) -> bytes:
        """What ``token`` reads as: part of a UTF-8 text."""
        ...


class Stream:
    """One answer under way: tokens come in, text goes out.

    Between the two, tokens wait unread: while they are chosen the model has nothing to do.
    """

    def __init__(self, request: Request, sampler: Any, piece: Callable[[int], bytes]) -> None:
        """``piece`` is what a token reads as."""
        self.request = request
        self.sampler = sampler
        self.count = 0
        self.finish: FinishReason | None = None  # set once, at its end
        self.cancelled = False
        self.follows: _Following | None = None
        self.turn = 0  # whose number is the smallest reads next
        self.pending = np.zeros(1, np.int64)  # the token chosen last, which the model has yet to read
        self._piece = piece
        self._unread: list[int] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._whole = True  # no part of a letter waits for the rest
        self._scanner = StopScanner(request.stop)
        self._said = ""
        self._begun = False

    def push(self, token: int, *, ends: bool) -> None:
        """Take the next token, which may be the one that ends an answer."""
        self.pending[0] = token
        if ends:
            self.finish = "stop"
            return
        self.count += 1
        self._unread.append(token)
        if self.request.stop:  # each may be the end of one
            self._read()
        if self.count == self.request.max_tokens and not self.finish:
            self.finish = "length"

    def text(self) -> str:
        """What can go out and has not yet, without a letter cut in two or the start of a stop string."""
        self._read()
        if self.finish:
            self._said += self._scanner.flush()
        text, self._said = self._said, ""
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        return text

    def _read(self) -> None:
        pieces = b"".join(map(self._piece, self._unread))
        self._unread.clear()
        self._said += self._scanner.push(self._decoded(pieces))
        if self._scanner.stopped:
            self.finish = "stop"

    def _decoded(self, pieces: bytes) -> str:
        if self._whole and pieces.isascii():  # nearly always, and the decoder would take several times as long
            return pieces.decode("ascii")
        text = self._decoder.decode(pieces)
        self._whole = not self._decoder.getstate()[0]
        return text


@dataclass(eq=False)
class _Slot:
    """A slot's content: ``keys[:filled]`` have been read, and ``keys[:known]`` are sure to be."""

    index: int
    keys: NDArray[np.int64]
    filled: int = 0
    known: int = 0
    used: int = 0
    stream: Stream | None = field(default=None)


@dataclass(frozen=True, slots=True)
class _Following:
    """A stream waits until another, which reads the same ``length`` places now, has read them."""

    slot: _Slot
    stream: Stream | None
    length: int


class _Pace:
    """How long passes take, and how much may be read before those who speak must have their next token."""

    def __init__(self) -> None:
        self._place_s = 0.0  # what it took of late to read one place
        self._spoke_s = 0.0  # what the last tokens of those who speak took
        self._held_s = 0.0  # what has been read since

    def read(self, places: int, took_s: float) -> None:
        self._place_s = took_s / places
        self._held_s += took_s

    def spoke(self, took_s: float) -> None:
        self._spoke_s = took_s
        self._held_s = 0.0

    def room(self, most: int) -> int:
        """Places that may be read now: between two tokens as many as take no longer than speaking, or go unnoticed."""
        most_s = max(self._spoke_s, UNNOTICED_S)
        if self._held_s > most_s / 2:  # what is left is not worth a pass
            return 0
        room = int((most_s - self._held_s) / self._place_s) if self._place_s else most
        return min(most, room if self._held_s else max(LEAST, room))


class Scheduler:
    """Streams in slots, and those that wait for one.

    ``suits``, ``submit``, ``cancel``, ``hand_over`` and the counts may be used from any thread, the rest from one.
    """

    def __init__(
        self, backend: Backend, *, chunk: int, batch_size: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """A stream reads at most ``chunk`` places a step, all together ``batch_size``; fewer while somebody speaks."""
        if batch_size < LEAST or chunk < LEAST:
            raise ValueError(f"at least {LEAST} tokens must be read at once")
        self._backend = backend
        self._clock = clock
        self._chunk = chunk
        self._batch_size = batch_size
        self._pace = _Pace()
        self._slots = [_Slot(i, np.zeros(backend.context_length, np.int64)) for i in range(backend.slots)]
        self._waiting: deque[Stream] = deque()
        self._turns = count(1)
        self._left = 0
        self.produced = 0

    @property
    def active(self) -> int:
        """Streams with a slot, but for those that are about to leave it."""
        return sum((stream := slot.stream) is not None and not stream.cancelled for slot in self._slots)

    @property
    def filled(self) -> int:
        """Places of all slots that hold something, what may be of use to a later stream included."""
        return sum(slot.filled for slot in self._slots)

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return bool(self._waiting) or any(slot.stream for slot in self._slots)

    @property
    def idle(self) -> bool:
        """Whether one more could be answered at once."""
        return not self._waiting and any(slot.stream is None for slot in self._slots)

    def suits(self, prompt: Prompt) -> tuple[bool, int]:
        """How well ``prompt`` would do here, to be compared with other schedulers: the greater, the better.

        Whether a slot is free, and what need not be read again, less ``COMPANY`` for everybody who is here.
        """
        here = self.active + len(self._waiting)
        shared = max(_shared(slot.keys[: slot.known], prompt.keys) for slot in self._slots)
        return here < len(self._slots), shared - COMPANY * here

    def submit(self, request: Request) -> Stream:
        """Take a request in. Raises ``ContextOverflow``, or ``InvalidRequest`` for its sampling."""
        self._require_room(len(request.prompt.keys), request.max_tokens)
        stream = Stream(request, self._backend.sampler(request.sampling), self._backend.text)
        self._waiting.append(stream)
        return stream

    def hand_over(self) -> Stream | None:
        """Let go who has waited longest, for another scheduler of the same model to ``adopt``."""
        with suppress(IndexError):
            return self._waiting.popleft()
        return None

    def adopt(self, stream: Stream) -> None:
        """Take in one who waited elsewhere."""
        self._waiting.append(stream)

    def cancel(self, stream: Stream) -> None:
        """The stream leaves before the next step. Harmless at any time."""
        stream.cancelled = True

    def step(self, meanwhile: Callable[[], None] = nothing) -> list[Stream]:
        """One pass of the model: those who have nothing said yet read, or those who speak have a token each.

        Who comes reads at once, unless reading has held up those who speak for long enough. Returns who has a new
        token, or has ended. ``meanwhile`` is called if there is a pass, as ``Backend.decode`` says.
        """
        self._drop_cancelled()
        self._admit()
        speaking = [*self._speaking()]
        reading = [*self._reading(self._pace.room(self._batch_size) if speaking else self._batch_size)]
        start_s = self._clock()
        spoke = self._pass(reading or speaking, meanwhile)
        took_s = self._clock() - start_s
        if reading:
            self._pace.read(sum(len(run.cells) for run in reading), took_s)
        else:
            self._pace.spoke(took_s)
        return spoke

    def probe(self) -> None:
        """Have the model read one token, unless it is at work; nothing changes."""
        if self.active:
            return
        slot = min(self._slots, key=lambda slot: slot.filled)  # never full: the last token of an answer is not read
        self._backend.decode([Run(slot.index, np.zeros(1, np.int64))])
        slot.filled = slot.known = self._backend.trim(slot.index, slot.filled)

    def clear(self) -> list[Stream]:
        """Give up every stream; those that were under way or waited."""
        streams = [slot.stream for slot in self._slots if slot.stream]
        for slot in self._slots:
            self._leave(slot)
        while self._waiting:
            streams.append(self._waiting.popleft())
            self._backend.release(streams[-1].sampler)
        return streams

    def _require_room(self, length: int, max_tokens: int) -> None:
        fits = self._backend.context_length - max_tokens
        if length <= fits:
            return
        room = f"at most {fits:,} fit" if fits > 0 else f"none fit into a context of {self._backend.context_length:,}"
        raise ContextOverflow(
            f"the conversation has {length:,} tokens; {room} beside the {max_tokens:,} reserved for the answer",
            param="messages" if fits > 0 else "max_tokens",
        )

    def _drop_cancelled(self) -> None:
        for stream in [stream for stream in self._waiting.copy() if stream.cancelled]:
            try:
                self._waiting.remove(stream)
            except ValueError:  # another scheduler has it by now
                continue
            self._backend.release(stream.sampler)
        for slot in self._slots:
            if slot.stream and slot.stream.cancelled:
                self._leave(slot)

    def _leave(self, slot: _Slot) -> None:
        """The stream goes, what the slot has read stays for those who come with the same beginning."""
        if slot.stream is None:
            return
        self._backend.release(slot.stream.sampler)
        slot.stream = None
        slot.known = slot.filled
        self._left += 1
        slot.used = self._left

    def _admit(self) -> None:
        """First come, first served."""
        while (free := [slot for slot in self._slots if slot.stream is None]) and (stream := self.hand_over()):
            self._place(stream, free)

    def _place(self, stream: Stream, free: list[_Slot]) -> None:
        """Give ``stream`` the slot that spares it reading without losing another conversation, else the oldest."""
        keys = stream.request.prompt.keys
        shared = {slot.index: _shared(slot.keys[: slot.known], keys) for slot in self._slots}
        home = max(free, key=lambda slot: shared[slot.index])
        if 2 * shared[home.index] < home.filled or not shared[home.index]:
            home = min(free, key=lambda slot: slot.used)
        source = max(self._slots, key=lambda slot: shared[slot.index])
        own, others = (stream.request.prompt.beginning(shared[slot.index]) for slot in (home, source))
        home.filled = self._backend.trim(home.index, own)
        home.keys[: len(keys)] = keys
        home.known = len(keys)
        home.stream = stream
        stream.turn = next(self._turns)
        if source is not home and others - home.filled >= WORTH_COPYING:
            stream.follows = _Following(source, source.stream, others)
            self._follow(home, stream)

    def _follow(self, slot: _Slot, stream: Stream) -> bool:
        """Whether ``stream`` still waits for what another reads; takes it over as soon as it is there."""
        follows = stream.follows
        if follows is None:
            return False
        read = follows.slot.keys[: follows.slot.filled]  # perhaps by somebody who came after the other
        if _shared(read, stream.request.prompt.keys) >= follows.length:
            slot.filled = self._backend.copy(follows.slot.index, slot.index, follows.length)
        elif follows.slot.stream is follows.stream:
            return True
        stream.follows = None
        return False

    def _speaking(self) -> Iterator[Run]:
        for slot in self._slots:
            stream = slot.stream
            if stream and stream.count:
                yield Run(slot.index, stream.pending, stream.sampler)

    def _reading(self, room: int) -> Iterator[Run]:
        """The next chunks of the prompts that are not yet read, as many as there is ``room`` for.

        They take turns: many small parts would each be a pass of the model, and nobody would be ready sooner.
        """
        readers = [(slot, slot.stream) for slot in self._slots if slot.stream and not slot.stream.count]
        for slot, stream in sorted(readers, key=lambda reader: reader[1].turn):
            if room < LEAST:
                return
            if self._follow(slot, stream):
                continue
            chunk = stream.request.prompt.run(slot.filled, self._chunk)
            cells = stream.request.prompt.run(slot.filled, min(room, self._chunk))
            if len(cells) == len(chunk):
                stream.turn = next(self._turns)
            room -= len(cells)
            last = slot.filled + len(cells) == len(stream.request.prompt.keys)
            yield Run(slot.index, cells, stream.sampler if last else None)

    def _pass(self, runs: Sequence[Run], meanwhile: Callable[[], None]) -> list[Stream]:
        """Have the model read ``runs``; whose next token came of it."""
        if not runs:
            return []

        def note() -> None:
            for run in runs:
                self._note(self._slots[run.slot], run.cells)
            meanwhile()

        return [self._advance(self._slots[slot], token) for slot, token in self._backend.decode(runs, note)]

    def _note(self, slot: _Slot, cells: NDArray[Any]) -> None:
        """Account for what the model is about to read, or reads now."""
        end = slot.filled + len(cells)
        if end > slot.known:
            slot.keys[slot.filled : end] = cells
            slot.known = end
        slot.filled = end

    def _advance(self, slot: _Slot, token: int) -> Stream:
        stream = slot.stream
        assert stream is not None
        self.produced += 1
        stream.push(token, ends=self._backend.ends(token))
        if stream.finish:
            self._leave(slot)
        return stream


def _shared(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Length of the common beginning."""
    size = min(len(one), len(other))
    differ = np.flatnonzero(one[:size] != other[:size])
    return int(differ[0]) if len(differ) else size
