"""The thread of one worker: runs the scheduler's steps and sends the text of each to its event loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread

from deployments.engines.llama.context import Context
from deployments.engines.llama.generation import Generation
from deployments.engines.llama.output import Delta, send
from deployments.engines.llama.scheduler import Scheduler
from deployments.errors import EngineUnavailable

logger = logging.getLogger("ray.serve")


class DecodeLoop:
    """One worker: a llama.cpp context, its scheduler, and the thread that runs its steps.

    It runs from ``start`` until ``stop`` or until the model fails. Any thread may call the methods, but ``start`` only
    once. ``Scheduler`` says which of its methods other threads may call.
    """

    def __init__(
        self,
        name: str,
        context: Context,
        scheduler: Scheduler,
        *,
        steal: Callable[[], Generation | None],
        ended: Callable[[EngineUnavailable], None],
    ) -> None:
        """The thread calls both functions.

        ``steal`` is called when a slot is free; it returns a generation from the queue of any worker, if there is one.
        ``ended`` is called once, after the context is released.
        """
        self.context = context
        self.scheduler = scheduler
        self._steal = steal
        self._ended = ended
        self._wake = Condition()
        self._probes: list[Future[None]] = []
        self._deltas: list[Delta] = []  # of the last step
        self.failure: EngineUnavailable | None = None
        self._progress_at = time.monotonic()
        self._thread = Thread(target=self._work, name=name, daemon=True)

    @property
    def stalled_s(self) -> float:
        """Seconds since the last step ended or work arrived; 0 without work."""
        return time.monotonic() - self._progress_at if self.scheduler.busy else 0.0

    def start(self) -> None:
        """Compute one token as a test of the model, then start the thread."""
        self.scheduler.probe()
        self._thread.start()

    def submit(self, generation: Generation) -> None:
        """Queue a generation whose request has an ``OutputQueue`` as its ``output``.

        Raise ``EngineUnavailable`` after the loop's end.
        """
        with self._wake:
            if self.failure:
                raise self.failure
            self.scheduler.submit(generation)
            self._wake.notify()

    def probe(self) -> Future[None]:
        """Return a future that is done after the running step, or after a step of one token if the loop is idle.

        Raise ``EngineUnavailable`` after the loop's end; the future raises it if the model fails.
        """
        probe: Future[None] = Future()
        with self._wake:
            if self.failure:
                raise self.failure
            self._probes.append(probe)
            self._wake.notify()
        return probe

    def stop(self, failure: EngineUnavailable) -> None:
        """End the loop after the running step; open requests raise ``failure``. A second call has no effect."""
        with self._wake:
            self.failure = self.failure or failure
            self._wake.notify()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            while self._wait_for_work():
                for probe in self._take_probes():
                    self.scheduler.probe()
                    probe.set_result(None)
                if self.scheduler.busy:
                    advanced = self.scheduler.step(self._send_deltas)
                    self._deltas += [Delta(one.request.output, one.take_text, one.finish) for one in advanced]
                if self.scheduler.has_free_slot and (generation := self._steal()):
                    self.scheduler.submit(generation)
                if not self.scheduler.busy:
                    self._send_deltas()
                self._progress_at = time.monotonic()
        except Exception:
            logger.exception("the decode loop failed")
            self.stop(EngineUnavailable("the model failed and has to be loaded again"))
        self._end()

    def _send_deltas(self) -> None:
        """Send the text of the last step; during the next step if a GPU computes it."""
        deltas, self._deltas = self._deltas, []
        send(deltas)

    def _wait_for_work(self) -> bool:
        """Wait for a request or a probe; return false if the loop has to end."""
        with self._wake:
            self._wake.wait_for(lambda: self.failure or self._probes or self.scheduler.busy)
            self._progress_at = time.monotonic()
            return self.failure is None

    def _take_probes(self) -> list[Future[None]]:
        with self._wake:
            probes, self._probes = self._probes, []
        return [probe for probe in probes if probe.set_running_or_notify_cancel()]

    def _end(self) -> None:
        """Send the failure to all open requests and probes, and release the context."""
        with self._wake:
            failure, generations = self.failure, self.scheduler.clear()
        assert failure is not None
        self._send_deltas()
        send([Delta(one.request.output, one.take_text, failure) for one in generations])
        for probe in self._take_probes():
            probe.set_exception(failure)
        self.context.close()
        self._ended(failure)
