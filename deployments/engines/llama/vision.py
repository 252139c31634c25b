"""A LLaVA vision encoder and projector: pictures to embeddings of the language model."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.errors import BrokenMedia
from deployments.messages import Image

CACHED_IMAGES = 16  # the embeddings of one picture are 9 MB for LLaVA 1.5 with a 7B model
CACHED_SIZES = 256


@dataclass(frozen=True, slots=True, eq=False)
class ImageChunk:
    """A part of a picture in a prompt: a slice of the picture, or tokens that separate slices.

    ``keys`` is int64 of shape (n,), as in ``Prompt``. ``embeddings`` is float32 of shape (n, width), or ``None`` for
    tokens.
    """

    keys: NDArray[np.int64]
    embeddings: NDArray[np.float32] | None


class VisionEncoder:
    """The encoder of an mmproj file, for one loaded language model. Any thread may use it; it encodes one at a time."""

    def __init__(
        self, path: Path, model: Any, width: int, *, threads: int, use_gpu: bool, flash_attention: bool
    ) -> None:
        """``width`` is that of the model's embeddings. Raise ``ValueError`` if the file does not fit the model."""
        from llama_cpp import mtmd_cpp

        self._mtmd = mtmd_cpp
        self._width = width
        self._lock = Lock()
        self._cache: OrderedDict[bytes, list[ImageChunk]] = OrderedDict()
        self._positions: OrderedDict[tuple[int, int], int] = OrderedDict()
        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu = use_gpu
        params.print_timings = False
        params.n_threads = threads
        params.flash_attn_type = int(flash_attention)
        self._context = mtmd_cpp.mtmd_init_from_file(str(path).encode(), model, params)
        if self._context is None or not mtmd_cpp.mtmd_support_vision(self._context):
            raise ValueError(f"{path} is not a vision encoder for this model")
        if mtmd_cpp.mtmd_decode_use_mrope(self._context) or mtmd_cpp.mtmd_decode_use_non_causal(self._context, None):
            raise ValueError(f"{path} needs M-RoPE or non-causal attention, which this engine does not support")

    def encode(self, image: Image) -> list[ImageChunk]:
        """Return the chunks of ``image``, cached if it is recent. Raise ``BrokenMedia`` if it has no pixels."""
        pixels = np.ascontiguousarray(image.pixels)
        key = blake2b(pixels.data, digest_size=16, key=b"%d" % pixels.shape[1]).digest()
        with self._lock:
            if key not in self._cache:
                self._cache[key] = self._encode(pixels, key)
            self._cache.move_to_end(key)
            if len(self._cache) > CACHED_IMAGES:
                self._cache.popitem(last=False)
            return self._cache[key]

    def positions(self, image: Image) -> int:
        """Return how many positions ``image`` takes in a prompt, without encoding it; the size of a picture decides."""
        height, width, _ = image.pixels.shape
        with self._lock:
            if (height, width) not in self._positions:
                with self._tokenized(np.ascontiguousarray(image.pixels)) as chunks:
                    self._positions[height, width] = sum(map(self._mtmd.mtmd_input_chunk_get_n_tokens, chunks))
            if len(self._positions) > CACHED_SIZES:
                self._positions.popitem(last=False)
            return self._positions[height, width]

    def close(self) -> None:
        """Release the memory. Idempotent."""
        with self._lock:
            if self._context is not None:
                self._mtmd.mtmd_free(self._context)
                self._context = None

    def _encode(self, pixels: NDArray[np.uint8], key: bytes) -> list[ImageChunk]:
        with self._tokenized(pixels) as chunks:
            return [self._chunk(chunk, key + b"%d" % i) for i, chunk in enumerate(chunks)]

    @contextmanager
    def _tokenized(self, pixels: NDArray[np.uint8]) -> Iterator[list[Any]]:
        """Yield the ``mtmd_input_chunk`` of each part of a picture, scaled and sliced but not encoded."""
        height, width, _ = pixels.shape
        chunks = self._mtmd.mtmd_input_chunks_init()
        bitmap = self._mtmd.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        marker = self._mtmd.mtmd_default_marker()
        text = self._mtmd.mtmd_input_text(text=marker, text_len=len(marker), add_special=False, parse_special=True)
        bitmaps = (self._mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        try:
            if self._mtmd.mtmd_tokenize(self._context, chunks, ctypes.byref(text), bitmaps, 1):
                raise BrokenMedia(f"a picture of {width} by {height} pixels cannot be encoded", param="image")
            size = self._mtmd.mtmd_input_chunks_size(chunks)
            yield [self._mtmd.mtmd_input_chunks_get(chunks, i) for i in range(size)]
        finally:
            self._mtmd.mtmd_bitmap_free(bitmap)
            self._mtmd.mtmd_input_chunks_free(chunks)

    def _chunk(self, chunk: Any, key: bytes) -> ImageChunk:
        """Convert an ``mtmd_input_chunk``, which has either tokens or a slice of a picture."""
        count = self._mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        if self._mtmd.mtmd_input_chunk_get_type(chunk) == self._mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
            tokens = self._mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(ctypes.c_size_t()))
            return ImageChunk(np.array(tokens[:count], np.int64), None)
        if code := self._mtmd.mtmd_encode_chunk(self._context, chunk):
            raise RuntimeError(f"mtmd_encode_chunk failed with code {code}")
        output = self._mtmd.mtmd_get_output_embd(self._context)
        return ImageChunk(_keys(key, count), np.ctypeslib.as_array(output, (count, self._width)).copy())


def _keys(key: bytes, count: int) -> NDArray[np.int64]:
    """Return ``count`` negative numbers that depend on ``key`` and practically never equal those of another key."""
    seed = np.frombuffer(blake2b(key, digest_size=8).digest(), np.uint64)[0]
    positions = np.arange(count, dtype=np.uint64)
    # Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4), with the sign bit set.
    hashes: NDArray[np.uint64] = (seed + positions) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1 << 63)
    return hashes.view(np.int64)
