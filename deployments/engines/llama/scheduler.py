"""Continuous batching: which sequences one step of the model computes.

Generations start and end between steps ("iteration-level scheduling" of Orca, Yu et al., OSDI 2022). A step is either a
decode step, in which every started generation gets its next token, or a prefill step over chunks of some prompts. Long
prompts take several prefill steps, with decode steps in between ("chunked prefills" of Sarathi, Agrawal et al., 2023).
A slot keeps its content after its generation; prefill skips the prefix that a prompt has in common with a slot.

This module has no threads, no event loop and no model: a loop calls ``Scheduler.step``, a ``Backend`` computes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from deployments.engines.llama.generation import Generation
from deployments.engines.llama.request import Prompt, Request, Sampling, overflow
from deployments.errors import InvalidRequest

# Shortest prefix to copy from another slot: a copy takes about as long as the prefill of this many positions.
MIN_COPY = 16
# In ``Scheduler.affinity``, a generation weighs as much as the prefill of this many positions: it slows every step.
GENERATION_COST = 64
# Minimum prefill chunk, except for the last chunk of a prompt; see ``Prompt.chunk``.
MIN_PREFILL = 3
# Prefill between two decode steps takes at most as long as the last decode step, or this long if that is more.
MAX_PREFILL_S = 0.02


def no_op() -> None:
    """Do nothing."""


class SlotInput(NamedTuple):
    """New content of a slot: tokens (n,) or embeddings (n, width). A sampler chooses the token that follows."""

    slot: int
    content: NDArray[Any]
    sampler: Any = None


class Backend(Protocol):
    """A model with ``slots`` sequences of at most ``context_length`` positions."""

    @property
    def slots(self) -> int: ...

    @property
    def context_length(self) -> int: ...

    def decode(
        self, inputs: Sequence[SlotInput], overlap: Callable[[], None] = no_op
    ) -> Iterable[tuple[int, int | InvalidRequest]]:
        """Append each input to its slot, at most one per slot; return (slot, next token) of inputs with a sampler.

        In place of a token there can be the error that ends the answer.
        ``overlap`` is called once: while the GPU computes, or before the computation if the CPU takes part in it.
        """
        ...

    def trim(self, slot: int, length: int) -> int:
        """Remove all but the first ``length`` positions; return how many are left.

        A model that cannot remove a part removes all.
        """
        ...

    def copy(self, source: int, target: int, length: int) -> int:
        """Replace ``target`` by the first ``length`` positions of ``source``; return what ``trim`` returns."""
        ...

    def sampler(self, sampling: Sampling) -> Any:
        """Return a new sampler; any thread may call this. Raise ``InvalidRequest`` for an invalid grammar."""
        ...

    def release(self, sampler: Any) -> None:
        """Release a sampler's memory; any thread may call this."""
        ...

    def is_end(self, token: int) -> bool:
        """Return whether ``token`` ends an answer."""
        ...

    def piece(self, token: int) -> bytes:
        """Return the text of ``token`` as UTF-8, which may be a part of a character."""
        ...


@dataclass(eq=False)
class _Slot:
    """One slot. The first ``filled`` positions of ``keys`` are in the cache; the first ``known`` are or will be."""

    index: int
    keys: NDArray[np.int64]
    filled: int = 0
    known: int = 0
    last_used: int = 0  # higher if freed later
    generation: Generation | None = None
    prefill_order: int = 0  # lower gets its next chunk first
    planned_copy: _PlannedCopy | None = None


@dataclass(frozen=True, slots=True)
class _PlannedCopy:
    """A copy of the first ``length`` positions of ``source``, as soon as ``generation`` has computed them there."""

    source: _Slot
    generation: Generation | None
    length: int


class _PrefillBudget:
    """How much prefill fits between two decode steps, by the duration of recent steps."""

    def __init__(self) -> None:
        self._position_s = 0.0  # per position of the last prefill step
        self._decode_s = 0.0  # of the last decode step
        self._used_s = 0.0  # of prefill since the last decode step

    def add_prefill(self, positions: int, duration_s: float) -> None:
        self._position_s = duration_s / positions
        self._used_s += duration_s

    def add_decode(self, duration_s: float) -> None:
        self._decode_s = duration_s
        self._used_s = 0.0

    def positions(self, most: int) -> int:
        """Return how many positions the next prefill step may have, at most ``most``; 0 if a decode step is due.

        The first prefill step after a decode step has at least ``MIN_PREFILL`` positions.
        """
        budget_s = max(self._decode_s, MAX_PREFILL_S)
        if self._used_s > budget_s / 2:  # the rest is too short for an efficient step
            return 0
        fitting = int((budget_s - self._used_s) / self._position_s) if self._position_s else most
        return min(most, fitting if self._used_s else max(MIN_PREFILL, fitting))


class Scheduler:
    """The slots of one backend, the generations in them, and the queue for a slot.

    ``step``, ``probe`` and ``clear`` belong to one thread; any thread may use the other methods and the properties.
    """

    def __init__(
        self, backend: Backend, *, chunk: int, batch_size: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """A prefill step has at most ``batch_size`` positions, and at most ``chunk`` of one prompt."""
        if batch_size < MIN_PREFILL or chunk < MIN_PREFILL:
            raise ValueError(f"batch_size and chunk must be at least {MIN_PREFILL}")
        self._backend = backend
        self._clock = clock
        self._chunk = chunk
        self._batch_size = batch_size
        self._budget = _PrefillBudget()
        self._slots = [_Slot(i, np.zeros(backend.context_length, np.int64)) for i in range(backend.slots)]
        self._waiting: deque[Generation] = deque()
        self._prefill_orders = count(1)
        self._freed = 0
        self.produced = 0  # tokens, since the start

    @property
    def active(self) -> int:
        """Generations that have a slot, without the cancelled ones."""
        return sum(slot.generation is not None and not slot.generation.cancelled for slot in self._slots)

    @property
    def filled(self) -> int:
        """Positions in the cache, those of ended generations included."""
        return sum(slot.filled for slot in self._slots)

    @property
    def busy(self) -> bool:
        """Whether any generation has a slot or waits for one."""
        return bool(self._waiting) or any(slot.generation for slot in self._slots)

    @property
    def has_free_slot(self) -> bool:
        """Whether a slot is free that no generation of the queue will get."""
        return not self._waiting and any(slot.generation is None for slot in self._slots)

    def affinity(self, prompt: Prompt) -> tuple[bool, int]:
        """Return how suitable this scheduler is for ``prompt``; the greatest value among schedulers is the best.

        The first part is whether a slot is free. The second is the number of positions that need no prefill, less
        ``GENERATION_COST`` for each generation in a slot or in the queue.
        """
        generations = self.active + len(self._waiting)
        shared = max(_common_prefix(slot.keys[: slot.known], prompt.keys) for slot in self._slots)
        return generations < len(self._slots), shared - GENERATION_COST * generations

    def new_generation(self, request: Request) -> Generation:
        """Return a generation for the queue of this scheduler, or of another one with the same model.

        Parses the grammar, which takes over a second for a large one of the settings. Raise ``ContextOverflow``, or
        ``InvalidRequest`` for an invalid grammar.
        """
        self._require_fit(len(request.prompt.keys), request.max_tokens)
        return Generation(request, self._backend.sampler(request.sampling), self._backend.piece)

    def submit(self, generation: Generation) -> None:
        """Append a generation to the queue."""
        self._waiting.append(generation)

    def pop_waiting(self) -> Generation | None:
        """Remove and return the first generation of the queue, if any, for another scheduler with the same model."""
        with suppress(IndexError):
            return self._waiting.popleft()
        return None

    def cancel(self, generation: Generation) -> None:
        """Remove the generation before the next step, in whichever scheduler it is. No effect after its end."""
        generation.cancelled = True

    def step(self, overlap: Callable[[], None] = no_op) -> list[Generation]:
        """Run one prefill or decode step; return the generations that got a token, which may be their last.

        A prefill step comes first if there is a prompt to compute, unless the time for prefill between two decode steps
        is used up. ``overlap`` is passed to ``Backend.decode``; it is not called if there is nothing to compute.
        """
        self._drop_cancelled()
        self._fill_slots()
        decode = [*self._decode_inputs()]
        limit = self._budget.positions(self._batch_size) if decode else self._batch_size
        prefill = [*self._prefill_inputs(limit)]
        start_s = self._clock()
        advanced = self._run(prefill or decode, overlap)
        duration_s = self._clock() - start_s
        if prefill:
            self._budget.add_prefill(sum(len(item.content) for item in prefill), duration_s)
        else:
            self._budget.add_decode(duration_s)
        return advanced

    def probe(self) -> None:
        """Compute one token and remove it again, as a test of the model; do nothing if generations are active."""
        if self.active:
            return
        # A slot always has a free position: the last token of an answer is never an input.
        slot = min(self._slots, key=lambda slot: slot.filled)
        self._backend.decode([SlotInput(slot.index, np.zeros(1, np.int64))])
        slot.filled = slot.known = self._backend.trim(slot.index, slot.filled)

    def clear(self) -> list[Generation]:
        """Remove and return all generations."""
        generations = [slot.generation for slot in self._slots if slot.generation]
        for slot in self._slots:
            self._free(slot)
        while self._waiting:
            generations.append(self._waiting.popleft())
            self._backend.release(generations[-1].sampler)
        return generations

    def _require_fit(self, length: int, max_tokens: int) -> None:
        """Raise ``ContextOverflow`` unless a prompt and the longest possible answer fit a slot."""
        if length > self._backend.context_length - max_tokens:
            raise overflow(f"{length:,} tokens", self._backend.context_length, max_tokens)

    def _drop_cancelled(self) -> None:
        for generation in [waiting for waiting in self._waiting.copy() if waiting.cancelled]:
            try:
                self._waiting.remove(generation)
            except ValueError:  # another scheduler has it now
                continue
            self._backend.release(generation.sampler)
        for slot in self._slots:
            if slot.generation and slot.generation.cancelled:
                self._free(slot)

    def _free(self, slot: _Slot) -> None:
        """Remove the slot's generation; its content stays, for prompts with the same prefix."""
        if slot.generation is None:
            return
        self._backend.release(slot.generation.sampler)
        slot.generation = None
        slot.known = slot.filled
        self._freed += 1
        slot.last_used = self._freed

    def _fill_slots(self) -> None:
        """Give free slots to the queue, first in, first out."""
        while free := [slot for slot in self._slots if slot.generation is None]:
            if (generation := self.pop_waiting()) is None:
                return
            self._assign(generation, free)

    def _assign(self, generation: Generation, free: list[_Slot]) -> None:
        """Give the generation a slot, and plan to copy the prefix that it has in common with another slot.

        The slot with the longest common prefix is chosen if that is at least half of the slot's content, else the least
        recently used one: the content of the other slots stays available to the next message of its conversation.
        """
        keys = generation.request.prompt.keys
        shared = {slot.index: _common_prefix(slot.keys[: slot.known], keys) for slot in self._slots}
        chosen = max(free, key=lambda slot: shared[slot.index])
        if 2 * shared[chosen.index] < chosen.filled or not shared[chosen.index]:
            chosen = min(free, key=lambda slot: slot.last_used)
        source = max(self._slots, key=lambda slot: shared[slot.index])
        reusable, copyable = (generation.request.prompt.reusable(shared[slot.index]) for slot in (chosen, source))
        chosen.filled = self._backend.trim(chosen.index, reusable)
        chosen.keys[: len(keys)] = keys
        chosen.known = len(keys)
        chosen.generation = generation
        chosen.prefill_order = next(self._prefill_orders)
        chosen.planned_copy = None
        if source is not chosen and copyable - chosen.filled >= MIN_COPY:
            chosen.planned_copy = _PlannedCopy(source, source.generation, copyable)
            self._awaits_copy(chosen, generation)

    def _awaits_copy(self, slot: _Slot, generation: Generation) -> bool:
        """Make the slot's planned copy if its source is complete; return whether prefill has to wait for the source."""
        plan = slot.planned_copy
        if plan is None:
            return False
        computed = plan.source.keys[: plan.source.filled]  # by any generation: the slot may have a new one
        if _common_prefix(computed, generation.request.prompt.keys) >= plan.length:
            slot.filled = self._backend.copy(plan.source.index, slot.index, plan.length)
        elif plan.source.generation is plan.generation:
            return True
        slot.planned_copy = None
        return False

    def _decode_inputs(self) -> Iterator[SlotInput]:
        """Yield the last token of each started generation."""
        for slot in self._slots:
            generation = slot.generation
            if generation and generation.count:
                yield SlotInput(slot.index, generation.last_token, generation.sampler)

    def _prefill_inputs(self, limit: int) -> Iterator[SlotInput]:
        """Yield the next chunks of the prompts in progress, of ``limit`` positions at most.

        A prompt that has got a whole chunk goes to the end of the order. Smaller chunks of all prompts would not be
        faster for any of them: the backend computes each chunk separately.
        """
        prompts = [(slot, slot.generation) for slot in self._slots if slot.generation and not slot.generation.count]
        for slot, generation in sorted(prompts, key=lambda pair: pair[0].prefill_order):
            if limit < MIN_PREFILL:
                return
            if self._awaits_copy(slot, generation):
                continue
            prompt = generation.request.prompt
            whole = prompt.chunk(slot.filled, self._chunk)
            content = prompt.chunk(slot.filled, min(limit, self._chunk))
            if len(content) == len(whole):
                slot.prefill_order = next(self._prefill_orders)
            limit -= len(content)
            is_last = slot.filled + len(content) == len(prompt.keys)
            yield SlotInput(slot.index, content, generation.sampler if is_last else None)

    def _run(self, inputs: Sequence[SlotInput], overlap: Callable[[], None]) -> list[Generation]:
        """Compute ``inputs``; return the generations that got a token."""
        if not inputs:
            return []

        def record_and_overlap() -> None:
            for item in inputs:
                self._record(self._slots[item.slot], item.content)
            overlap()

        return [
            self._advance(self._slots[slot], token) for slot, token in self._backend.decode(inputs, record_and_overlap)
        ]

    def _record(self, slot: _Slot, content: NDArray[Any]) -> None:
        """Count the content as part of the slot's cache."""
        end = slot.filled + len(content)
        if end > slot.known:  # a generated token; the keys of the prompt are there already
            slot.keys[slot.filled : end] = content
            slot.known = end
        slot.filled = end

    def _advance(self, slot: _Slot, token: int | InvalidRequest) -> Generation:
        generation = slot.generation
        assert generation is not None
        if isinstance(token, InvalidRequest):
            generation.finish = token
        else:
            self.produced += 1
            generation.add(token, is_end=self._backend.is_end(token))
        if generation.finish:
            self._free(slot)
        return generation


def _common_prefix(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Return the length of the common prefix."""
    size = min(len(one), len(other))
    differences = np.flatnonzero(one[:size] != other[:size])
    return int(differences[0]) if len(differences) else size
