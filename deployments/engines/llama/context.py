"""A model and a context of llama.cpp: the ``Backend`` of a scheduler.

The sequence id of llama.cpp is the number of the slot. Each sequence has its own part ("stream") of the KV cache
(``kv_unified`` is false): attention covers only the sequence's own cells, and its result does not depend on the cells
of other sequences.
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

from deployments.engines.llama.request import Sampling
from deployments.engines.llama.samplers import Candidates, Sampler, choose
from deployments.engines.llama.scheduler import SlotInput, no_op
from deployments.engines.llama.vocabulary import Vocabulary
from deployments.errors import InvalidRequest

logger = logging.getLogger("ray.serve")

ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR


@dataclass(frozen=True, slots=True)
class ContextParams:
    """Sizes and threads of a context.

    ``threads`` compute a batch of one token, ``batch_threads`` a larger one. ``max_gap`` and ``fill_blocks`` control
    the padding of batches: see ``padding_slots`` and ``block_padding``.
    """

    slots: int
    context_length: int
    batch_size: int
    threads: int
    batch_threads: int
    flash_attention: bool = False
    max_gap: int = 2
    fill_blocks: bool = True


class Model:
    """The weights of a GGUF file."""

    def __init__(self, path: Path, gpu_layers: int) -> None:
        """Raise ``ValueError`` if llama.cpp cannot load the file."""
        from llama_cpp import llama_cpp as lib
        from llama_cpp import mtmd_cpp

        lib.llama_backend_init()
        for set_log in (lib.llama_log_set, mtmd_cpp.mtmd_log_set, mtmd_cpp.mtmd_helper_log_set):
            set_log(_log_callback(), None)
        params = lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self._lib = lib
        self.handle = lib.llama_model_load_from_file(str(path).encode(), params)
        if self.handle is None:
            raise ValueError(f"llama.cpp cannot load {path}")
        self.vocabulary = Vocabulary(self.handle)
        self.width = lib.llama_model_n_embd_inp(self.handle)
        # The state of a recurrent model cannot be reset to an earlier position.
        self.can_remove_tokens = not (
            lib.llama_model_is_recurrent(self.handle) or lib.llama_model_is_hybrid(self.handle)
        )
        # With all layers on the GPU, llama_decode returns before the computation ends.
        all_layers = not 0 <= gpu_layers <= lib.llama_model_n_layer(self.handle)
        self.asynchronous = all_layers and bool(lib.llama_supports_gpu_offload())
        template = lib.llama_model_chat_template(self.handle, None)
        self.chat_template = template.decode() if template else None

    def close(self) -> None:
        """Release the memory. Idempotent."""
        if self.handle is not None:
            self._lib.llama_model_free(self.handle)
            self.handle = None


class Context:
    """One ``llama_context``. One thread at a time may use it; any thread may call ``sampler`` and ``release``."""

    def __init__(self, model: Model, params: ContextParams) -> None:
        """Raise ``ValueError`` if there is not enough memory."""
        from llama_cpp import llama_cpp as lib

        self._lib = lib
        self._model = model
        self._vocabulary = model.vocabulary
        self.slots = params.slots
        self.context_length = params.context_length
        self.is_end, self.piece = self._vocabulary.is_end, self._vocabulary.piece
        self._max_gap = params.max_gap if model.can_remove_tokens else 0
        self._fill_blocks = params.fill_blocks and model.can_remove_tokens
        self._overlap = no_op
        capacity = params.batch_size + 2 * params.slots  # with padding
        self._context = lib.llama_init_from_model(model.handle, self._llama_params(params, capacity))
        if self._context is None:
            raise ValueError(
                f"not enough memory for the KV cache of {params.slots} slots of {params.context_length:,} tokens"
            )
        self._memory = lib.llama_get_memory(self._context)
        self._lengths = [0] * params.slots
        self._batch = _Batch(lib, capacity, params.slots)
        self._candidates = Candidates(self._vocabulary.size)

    def decode(
        self, inputs: Sequence[SlotInput], overlap: Callable[[], None] = no_op
    ) -> list[tuple[int, int | InvalidRequest]]:
        """See ``Backend.decode``. Inputs of one token share a batch; each other input has its own.

        llama.cpp would cut longer inputs in one batch to equal lengths (``llama_batch_allocr::split_equal``), and their
        results would depend on the lengths of the others.
        """
        if self._model.asynchronous:
            self._overlap = overlap
        else:
            overlap()
        single = [item for item in inputs if item.content.shape == (1,)]
        longer = [item for item in inputs if item.content.shape != (1,)] if len(single) < len(inputs) else []
        chosen = [*self._decode_single(single)] if single else []
        for item in longer:
            chosen += self._decode_longer(item)
        return chosen

    def trim(self, slot: int, length: int) -> int:
        if length < self._lengths[slot]:
            if not self._lib.llama_memory_seq_rm(self._memory, slot, length, -1):  # a recurrent model
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
        """Release the memory. Idempotent."""
        if self._context is not None:
            self._lib.llama_free(self._context)
            self._context = None

    def _llama_params(self, params: ContextParams, capacity: int) -> Any:
        llama = self._lib.llama_context_default_params()
        llama.n_ctx = params.slots * params.context_length
        llama.n_seq_max = params.slots
        llama.n_batch = llama.n_ubatch = capacity
        llama.n_threads, llama.n_threads_batch = params.threads, params.batch_threads
        llama.flash_attn_type = int(params.flash_attention)  # LLAMA_FLASH_ATTN_TYPE_DISABLED or _ENABLED
        llama.kv_unified = False
        llama.no_perf = True
        return llama

    def _decode_single(self, inputs: list[SlotInput]) -> Iterable[tuple[int, int | InvalidRequest]]:
        """Compute one token for each of several slots, in the order of the slots, with padding.

        A padding slot has a free position: the last token of an answer is never an input.
        """
        slots = padding_slots(tuple([item.slot for item in inputs]), self.slots, self._max_gap, self._fill_blocks)
        padding = (SlotInput(slot, np.zeros(1, np.int64), _PADDING) for slot in slots)
        inputs = sorted([*inputs, *padding], key=attrgetter("slot"))
        return self._run(inputs, self._batch.single(inputs, self._lengths))

    def _decode_longer(self, item: SlotInput) -> Iterable[tuple[int, int | InvalidRequest]]:
        """Compute several tokens or embeddings for one slot."""
        end = self._lengths[item.slot] + len(item.content)
        padded = self._fill_blocks and item.content.ndim == 1
        padding = min(block_padding(len(item.content)), self.context_length - end) if padded else 0
        chosen = self._run([item], self._batch.longer(item, self._lengths[item.slot], padding))
        if padding:
            self._lib.llama_memory_seq_rm(self._memory, item.slot, end, -1)
        return chosen

    def _run(self, inputs: list[SlotInput], batch: Any) -> Iterable[tuple[int, int | InvalidRequest]]:
        """Compute a batch; return (slot, next token) for the inputs with a sampler."""
        if code := self._lib.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode failed with code {code}")
        self._overlap()
        self._overlap = no_op
        for item in inputs:
            self._lengths[item.slot] += len(item.content)
            if item.sampler is _PADDING:
                self.trim(item.slot, self._lengths[item.slot] - 1)
        sampled = [item for item in inputs if _needs_logits(item)]
        if not sampled:
            self._lib.llama_synchronize(self._context)  # so that timings include the GPU's work
            return ()
        tokens = choose(self._logits(len(sampled)), [item.sampler for item in sampled], self._candidates)
        return zip([item.slot for item in sampled], tokens, strict=True)

    def _logits(self, rows: int) -> NDArray[np.float32]:
        """Return the logits of the last batch, of shape (rows, vocabulary); valid until the next batch."""
        address = ctypes.cast(self._lib.llama_get_logits(self._context), ctypes.c_void_p).value
        memory = (ctypes.c_float * (rows * self._vocabulary.size)).from_address(address)
        return np.frombuffer(memory, np.float32).reshape(rows, -1)


_PADDING = object()  # in place of a sampler


def _needs_logits(item: SlotInput) -> bool:
    return item.sampler not in (None, _PADDING)


def block_padding(tokens: int) -> int:
    """Return how many padding tokens make a batch of ``tokens`` tokens faster on a CPU.

    ggml multiplies 16 rows at once, then 4, then 1. Padding 3 tokens to 4, or 15 to 16, is 1.95 and 1.35 times as fast
    with a 7B model in Q4_0, and 1.03 and 1.12 times with the bundled model (2 cores with AVX-512).
    """
    return 2 if tokens % 16 == 14 else int(tokens % 4 == 3)


@lru_cache(256)  # mostly the same slots as in the step before
def padding_slots(slots: tuple[int, ...], count: int, max_gap: int, fill_blocks: bool) -> tuple[int, ...]:
    """Return those of ``count`` slots that get a padding token in a batch for ``slots``.

    llama.cpp computes sequences together only if their ids are consecutive (``llama_batch_allocr::split_equal``), and a
    gap costs another pass over the weights. Slots in a gap of at most ``max_gap`` are padded; with ``fill_blocks``, so
    are ``block_padding`` slots next to each group of consecutive slots. Without padding, slots 0 and 2 take 2.1 times
    as long, and slots 0 and 3 take 2.2 times as long (7B model in Q4_0, 2 CPU cores).
    """
    used = sorted(slots)
    groups: list[range] = []
    for slot in used:
        if groups and slot - groups[-1].stop <= max_gap:
            groups[-1] = range(groups[-1].start, slot + 1)
        else:
            groups.append(range(slot, slot + 1))
    if fill_blocks:
        groups = [_filled(group, count) for group in groups]
    return tuple({slot for group in groups for slot in group}.difference(used))


def _filled(group: range, count: int) -> range:
    """Return the group with its padding: after it, or before it at the last slot."""
    missing = block_padding(len(group))
    stop = min(count, group.stop + missing)
    return range(max(0, group.start - missing + stop - group.stop), stop)


class _Batch:
    """The arrays of a ``llama_batch``, allocated once and shared by a batch of tokens and one of embeddings."""

    def __init__(self, lib: Any, capacity: int, slots: int) -> None:
        self._slots = np.arange(slots, dtype=np.int32)
        self._slot_addresses = self._slots.ctypes.data + 4 * np.arange(slots, dtype=np.uint64)
        self._ones = np.ones(capacity, np.int32)
        self._tokens, self._positions = np.zeros((2, capacity), np.int32)
        self._sequences = np.zeros(capacity, np.uint64)  # int32 **seq_id
        self._has_logits = np.zeros(capacity, np.int8)
        self._embeddings: NDArray[np.float32] | None = None
        self._token_batch, self._embedding_batch = lib.llama_batch(), lib.llama_batch()
        for batch in (self._token_batch, self._embedding_batch):
            _set_pointer(batch, "n_seq_id", self._ones)
            _set_pointer(batch, "pos", self._positions)
            _set_pointer(batch, "seq_id", self._sequences)
            _set_pointer(batch, "logits", self._has_logits)
        _set_pointer(self._token_batch, "token", self._tokens)

    def single(self, inputs: list[SlotInput], lengths: Sequence[int]) -> Any:
        """Return a batch of one token per input; ``lengths`` are those of all slots."""
        size = len(inputs)
        slots = [item.slot for item in inputs]
        self._tokens[:size] = np.concatenate([item.content for item in inputs])
        self._positions[:size] = [lengths[slot] for slot in slots]
        self._sequences[:size] = self._slot_addresses[slots]
        self._has_logits[:size] = [_needs_logits(item) for item in inputs]
        self._token_batch.n_tokens = size
        return self._token_batch

    def longer(self, item: SlotInput, length: int, padding: int) -> Any:
        """Return a batch of one input for a slot of ``length`` positions, with ``padding`` tokens at its end.

        Logits are computed only at the input's last position, and only if it has a sampler.
        """
        size = len(item.content)
        padded = size + padding
        self._positions[:padded] = np.arange(length, length + padded)
        self._sequences[:padded] = self._slot_addresses[item.slot]
        self._has_logits[:padded] = 0
        self._has_logits[size - 1] = _needs_logits(item)
        batch = self._token_batch
        if item.content.ndim == 1:
            self._tokens[:size] = item.content
            self._tokens[size:padded] = 0
        else:
            batch = self._embedding_batch
            self._embeddings = np.ascontiguousarray(item.content, np.float32)  # referenced until the next batch
            _set_pointer(batch, "embd", self._embeddings)
        batch.n_tokens = padded
        return batch


def _set_pointer(batch: Any, name: str, array: NDArray[Any]) -> None:
    """Set a pointer of the ``llama_batch`` to the array's data."""
    kind = next(type_ for field, type_ in batch._fields_ if field == name)
    setattr(batch, name, ctypes.cast(array.ctypes.data, kind))


@cache  # keeps a reference: the library stores only a pointer
def _log_callback() -> Any:
    """Return a ``ggml_log_callback`` that logs errors only."""
    from llama_cpp import llama_cpp as lib

    def log(level: int, text: bytes, _: Any) -> None:
        if level == ERROR_LEVEL:
            logger.error("%s", text.decode(errors="replace").rstrip())

    return lib.llama_log_callback(log)
