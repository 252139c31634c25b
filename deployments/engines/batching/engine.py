"""The chat model of many callers: one thread runs the steps, and every caller has a bounded buffer of his own.

A caller who reads slowly holds back only himself: what waits for him is at most his own answer. Knows how a
conversation becomes a prompt; leaves the order of work to the scheduler and llama.cpp to the layers below.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Condition, Thread
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from deployments.engines.batching.context import Context, Model, Shape
from deployments.engines.batching.mailbox import Mailbox, deliver
from deployments.engines.batching.pictures import Eye, Look
from deployments.engines.batching.scheduler import Prompt as Cells
from deployments.engines.batching.scheduler import Request, Sampling, Scheduler
from deployments.engines.prompt import Prompt, Spelled
from deployments.errors import EngineUnavailable, UnsupportedMedia
from deployments.messages import ChatEnd, ChatMessage, FinishReason, Image, TextDelta
from deployments.settings import ChatConfig, LlamaArgs, Settings, resolve
from deployments.threads import prepare

logger = logging.getLogger("ray.serve")


class Batching(Settings):
    """How many share the model, and how."""

    parallel: PositiveInt = Field(default=16, description="Conversations at once; each has a context of its own.")
    prefill_chunk: int = Field(
        default=128, ge=8, description="Tokens of a prompt read at once, at most; fewer while others are answered."
    )
    max_waiting: int = Field(default=64, ge=0, description="Requests that wait for a place; more are refused.")
    flash_attention: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Another way to compute attention: faster on a GPU, slower on a CPU, where answers then depend in "
        "the last digits on how a prompt was cut. auto is on with layers on a GPU, else off.",
    )


class BatchingChat:
    """One model, many conversations at once."""

    def __init__(self, args: LlamaArgs, batching: Batching | None = None) -> None:
        prepare(args)
        batching = batching or Batching()
        wanted = {"auto": args.gpu_layers != 0, "off": False, "on": True}
        flash_attention = wanted[batching.flash_attention]
        self._args = args
        self._model = Model(_file(args.model, args.repo_id), args.gpu_layers)
        self._eye = self._opened_eye(flash_attention)
        self._context = Context(
            self._model,
            Shape(
                batching.parallel,
                args.context_length,
                args.batch_size,
                args.threads,
                flash_attention,
                gap=batching.parallel if args.gpu_layers else 2,  # one more row is nearly free on a GPU
            ),
        )
        self._prompt = self._chosen_prompt()
        self._scheduler = Scheduler(
            self._context, chunk=batching.prefill_chunk, batch_size=args.batch_size, max_waiting=batching.max_waiting
        )
        self._scheduler.probe()
        self._readers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read")
        self._lookers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="look")
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

    @property
    def active(self) -> int:
        """Conversations that have a place."""
        return self._scheduler.active

    @property
    def waiting(self) -> int:
        """Conversations that wait for one."""
        return self._scheduler.waiting

    async def chat(
        self, messages: Sequence[ChatMessage], config: ChatConfig
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        cells = await self._read(messages)
        mailbox = Mailbox(asyncio.get_running_loop())
        with self._wake:
            if self._failure:
                raise self._failure
            request = Request(cells, config.max_tokens, config.stop, _sampling(config), mailbox)
            stream = self._scheduler.submit(request)
            self._wake.notify()
        try:
            finish: FinishReason | None = None
            while finish is None:
                text, finish = await self._taken(mailbox)
                if text:
                    yield TextDelta(text)
            yield ChatEnd(finish, len(cells.keys), stream.count)
        finally:
            self._scheduler.cancel(stream)

    async def check(self) -> None:
        """Waits for the end of a step: of one that is under way, or of a small one made for this."""
        probe: Future[None] = Future()
        with self._wake:
            if self._failure:
                raise self._failure
            self._probes.append(probe)
            self._wake.notify()
        try:
            await asyncio.wait_for(asyncio.wrap_future(probe), self._args.stall_timeout_s)
        except TimeoutError:
            raise self._hung() from None

    async def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join, self._args.stall_timeout_s)

    async def _read(self, messages: Sequence[ChatMessage]) -> Cells:
        """The conversation as the model reads it, made beside the steps; text does not wait for pictures."""
        pool = self._lookers if any(message.images for message in messages) else self._readers
        try:
            cells = pool.submit(self._cells, messages)
        except RuntimeError:  # the pool ended with the engine
            raise self._failure or EngineUnavailable("the engine is closed") from None
        return await asyncio.wrap_future(cells)

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
                    deliver([(p.stream.request.reader, p.text, p.finish) for p in self._scheduler.step()])
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
        deliver([(stream.request.reader, "", failure) for stream in streams])
        for probe in self._taken_probes():
            probe.set_exception(failure)
        for pool in (self._readers, self._lookers):
            pool.shutdown()
        if self._eye:
            self._eye.close()
        self._context.close()
        self._model.close()

    # --- what is loaded and how a conversation is read ----------------------------------------------------------------

    def _opened_eye(self, flash_attention: bool) -> Eye | None:
        if self._args.mmproj is None:
            return None
        return Eye(
            _file(self._args.mmproj, self._args.repo_id),
            self._model.handle,
            self._model.width,
            threads=self._args.threads,
            use_gpu=self._args.gpu_layers != 0,
            flash_attention=flash_attention,
        )

    def _chosen_prompt(self) -> Prompt:
        """The words around a conversation: given in the settings, a chat handler's, or those of the model's file."""
        from llama_cpp import llama_chat_format

        handler = {
            "llava-1-5": llama_chat_format.Llava15ChatHandler,
            "llava-1-6": llama_chat_format.Llava16ChatHandler,
            "nanollava": llama_chat_format.NanoLlavaChatHandler,
        }.get(self._args.chat_handler)
        own = handler.CHAT_FORMAT if handler else self._model.chat_template
        template = self._args.chat_template or own
        if template is None:
            raise ValueError(f"{self._args.model} has no chat template; give one as chat_template")
        vocabulary = self._model.vocabulary
        return Prompt(
            template,
            bos=vocabulary.bos_text,
            eos=vocabulary.eos_text,
            special=vocabulary.markers(template),
            in_parts=template is own and handler is not None,
            default_system=handler.DEFAULT_SYSTEM_MESSAGE if handler else None,
        )

    def _cells(self, messages: Sequence[ChatMessage]) -> Cells:
        vocabulary = self._model.vocabulary
        keys: list[NDArray[np.int64]] = []
        pictures: list[tuple[int, NDArray[np.float32]]] = []
        continued = False
        for part in self._prompt.parts(messages):
            if isinstance(part, Image):
                for look in self._looked(part):
                    if look.rows is not None:
                        pictures.append((sum(map(len, keys)), look.rows))
                    keys.append(look.keys)
            elif isinstance(part, Spelled):
                keys.append(vocabulary.spell(part.text))
            else:
                keys.append(vocabulary.read(part, continued))
            continued = not isinstance(part, Image)
        lead = vocabulary.lead(int(keys[0][0]) if keys and len(keys[0]) else None)
        return Cells(np.concatenate([lead, *keys]), tuple((at + len(lead), rows) for at, rows in pictures))

    def _looked(self, image: Image) -> list[Look]:
        if self._eye is None:
            raise UnsupportedMedia("this model reads no pictures", param="image")
        return self._eye.look(image)


def _sampling(config: ChatConfig) -> Sampling:
    return Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        min_p=config.min_p,
        repeat_penalty=config.repeat_penalty,
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
