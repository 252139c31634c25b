"""A model and its slots in llama.cpp: the batches and the cache. Knows nothing of who asked for what.

Every slot has a stream of the cache to itself. A step then costs each sequence only what it has read, whatever the
others hold, and its numbers do not depend on where its neighbours' lie.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.llama.samplers import Sampler
from deployments.engines.llama.scheduler import Run, Sampling
from deployments.engines.llama.vocabulary import Vocabulary

logger = logging.getLogger("ray.serve")

ERROR_LEVEL = 4  # ggml's own scale


@dataclass(frozen=True, slots=True)
class Shape:
    """What a context is made for.

    ``batch_threads`` are those of a pass over several tokens, ``threads`` of one over a single token.
    llama.cpp takes sequences into one pass only if their numbers are consecutive: up to ``gap`` slots between them get
    a token that is forgotten at once, where that is cheaper than a pass more.
    """

    slots: int
    context_length: int
    batch_size: int
    threads: int
    batch_threads: int
    flash_attention: bool = False
    gap: int = 2


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
        self._gap = shape.gap
        capacity = shape.batch_size + 2 * shape.slots  # readers, speakers and the fillers of gaps
        self._context = lib.llama_init_from_model(model.handle, self._params(shape, capacity))
        if self._context is None:
            raise ValueError(f"llama.cpp has no memory for {shape.slots} contexts of {shape.context_length:,} tokens")
        self._memory = lib.llama_get_memory(self._context)
        self._lengths = [0] * shape.slots
        self._batch = _Batch(lib, capacity, shape.slots)

    def decode(self, runs: Sequence[Run]) -> list[int | None]:
        """Single tokens go in one pass, longer runs and pictures each in a pass of their own.

        llama.cpp would cut longer runs to equal lengths; their numbers would then depend on their neighbours.
        """
        single = [run for run in runs if run.cells.shape == (1,)]
        passes = [single] if single else []
        passes += [[run] for run in runs if run.cells.shape != (1,)]
        chosen = {slot: token for together in passes for slot, token in self._pass(together)}
        return [chosen.get(run.slot) for run in runs]

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

    def ends(self, token: int) -> bool:
        return self._vocabulary.ends(token)

    def text(self, token: int) -> bytes:
        return self._vocabulary.text(token)

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

    def _pass(self, runs: list[Run]) -> list[tuple[int, int]]:
        """The slots of which a token is wanted, and the token."""
        runs = self._bridged(runs)
        if failed := self._lib.llama_decode(self._context, self._batch.filled(runs, self._lengths)):
            raise RuntimeError(f"llama.cpp could not decode a batch: code {failed}")
        wanted = [run for run in runs if _wanted(run)]
        if not wanted:  # else whoever takes the time would be misled: a GPU is still at work
            self._lib.llama_synchronize(self._context)
        for run in runs:
            self._lengths[run.slot] += len(run.cells)
            if run.sampler is _FILLER:
                self.trim(run.slot, self._lengths[run.slot] - 1)
        scores = self._scores(len(wanted)) if wanted else ()
        return [(run.slot, run.sampler.choose(row)) for run, row in zip(wanted, scores, strict=True)]

    def _bridged(self, runs: list[Run]) -> list[Run]:
        """``runs`` in the order of their slots, with the small gaps between them filled.

        No slot is ever full, as the last token of an answer is not read.
        """
        bridged: list[Run] = []
        for run in sorted(runs, key=lambda run: run.slot):
            gap = range(bridged[-1].slot + 1, run.slot) if bridged else range(0)
            if len(gap) <= self._gap:
                bridged += [Run(slot, np.zeros(1, np.int64), _FILLER) for slot in gap]
            bridged.append(run)
        return bridged

    def _scores(self, rows: int) -> NDArray[np.float32]:
        """Of all tokens, for each of the places of the last pass at which they are wanted; good until the next one."""
        scores = self._lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(scores, (rows, self._vocabulary.size))


_FILLER = object()  # stands in a run for the sampler: nothing is wanted of it


def _wanted(run: Run) -> bool:
    return run.sampler not in (None, _FILLER)


class _Batch:
    """The arrays of one ``llama_batch``, made once."""

    def __init__(self, lib: Any, capacity: int, slots: int) -> None:
        self._lib = lib
        self._slots = np.arange(slots, dtype=np.int32)
        self._addresses = self._slots.ctypes.data + 4 * np.arange(slots, dtype=np.uint64)
        self._ones = np.ones(capacity, np.int32)
        self._kept: tuple[Any, ...] = ()

    def filled(self, runs: list[Run], lengths: Sequence[int]) -> Any:
        """The batch of ``runs``, all of one kind; a token is wanted at the last place of some."""
        counts = np.array([len(run.cells) for run in runs])
        ends = np.cumsum(counts)
        cells = np.concatenate([run.cells for run in runs])
        cells = np.ascontiguousarray(cells, np.int32 if cells.ndim == 1 else np.float32)
        offsets = np.array([lengths[run.slot] for run in runs]) - (ends - counts)
        places = (np.arange(len(cells)) + np.repeat(offsets, counts)).astype(np.int32)
        slots = np.repeat(self._addresses[[run.slot for run in runs]], counts)
        wanted = np.zeros(len(cells), np.int8)
        wanted[ends[[_wanted(run) for run in runs]] - 1] = 1
        self._kept = (cells, places, slots, wanted)  # the library reads them after this returns
        batch = self._lib.llama_batch(n_tokens=len(cells))
        kind = "token" if cells.ndim == 1 else "embd"
        for name, array in ((kind, cells), ("pos", places), ("n_seq_id", self._ones), ("seq_id", slots)):
            _point(batch, name, array)
        _point(batch, "logits", wanted)
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
