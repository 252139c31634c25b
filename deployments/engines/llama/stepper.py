"""A context at work: a thread of its own makes one step after another, and sends off what came of each.

Leaves the order of work to the scheduler and llama.cpp to the context. What it shares with others, it leaves alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread

from deployments.engines.llama.context import Context
from deployments.engines.llama.output import Letter, deliver
from deployments.engines.llama.scheduler import Request, Scheduler, Stream
from deployments.errors import EngineUnavailable

logger = logging.getLogger("ray.serve")


class Stepper:
    """Works from ``start`` until ``stop``, or until its model fails. All but ``start`` may be called from any thread.

    ``scheduler`` is there for what it allows any thread; the rest of it belongs to this one's.
    """

    def __init__(
        self,
        name: str,
        context: Context,
        scheduler: Scheduler,
        *,
        relieve: Callable[[], Stream | None],
        ended: Callable[[EngineUnavailable], None],
    ) -> None:
        """The thread calls both: ``relieve`` when it could do more, for one who waits elsewhere if there is one; and
        ``ended`` once, when nothing of the context is left.
        """
        self.context = context
        self.scheduler = scheduler
        self._relieve = relieve
        self._ended = ended
        self._wake = Condition()
        self._probes: list[Future[None]] = []
        self._letters: list[Letter] = []  # what came of the last step
        self.failure: EngineUnavailable | None = None
        self._beat = time.monotonic()
        self._thread = Thread(target=self._work, name=name, daemon=True)

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life, while there is work; else 0."""
        return time.monotonic() - self._beat if self.scheduler.busy else 0.0

    def start(self) -> None:
        """Begin, with a small step that shows whether the model works at all."""
        self.scheduler.probe()
        self._thread.start()

    def submit(self, request: Request) -> Stream:
        """Take a request in, whose ``reader`` is a mailbox.

        Raises ``EngineUnavailable`` after its end, ``ContextOverflow``, or ``InvalidRequest`` for its sampling.
        """
        with self._wake:
            if self.failure:
                raise self.failure
            stream = self.scheduler.submit(request)
            self._wake.notify()
        return stream

    def probe(self) -> Future[None]:
        """Done at the end of a step: of one that is under way, or of a small one made for this.

        Raises ``EngineUnavailable`` after its end.
        """
        probe: Future[None] = Future()
        with self._wake:
            if self.failure:
                raise self.failure
            self._probes.append(probe)
            self._wake.notify()
        return probe

    def stop(self, failure: EngineUnavailable) -> None:
        """End after the step in hand; ``failure`` is what everybody is told. Idempotent: the first one counts."""
        with self._wake:
            self.failure = self.failure or failure
            self._wake.notify()

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout_s)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while self._awaited():
                for probe in self._taken_probes():
                    self.scheduler.probe()
                    probe.set_result(None)
                if self.scheduler.busy:
                    spoke = self.scheduler.step(self._deliver)
                    self._letters += [(one.request.reader, one.text, one.finish) for one in spoke]
                if self.scheduler.idle and (stream := self._relieve()):
                    self.scheduler.adopt(stream)
                if not self.scheduler.busy:
                    self._deliver()
                self._beat = time.monotonic()
        except Exception:
            logger.exception("the loop of the model failed")
            self.stop(EngineUnavailable("the model failed; it must be loaded again"))
        self._end()

    def _deliver(self) -> None:
        """Send what came of the last step, while the next is made if that is done elsewhere."""
        letters, self._letters = self._letters, []
        deliver(letters)

    def _awaited(self) -> bool:
        """Waits for work; false when this is to end."""
        with self._wake:
            self._wake.wait_for(lambda: self.failure or self._probes or self.scheduler.busy)
            self._beat = time.monotonic()
            return self.failure is None

    def _taken_probes(self) -> list[Future[None]]:
        with self._wake:
            probes, self._probes = self._probes, []
        return [probe for probe in probes if probe.set_running_or_notify_cancel()]

    def _end(self) -> None:
        """Tell everybody, and give back what the library holds."""
        with self._wake:
            failure, streams = self.failure, self.scheduler.clear()
        assert failure is not None
        self._deliver()
        deliver([(stream.request.reader, stream.text, failure) for stream in streams])
        for probe in self._taken_probes():
            probe.set_exception(failure)
        self.context.close()
        self._ended(failure)
