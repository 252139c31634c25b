"""The eye of a LLaVA: pictures into the context of a llama.cpp model, as raw pixels. Knows nothing of text."""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployments.errors import BrokenMedia
from deployments.messages import Image

if TYPE_CHECKING:
    from llama_cpp import Llama

logger = logging.getLogger("ray.serve")

ERROR_LEVEL = 4  # ggml's own scale


@cache
def _log_callback() -> Any:
    """One for the whole process, and for as long: the library calls it after a projector is gone."""
    from llama_cpp import llama_cpp

    def log(level: int, text: bytes, _: Any) -> None:
        if level == ERROR_LEVEL:
            logger.error("%s", text.decode(errors="replace").rstrip())

    return llama_cpp.llama_log_callback(log)


class Projector:
    """A projector file, opened beside its language model. Not to be used by two threads at once."""

    def __init__(self, path: Path, llama: Llama, use_gpu: bool) -> None:
        from llama_cpp import mtmd_cpp

        self._mtmd = mtmd_cpp
        self._llama = llama
        mtmd_cpp.mtmd_log_set(_log_callback(), None)
        mtmd_cpp.mtmd_helper_log_set(_log_callback(), None)
        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu = use_gpu
        params.print_timings = False
        params.n_threads = llama.n_threads
        params.flash_attn_type = llama.context_params.flash_attn_type
        self._context = mtmd_cpp.mtmd_init_from_file(str(path).encode(), llama.model, params)
        if self._context is None or not mtmd_cpp.mtmd_support_vision(self._context):
            raise ValueError(f"{path} is no vision projector that fits the model")

    def read(self, image: Image) -> Picture:
        """The picture, cut and scaled as the projector wants it but not yet looked at. Close it after use."""
        pixels = np.ascontiguousarray(image.pixels)
        height, width, _ = pixels.shape
        chunks = self._mtmd.mtmd_input_chunks_init()
        bitmap = self._mtmd.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        marker = self._mtmd.mtmd_default_marker()
        text = self._mtmd.mtmd_input_text(text=marker, text_len=len(marker), add_special=False, parse_special=True)
        bitmaps = (self._mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        try:
            failed = self._mtmd.mtmd_tokenize(self._context, chunks, ctypes.byref(text), bitmaps, 1)
        finally:
            self._mtmd.mtmd_bitmap_free(bitmap)
        picture = Picture(chunks, self._mtmd, blake2b(pixels.data, digest_size=16, key=b"%d" % width).digest())
        if failed:
            picture.close()
            raise BrokenMedia(f"a picture of {width} by {height} cannot be read", param="image")
        return picture

    def look(self, picture: Picture) -> None:
        """Put the picture into the model's context, after its last token."""
        for chunk in picture.chunks():
            after = ctypes.c_int32()
            failed = self._mtmd.mtmd_helper_eval_chunk_single(
                self._context,
                self._llama.ctx,
                chunk,
                ctypes.c_int32(self._llama.n_tokens),
                0,
                self._llama.n_batch,
                False,
                ctypes.byref(after),
            )
            if failed:
                raise RuntimeError(f"llama.cpp could not read a picture: code {failed}")
            self._llama.n_tokens = after.value

    def close(self) -> None:
        """Give back the projector's memory. Idempotent."""
        if self._context is not None:
            self._mtmd.mtmd_free(self._context)
            self._context = None


class Picture:
    """A picture made ready. ``key`` tells pictures apart; ``n_tokens`` is its length in the context."""

    def __init__(self, chunks: Any, mtmd: Any, key: bytes) -> None:
        self._chunks = chunks
        self._mtmd = mtmd
        self.key = key
        self.n_tokens = int(mtmd.mtmd_helper_get_n_tokens(chunks))

    def chunks(self) -> list[Any]:
        """Its slices, in the order in which the model reads them."""
        size = self._mtmd.mtmd_input_chunks_size(self._chunks)
        return [self._mtmd.mtmd_input_chunks_get(self._chunks, i) for i in range(size)]

    def close(self) -> None:
        """Give back the pixels."""
        self._mtmd.mtmd_input_chunks_free(self._chunks)
