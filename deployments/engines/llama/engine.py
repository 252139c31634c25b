"""The chat model of many callers: their conversations are shared out to steppers, and each has a bounded buffer.

A caller who reads slowly holds back only himself: what waits for him is at most his own answer. Conversations are made
ready beside the steps. Leaves the order of work to the schedulers and llama.cpp to the layers below.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from deployments.engines.llama.context import Context, Model, Shape
from deployments.engines.llama.output import Mailbox
from deployments.engines.llama.vision import Eye
from deployments.engines.llama.prompt import Reader
from deployments.engines.llama.scheduler import Prompt, Request, Sampling, Scheduler, Stream
from deployments.engines.llama.stepper import Stepper
from deployments.errors import EngineUnavailable, Overloaded
from deployments.messages import ChatEnd, ChatMessage, FinishReason, Load, TextDelta
from deployments.settings import ChatConfig, LlamaArgs, resolve
from deployments.engines.threads import Lane, prepare

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
        self._steppers = [self._stepper(worker) for worker in range(args.workers)]
        self._callers = 0
        self._texts, self._pictures = Lane("read"), Lane("look")  # text does not wait for pictures
        self._running, self._lock = len(self._steppers), Lock()
        for stepper in self._steppers:
            stepper.start()

    @property
    def vision(self) -> bool:
        return self._eye is not None

    @property
    def produced(self) -> int:
        return sum(stepper.scheduler.produced for stepper in self._steppers)

    def load(self) -> Load:
        active = sum(stepper.scheduler.active for stepper in self._steppers)
        return Load(
            active=active,
            waiting=max(0, self._callers - active),
            slots=self._args.parallel,
            cache_used=sum(stepper.scheduler.filled for stepper in self._steppers),
            cache_size=self._args.parallel * self._args.context_length,
        )

    async def chat(
        self, messages: Sequence[ChatMessage], config: ChatConfig
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        """Raises ``Overloaded`` at once where every place is taken, the waiting ones too."""
        with self._admitted():
            prompt = await self._read(messages)
            mailbox = Mailbox(asyncio.get_running_loop())
            best = self._best(prompt)
            stream = best.submit(Request(prompt, config.max_tokens, config.stop, _sampling(config), mailbox))
            try:
                finish: FinishReason | None = None
                while finish is None:
                    text, finish = await self._taken(mailbox)
                    if text:
                        yield TextDelta(text)
                yield ChatEnd(finish, len(prompt.keys), stream.count)
            finally:
                best.scheduler.cancel(stream)  # whoever has it now

    async def check(self) -> None:
        """Waits for the end of a step of each stepper: of one that is under way, or of a small one made for this."""
        if max(self._texts.busy_s(), self._pictures.busy_s()) > self._args.stall_timeout_s:
            raise self._hung()
        probes = [stepper.probe() for stepper in self._steppers]
        try:
            async with asyncio.timeout(self._args.stall_timeout_s):
                await asyncio.gather(*map(asyncio.wrap_future, probes))
        except TimeoutError:
            raise self._hung() from None

    async def close(self) -> None:
        for stepper in self._steppers:
            stepper.stop(EngineUnavailable("the engine is closed"))
        for stepper in self._steppers:
            await asyncio.to_thread(stepper.join, self._args.stall_timeout_s)

    def _stepper(self, worker: int) -> Stepper:
        """One of ``workers``, with its share of the conversations."""
        context = Context(self._model, _shape(self._args, worker))
        scheduler = Scheduler(context, chunk=_chunk(self._args), batch_size=self._args.batch_size)
        return Stepper(f"llama-{worker}", context, scheduler, relieve=self._waiting, ended=self._ended)

    def _best(self, prompt: Prompt) -> Stepper:
        """The one that ``prompt`` suits best; a choice looks through every slot."""
        if len(self._steppers) == 1:
            return self._steppers[0]
        return max(self._steppers, key=lambda stepper: stepper.scheduler.suits(prompt))

    def _waiting(self) -> Stream | None:
        """One who waits for any of the steppers, and no longer for that one."""
        return next(filter(None, (stepper.scheduler.hand_over() for stepper in self._steppers)), None)

    def _ended(self, failure: EngineUnavailable) -> None:
        """A stepper has ended, and so do the others; the last gives back what they shared."""
        for stepper in self._steppers:
            stepper.stop(failure)
        with self._lock:
            self._running -= 1
            if self._running:
                return
        for lane in (self._texts, self._pictures):
            lane.close(wait=True)
        if self._eye:
            self._eye.close()
        self._model.close()

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """A caller's place, from his conversation's being read to the end of his answer."""
        if self._callers >= self._args.parallel + self._args.max_waiting:
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
            raise self._steppers[0].failure or EngineUnavailable("the engine is closed") from None
        return await asyncio.wrap_future(prompt)

    async def _taken(self, mailbox: Mailbox) -> tuple[str, FinishReason | None]:
        """What has come for a caller; waits as long as all who have work show signs of life."""
        while not await mailbox.wait(self._args.stall_timeout_s):
            if max(stepper.silent_s for stepper in self._steppers) > self._args.stall_timeout_s:
                raise self._hung()
        return mailbox.take()

    def _hung(self) -> EngineUnavailable:
        return EngineUnavailable(f"the engine has been silent for over {self._args.stall_timeout_s:g} s")


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


def _shape(args: LlamaArgs, worker: int) -> Shape:
    return Shape(
        slots=len(range(worker, args.parallel, args.workers)),
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
