"""The eye of a LLaVA: a picture to what stands for it in a prompt. Knows nothing of text or of contexts."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.errors import BrokenMedia
from deployments.messages import Image

REMEMBERED = 16  # pictures; one of LLaVA 1.5 in a 7B model is 9 MB


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A part of a picture in a prompt: ``keys`` int64 (n,) as in ``Prompt``; ``rows`` float32 (n, width), or words."""

    keys: NDArray[np.int64]
    rows: NDArray[np.float32] | None


class Eye:
    """A projector file, opened beside its language model. For any thread; looks at one picture at a time."""

    def __init__(
        self, path: Path, model: Any, width: int, *, threads: int, use_gpu: bool, flash_attention: bool
    ) -> None:
        """``width`` is that of the model's embeddings. Raises ``ValueError`` for a file that does not fit the model."""
        from llama_cpp import mtmd_cpp

        self._mtmd = mtmd_cpp
        self._width = width
        self._lock = Lock()
        self._seen: OrderedDict[bytes, list[Look]] = OrderedDict()
        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu = use_gpu
        params.print_timings = False
        params.n_threads = threads
        params.flash_attn_type = int(flash_attention)
        self._context = mtmd_cpp.mtmd_init_from_file(str(path).encode(), model, params)
        if self._context is None or not mtmd_cpp.mtmd_support_vision(self._context):
            raise ValueError(f"{path} is no vision projector that fits the model")
        if mtmd_cpp.mtmd_decode_use_mrope(self._context) or mtmd_cpp.mtmd_decode_use_non_causal(self._context, None):
            raise ValueError(f"{path} is for a model that reads pictures in another way than LLaVA does")

    def look(self, image: Image) -> list[Look]:
        """What the model reads in the place of ``image``; a picture seen lately is not looked at again."""
        pixels = np.ascontiguousarray(image.pixels)
        key = blake2b(pixels.data, digest_size=16, key=b"%d" % pixels.shape[1]).digest()
        with self._lock:
            if key not in self._seen:
                self._seen[key] = self._parts(pixels, key)
            self._seen.move_to_end(key)
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            return self._seen[key]

    def close(self) -> None:
        """Give back the projector's memory. Idempotent."""
        with self._lock:
            if self._context is not None:
                self._mtmd.mtmd_free(self._context)
                self._context = None

    def _parts(self, pixels: NDArray[np.uint8], key: bytes) -> list[Look]:
        height, width, _ = pixels.shape
        chunks = self._mtmd.mtmd_input_chunks_init()
        bitmap = self._mtmd.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        marker = self._mtmd.mtmd_default_marker()
        text = self._mtmd.mtmd_input_text(text=marker, text_len=len(marker), add_special=False, parse_special=True)
        bitmaps = (self._mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        try:
            if self._mtmd.mtmd_tokenize(self._context, chunks, ctypes.byref(text), bitmaps, 1):
                raise BrokenMedia(f"a picture of {width} by {height} cannot be read", param="image")
            size = self._mtmd.mtmd_input_chunks_size(chunks)
            return [self._part(self._mtmd.mtmd_input_chunks_get(chunks, i), key + b"%d" % i) for i in range(size)]
        finally:
            self._mtmd.mtmd_bitmap_free(bitmap)
            self._mtmd.mtmd_input_chunks_free(chunks)

    def _part(self, chunk: Any, key: bytes) -> Look:
        """Words that the projector puts around a picture, or a slice of it."""
        count = self._mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        if self._mtmd.mtmd_input_chunk_get_type(chunk) == self._mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
            tokens = self._mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(ctypes.c_size_t()))
            return Look(np.array(tokens[:count], np.int64), None)
        if failed := self._mtmd.mtmd_encode_chunk(self._context, chunk):
            raise RuntimeError(f"llama.cpp could not look at a picture: code {failed}")
        rows = np.ctypeslib.as_array(self._mtmd.mtmd_get_output_embd(self._context), (count, self._width)).copy()
        return Look(_keys(key, count), rows)


def _keys(key: bytes, count: int) -> NDArray[np.int64]:
    """Negative numbers that no other picture has."""
    drawn = np.frombuffer(blake2b(key, digest_size=8).digest(), np.uint64)[0]
    places = np.arange(count, dtype=np.uint64)
    mixed: NDArray[np.uint64] = (drawn + places) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1 << 63)
    return mixed.view(np.int64)
