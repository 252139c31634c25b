"""The chat model of many callers: one thread runs the steps, and every caller has a bounded buffer of his own.

A caller who reads slowly holds back only himself: what waits for him is at most his own answer. Conversations are made
ready beside the steps. Leaves the order of work to the scheduler and llama.cpp to the layers below.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread

from deployments.engines.llama.context import Context, Model, Shape
from deployments.engines.llama.mailbox import Mailbox, deliver
from deployments.engines.llama.pictures import Eye
from deployments.engines.llama.reader import Reader
from deployments.engines.llama.scheduler import Prompt, Request, Sampling, Scheduler
from deployments.errors import EngineUnavailable, Overloaded
from deployments.messages import ChatEnd, ChatMessage, FinishReason, Load, TextDelta
from deployments.settings import ChatConfig, LlamaArgs, resolve
from deployments.threads import Lane, prepare

logger = logging.getLogger("ray.serve")

READ_ALIKE = 60
"""On a CPU, flash attention over 64 tokens and more takes another way, whose last digits differ: an answer would depend
on how its prompt was cut. Sixty are a multiple of four, by which a CPU multiplies."""


class LlamaChat:
    """One model, many conversations at once. To be used from one event loop at a time."""

    def __init__(self, args: LlamaArgs) -> None:
        prepare(args)
        self._args = args
        self._model = Model(_file(args.model, args.repo_id), args.gpu_layers)
        self._eye = _opened_eye(args, self._model)
        self._reader = Reader(args, self._model, self._eye)
        self._context = Context(self._model, _shape(args))
        self._scheduler = Scheduler(self._context, chunk=_chunk(args), batch_size=args.batch_size)
        self._scheduler.probe()
        self._callers = 0
        self._texts, self._pictures = Lane("read"), Lane("look")  # text does not wait for pictures
        self._wake = Condition()
        self._probes: list[Future[None]] = []
        self._closing = False
        self._failure: EngineUnavailable | None = None
        self._beat = time.monotonic()
        self._thread = Thread(target=self._work, name="llama", daemon=True)
        self._thread.start()

    @property
    def vision(self) -> bool:
        return self._eye is not None

    @property
    def produced(self) -> int:
        return self._scheduler.produced

    def load(self) -> Load:
        active = self._scheduler.active
        return Load(
            active=active,
            waiting=max(0, self._callers - active),
            slots=self._context.slots,
            cache_used=self._scheduler.filled,
            cache_size=self._context.slots * self._context.context_length,
        )

    async def chat(
        self, messages: Sequence[ChatMessage], config: ChatConfig
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        """Raises ``Overloaded`` at once where every place is taken, the waiting ones too."""
        with self._admitted():
            prompt = await self._read(messages)
            mailbox = Mailbox(asyncio.get_running_loop())
            with self._wake:
                if self._failure:
                    raise self._failure
                request = Request(prompt, config.max_tokens, config.stop, _sampling(config), mailbox)
                stream = self._scheduler.submit(request)
                self._wake.notify()
            try:
                finish: FinishReason | None = None
                while finish is None:
                    text, finish = await self._taken(mailbox)
                    if text:
                        yield TextDelta(text)
                yield ChatEnd(finish, len(prompt.keys), stream.count)
            finally:
                self._scheduler.cancel(stream)

    async def check(self) -> None:
        """Waits for the end of a step: of one that is under way, or of a small one made for this."""
        if max(self._texts.busy_s(), self._pictures.busy_s()) > self._args.stall_timeout_s:
            raise self._hung()
        probe: Future[None] = Future()
        with self._wake:
            if self._failure:
                raise self._failure
            self._probes.append(probe)
            self._wake.notify()
        try:
            async with asyncio.timeout(self._args.stall_timeout_s):
                await asyncio.wrap_future(probe)
        except TimeoutError:
            raise self._hung() from None

    async def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join, self._args.stall_timeout_s)

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """A caller's place, from his conversation's being read to the end of his answer."""
        if self._callers >= self._context.slots + self._args.max_waiting:
            raise Overloaded("every place of the model is taken; try again soon", retry_after_s=1)
        self._callers += 1
        try:
            yield
        finally:
            self._callers -= 1

    async def _read(self, messages: Sequence[ChatMessage]) -> Prompt:
        lane = self._pictures if any(message.images for message in messages) else self._texts
        try:
            prompt = lane.submit(lambda: self._reader.read(messages))
        except RuntimeError:  # the lane ended with the engine
            raise self._failure or EngineUnavailable("the engine is closed") from None
        return await asyncio.wrap_future(prompt)

    async def _taken(self, mailbox: Mailbox) -> tuple[str, FinishReason | None]:
        """What has come for a caller; waits as long as the engine shows signs of life."""
        while not await mailbox.wait(self._args.stall_timeout_s):
            if time.monotonic() - self._beat > self._args.stall_timeout_s:
                raise self._hung()
        return mailbox.take()

    def _hung(self) -> EngineUnavailable:
        return EngineUnavailable(f"the engine has been silent for over {self._args.stall_timeout_s:g} s")

    # --- the thread of the steps --------------------------------------------------------------------------------------

    def _work(self) -> None:
        failure = EngineUnavailable("the engine is closed")
        try:
            while self._awaited():
                for probe in self._taken_probes():
                    self._scheduler.probe()
                    probe.set_result(None)
                if self._scheduler.busy:
                    deliver([(one.request.reader, one.text, one.finish) for one in self._scheduler.step()])
                self._beat = time.monotonic()
        except Exception:
            logger.exception("the loop of the model failed")
            failure = EngineUnavailable("the model failed; it must be loaded again")
        self._end(failure)

    def _awaited(self) -> bool:
        """Waits for work; false when the engine is to end."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing or self._probes or self._scheduler.busy)
            self._beat = time.monotonic()
            return not self._closing

    def _taken_probes(self) -> list[Future[None]]:
        with self._wake:
            probes, self._probes = self._probes, []
        return [probe for probe in probes if probe.set_running_or_notify_cancel()]

    def _end(self, failure: EngineUnavailable) -> None:
        """Tell everybody, and give back what the library holds."""
        with self._wake:
            self._failure = failure
            streams = self._scheduler.clear()
        deliver([(stream.request.reader, stream.text, failure) for stream in streams])
        for probe in self._taken_probes():
            probe.set_exception(failure)
        for lane in (self._texts, self._pictures):
            lane.close(wait=True)
        if self._eye:
            self._eye.close()
        self._context.close()
        self._model.close()


def _opened_eye(args: LlamaArgs, model: Model) -> Eye | None:
    if args.mmproj is None:
        return None
    return Eye(
        _file(args.mmproj, args.repo_id),
        model.handle,
        model.width,
        threads=args.batch_threads or args.threads,
        use_gpu=args.gpu_layers != 0,
        flash_attention=args.flash_attention,
    )


def _shape(args: LlamaArgs) -> Shape:
    return Shape(
        slots=args.parallel,
        context_length=args.context_length,
        batch_size=args.batch_size,
        threads=args.threads,
        batch_threads=args.batch_threads or args.threads,
        flash_attention=args.flash_attention,
        gap=16 if args.gpu_layers else 2,  # on a GPU a pass costs as much as some 20 rows more
        blocks=not args.gpu_layers,
    )


def _chunk(args: LlamaArgs) -> int:
    """The most that is read of one prompt at once."""
    alike = args.flash_attention and not args.gpu_layers
    return min(args.prefill_chunk, READ_ALIKE) if alike else args.prefill_chunk


def _sampling(config: ChatConfig) -> Sampling:
    return Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        min_p=config.min_p,
        repeat_penalty=config.repeat_penalty,
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        grammar=config.grammar,
        seed=random.getrandbits(32) if config.seed is None else config.seed % 2**32,
    )


def _file(name: str, repo_id: str | None) -> Path:
    """The local path of a model's file, fetched from the hub if ``repo_id`` says so."""
    if repo_id is None:
        path = resolve(name)
        if not path.is_file():
            raise FileNotFoundError(f"there is no model file {path}")
        return path
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repo_id, name))
