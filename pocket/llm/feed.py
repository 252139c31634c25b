"""A queue of training batches on the device."""

import random
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch


class Feed:
    """Batches on the device, prefetched by a thread. If no new batch is ready, `next` repeats an earlier one."""

    def __init__(self, batches: Iterable[Any], device: torch.device, kept: int = 300) -> None:
        self.fresh: deque[Any] = deque()
        self.pool: deque[Any] = deque(maxlen=kept)
        self.new = self.old = 0
        self._device, self._changed = device, threading.Condition()
        threading.Thread(target=self._fetch, args=(iter(batches),), daemon=True).start()

    def _fetch(self, batches: Iterator[Any]) -> None:
        for batch in batches:
            moved = type(batch)(*(tensor.to(self._device, non_blocking=True) for tensor in batch))
            with self._changed:
                self._changed.wait_for(lambda: len(self.fresh) < 8)
                self.fresh.append(moved)
                self._changed.notify_all()

    def next(self) -> Any:
        """Return the next batch. Only the first batches block."""
        with self._changed:
            if not self.fresh and len(self.pool) < min(8, self.pool.maxlen or 8):
                self._changed.wait_for(lambda: self.fresh)
            if self.fresh:
                self.new += 1
                self.pool.append(self.fresh.popleft())
                self._changed.notify_all()
                return self.pool[-1]
        self.old += 1
        return random.choice(self.pool)
