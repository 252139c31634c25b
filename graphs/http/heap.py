"""Where uploads and pictures pass, large memory goes back to the system at once."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3  # of <malloc.h>
LARGE_BYTES = 1 << 20


def return_large_blocks() -> None:
    """Keep nothing of a mebibyte or more in the heaps of this process's threads, each of which would else keep the
    largest body that it has held. For processes that pass things on: a voice allocates as much for every layer, and
    took nearly twice as long. Only glibc knows the setting; elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
