"""A model and its slots in llama.cpp: the batches and the cache. Knows nothing of who asked for what.

Every slot has a stream of the cache to itself. A step then costs each sequence only what it has read, whatever the
others hold, and its numbers do not depend on where its neighbours' lie.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.llama.samplers import Candidates, Sampler, choose
from deployments.engines.llama.scheduler import Run, Sampling, nothing
from deployments.engines.llama.vocabulary import Vocabulary

logger = logging.getLogger("ray.serve")

ERROR_LEVEL = 4  # ggml's own scale


@dataclass(frozen=True, slots=True)
class Shape:
    """What a context is made for.

    ``batch_threads`` are those of a pass over several tokens, ``threads`` of one over a single token.
    llama.cpp takes sequences into one pass only if their numbers are consecutive: up to ``gap`` slots between them get
    a token that is forgotten at once, where that is cheaper than a pass more. With ``blocks`` so do others beside them
    where tokens are multiplied in blocks, and what is left over one by one; see ``lacking``.
    """

    slots: int
    context_length: int
    batch_size: int
    threads: int
    batch_threads: int
    flash_attention: bool = False
    gap: int = 2
    blocks: bool = True


class Model:
    """A GGUF file, loaded."""

    def __init__(self, path: Path, gpu_layers: int) -> None:
        """Raises ``ValueError`` for a file that llama.cpp does not take."""
        from llama_cpp import llama_cpp as lib
        from llama_cpp import mtmd_cpp

        lib.llama_backend_init()
        for listen in (lib.llama_log_set, mtmd_cpp.mtmd_log_set, mtmd_cpp.mtmd_helper_log_set):
            listen(_listener(), None)
        params = lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self._lib = lib
        self.handle = lib.llama_model_load_from_file(str(path).encode(), params)
        if self.handle is None:
            raise ValueError(f"llama.cpp cannot load {path}")
        self.vocabulary = Vocabulary(self.handle)
        self.width = lib.llama_model_n_embd_inp(self.handle)
        # Others keep a summary of what they have read, which cannot be undone by a token.
        self.forgets = not (lib.llama_model_is_recurrent(self.handle) or lib.llama_model_is_hybrid(self.handle))
        # All of a pass is then made by a GPU, and goes on when llama.cpp has returned; not so with some layers here.
        whole = not 0 <= gpu_layers <= lib.llama_model_n_layer(self.handle)
        self.elsewhere = whole and bool(lib.llama_supports_gpu_offload())
        template = lib.llama_model_chat_template(self.handle, None)
        self.chat_template = template.decode() if template else None

    def close(self) -> None:
        """Give back the memory. Idempotent."""
        if self.handle is not None:
            self._lib.llama_model_free(self.handle)
            self.handle = None


class Context:
    """A ``Backend`` of the scheduler. All but ``sampler`` and ``release`` belong to one thread at a time."""

    def __init__(self, model: Model, shape: Shape) -> None:
        """Raises ``ValueError`` if there is no memory for it."""
        from llama_cpp import llama_cpp as lib

        self._lib = lib
        self._model = model
        self._vocabulary = model.vocabulary
        self.slots = shape.slots
        self.context_length = shape.context_length
        self.ends, self.text = self._vocabulary.ends, self._vocabulary.text
        self._gap = shape.gap if model.forgets else 0
        self._blocks = shape.blocks and model.forgets
        self._meanwhile = nothing
        capacity = shape.batch_size + 2 * shape.slots  # readers, speakers and the fillers of gaps
        self._context = lib.llama_init_from_model(model.handle, self._params(shape, capacity))
        if self._context is None:
            raise ValueError(f"llama.cpp has no memory for {shape.slots} contexts of {shape.context_length:,} tokens")
        self._memory = lib.llama_get_memory(self._context)
        self._lengths = [0] * shape.slots
        self._batch = _Batch(lib, capacity, shape.slots)
        self._candidates = Candidates(self._vocabulary.size)

    def decode(self, runs: Sequence[Run], meanwhile: Callable[[], None] = nothing) -> list[tuple[int, int]]:
        """Single tokens go in one pass, longer runs and pictures each in a pass of their own.

        llama.cpp would cut longer runs to equal lengths; their numbers would then depend on their neighbours.
        """
        if self._model.elsewhere:
            self._meanwhile = meanwhile
        else:
            meanwhile()
        single = [run for run in runs if run.cells.shape == (1,)]
        long = [run for run in runs if run.cells.shape != (1,)] if len(single) < len(runs) else []
        chosen = [*self._together(single)] if single else []
        for run in long:
            chosen += self._apart(run)
        return chosen

    def trim(self, slot: int, length: int) -> int:
        if length < self._lengths[slot]:
            if not self._lib.llama_memory_seq_rm(self._memory, slot, length, -1):  # some models forget all or nothing
                self._lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
                length = 0
            self._lengths[slot] = length
        return self._lengths[slot]

    def copy(self, source: int, target: int, length: int) -> int:
        self._lib.llama_memory_seq_rm(self._memory, target, -1, -1)
        self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self._lengths[target] = self._lengths[source]
        return self.trim(target, length)

    def sampler(self, sampling: Sampling) -> Sampler:
        return Sampler(self._vocabulary, sampling, self.context_length)

    def release(self, sampler: Sampler) -> None:
        sampler.close()

    def close(self) -> None:
        """Give back the memory. Idempotent."""
        if self._context is not None:
            self._lib.llama_free(self._context)
            self._context = None

    def _params(self, shape: Shape, capacity: int) -> Any:
        params = self._lib.llama_context_default_params()
        params.n_ctx = shape.slots * shape.context_length
        params.n_seq_max = shape.slots
        params.n_batch = params.n_ubatch = capacity
        params.n_threads, params.n_threads_batch = shape.threads, shape.batch_threads
        params.flash_attn_type = int(shape.flash_attention)  # off and on, as llama.cpp counts them
        params.kv_unified = False
        params.no_perf = True
        return params

    def _together(self, runs: list[Run]) -> Iterable[tuple[int, int]]:
        runs = self._bridged(runs)
        return self._pass(runs, self._batch.single(runs, self._lengths))

    def _apart(self, run: Run) -> Iterable[tuple[int, int]]:
        end = self._lengths[run.slot] + len(run.cells)
        blocks = self._blocks and run.cells.ndim == 1
        spare = min(lacking(len(run.cells)), self.context_length - end) if blocks else 0
        chosen = self._pass([run], self._batch.long(run, self._lengths[run.slot], spare))
        if spare:
            self._lib.llama_memory_seq_rm(self._memory, run.slot, end, -1)
        return chosen

    def _pass(self, runs: list[Run], batch: Any) -> Iterable[tuple[int, int]]:
        """The slots of which a token is wanted, and the token."""
        if failed := self._lib.llama_decode(self._context, batch):
            raise RuntimeError(f"llama.cpp could not decode a batch: code {failed}")
        self._meanwhile()
        self._meanwhile = nothing
        for run in runs:
            self._lengths[run.slot] += len(run.cells)
            if run.sampler is _FILLER:
                self.trim(run.slot, self._lengths[run.slot] - 1)
        wanted = [run for run in runs if _wanted(run)]
        if not wanted:  # whoever takes the time would be misled
            self._lib.llama_synchronize(self._context)
            return ()
        tokens = choose(self._scores(len(wanted)), [run.sampler for run in wanted], self._candidates)
        return zip([run.slot for run in wanted], tokens, strict=True)

    def _bridged(self, runs: list[Run]) -> list[Run]:
        """``runs`` in the order of their slots, and what has to stand between and beside them.

        No slot is ever full, as the last token of an answer is not read.
        """
        slots = fillers(tuple([run.slot for run in runs]), self.slots, self._gap, self._blocks)
        return sorted([*runs, *(Run(slot, np.zeros(1, np.int64), _FILLER) for slot in slots)], key=attrgetter("slot"))

    def _scores(self, rows: int) -> NDArray[np.float32]:
        """Of all tokens, for each of the places of the last pass at which they are wanted; good until the next one."""
        scores = ctypes.cast(self._lib.llama_get_logits(self._context), ctypes.c_void_p).value
        memory = (ctypes.c_float * (rows * self._vocabulary.size)).from_address(scores)
        return np.frombuffer(memory, np.float32).reshape(rows, -1)


_FILLER = object()  # stands in a run for the sampler: nothing is wanted of it


def _wanted(run: Run) -> bool:
    return run.sampler not in (None, _FILLER)


def lacking(tokens: int) -> int:
    """How many more would take a CPU less time: llama.cpp multiplies by sixteen, then by four, then one by one."""
    return 2 if tokens % 16 == 14 else int(tokens % 4 == 3)


@lru_cache(256)  # mostly the same as in the step before
def fillers(slots: tuple[int, ...], count: int, gap: int, blocks: bool) -> tuple[int, ...]:
    """Of ``count`` slots, those that speak along with ``slots``: see ``Shape``."""
    spoken = sorted(slots)
    groups: list[range] = []
    for slot in spoken:
        if groups and slot - groups[-1].stop <= gap:
            groups[-1] = range(groups[-1].start, slot + 1)
        else:
            groups.append(range(slot, slot + 1))
    if blocks:
        groups = [_filled(group, count) for group in groups]
    return tuple({slot for group in groups for slot in group}.difference(spoken))


def _filled(group: range, count: int) -> range:
    """With those that it lacks: behind it, and before it where there are no more."""
    lack = lacking(len(group))
    stop = min(count, group.stop + lack)
    return range(max(0, group.start - lack + stop - group.stop), stop)


class _Batch:
    """The arrays of a ``llama_batch``, made once; of one of tokens and one of embeddings, which share them."""

    def __init__(self, lib: Any, capacity: int, slots: int) -> None:
        self._slots = np.arange(slots, dtype=np.int32)
        self._addresses = self._slots.ctypes.data + 4 * np.arange(slots, dtype=np.uint64)
        self._ones = np.ones(capacity, np.int32)
        self._tokens, self._places = np.zeros((2, capacity), np.int32)
        self._owners = np.zeros(capacity, np.uint64)
        self._wanted = np.zeros(capacity, np.int8)
        self._rows: NDArray[np.float32] | None = None
        self._of_tokens, self._of_rows = lib.llama_batch(), lib.llama_batch()
        for batch in (self._of_tokens, self._of_rows):
            _point(batch, "n_seq_id", self._ones)
            _point(batch, "pos", self._places)
            _point(batch, "seq_id", self._owners)
            _point(batch, "logits", self._wanted)
        _point(self._of_tokens, "token", self._tokens)

    def single(self, runs: list[Run], lengths: Sequence[int]) -> Any:
        """A token for each of some slots."""
        size = len(runs)
        slots = [run.slot for run in runs]
        self._tokens[:size] = np.concatenate([run.cells for run in runs])
        self._places[:size] = [lengths[slot] for slot in slots]
        self._owners[:size] = self._addresses[slots]
        self._wanted[:size] = [_wanted(run) for run in runs]
        self._of_tokens.n_tokens = size
        return self._of_tokens

    def long(self, run: Run, length: int, spare: int) -> Any:
        """Many places for one slot, which has ``length``; a token may be wanted at the last of them. ``spare``
        places more get any token.
        """
        size = len(run.cells)
        added = size + spare
        self._places[:added] = np.arange(length, length + added)
        self._owners[:added] = self._addresses[run.slot]
        self._wanted[:added] = 0
        self._wanted[size - 1] = _wanted(run)
        batch = self._of_tokens
        if run.cells.ndim == 1:
            self._tokens[:size] = run.cells
            self._tokens[size:added] = 0
        else:
            batch = self._of_rows
            self._rows = np.ascontiguousarray(run.cells, np.float32)  # kept: the library reads them later
            _point(batch, "embd", self._rows)
        batch.n_tokens = added
        return batch


def _point(batch: Any, name: str, array: NDArray[Any]) -> None:
    """Let a field of the structure point at an array."""
    kind = next(type_ for field, type_ in batch._fields_ if field == name)
    setattr(batch, name, ctypes.cast(array.ctypes.data, kind))


@cache  # or it would be collected under the library's feet
def _listener() -> Any:
    from llama_cpp import llama_cpp as lib

    def log(level: int, text: bytes, _: Any) -> None:
        if level == ERROR_LEVEL:
            logger.error("%s", text.decode(errors="replace").rstrip())

    return lib.llama_log_callback(log)
