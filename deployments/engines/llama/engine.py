"""The chat engine on llama.cpp: one model, one or several workers, and the limits of concurrent requests.

An executor thread builds a request's prompt, a worker generates the answer, and its text reaches the event loop through
an ``OutputQueue``. A client that reads slowly therefore delays no other client; its unread text is at most one answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from deployments.engines.llama.context import Context, ContextParams, Model
from deployments.engines.llama.decode_loop import DecodeLoop
from deployments.engines.llama.generation import Generation
from deployments.engines.llama.output import OutputQueue
from deployments.engines.llama.prompt import PromptBuilder
from deployments.engines.llama.request import Prompt, Request, Sampling
from deployments.engines.llama.scheduler import Scheduler
from deployments.engines.llama.schema import converted
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.engines.llama.vision import VisionEncoder
from deployments.engines.threads import SerialExecutor, prepare
from deployments.errors import EngineUnavailable, Overloaded
from deployments.messages import (
    ChatEnd,
    ChatMessage,
    ChatValue,
    FinishReason,
    JsonSchema,
    Load,
    MessagesDropped,
    TextDelta,
)
from deployments.settings import ChatConfig, model_path
from models.cache import not_downloaded

RETRY_AFTER_S = 1.0

MAX_FLASH_CHUNK = 60
"""Maximum prefill chunk with flash attention on a CPU. From 64 rows on (``GGML_FA_TILE_Q``) ggml uses another kernel,
whose rounding differs: an answer would depend on how its prompt is cut. 60 is a multiple of 4, the block size of ggml's
matrix products."""


class LlamaChat:
    """A ``ChatModel`` with continuous batching. Use it from one event loop at a time."""

    def __init__(self, args: LlamaArgs) -> None:
        """Raise ``FileNotFoundError`` or ``ValueError`` if a file of the model is missing or invalid."""
        prepare(args)
        self._args = args
        self._model = Model(_file(args.model, args, "model"), args.gpu_layers)
        self._vision = _vision_encoder(args, self._model)
        self._prompt_builder = PromptBuilder(args, self._model, self._vision)
        self._workers = [self._worker(index) for index in range(args.workers)]
        self._requests = 0
        # Two threads: encoding a picture takes long, and text does not wait for it.
        self._text_executor, self._picture_executor = SerialExecutor("llama-text"), SerialExecutor("llama-picture")
        self._running, self._lock = len(self._workers), Lock()
        for worker in self._workers:
            worker.start()

    @property
    def vision(self) -> bool:
        return self._vision is not None

    @property
    def produced(self) -> int:
        return sum(worker.scheduler.produced for worker in self._workers)

    def load(self) -> Load:
        active = sum(worker.scheduler.active for worker in self._workers)
        return Load(
            active=active,
            waiting=max(0, self._requests - active),
            slots=self._args.parallel,
            cache_used=sum(worker.scheduler.filled for worker in self._workers),
            cache_size=self._args.parallel * self._args.context_length,
        )

    async def chat(
        self, messages: Sequence[ChatMessage], config: ChatConfig, json_schema: JsonSchema | None = None
    ) -> AsyncGenerator[ChatValue, None]:
        """See ``ChatModel.chat``. ``json_schema`` replaces the grammar of ``config``, which is a ``LlamaConfig``.

        Raise ``Overloaded`` if all slots are in use and the queue is full, and ``InvalidRequest``, also after a part of
        the answer, if the schema is too complex.
        """
        assert isinstance(config, LlamaConfig)
        with self._admitted():
            output = OutputQueue(asyncio.get_running_loop())
            generation = await self._prepared(messages, config, json_schema, output)
            prompt = generation.request.prompt
            worker = self._best_worker(prompt)
            worker.submit(generation)
            try:
                if prompt.dropped_messages:
                    yield MessagesDropped(prompt.dropped_messages)
                finish: FinishReason | None = None
                while finish is None:
                    text, finish = await self._next_text(output)
                    if text:
                        yield TextDelta(text)
                yield ChatEnd(finish, len(prompt.keys), generation.count)
            finally:
                worker.scheduler.cancel(generation)  # also if another worker has it now

    async def check(self) -> None:
        """Wait until each worker ends its running step, or a step of one token if it is idle.

        Raise ``EngineUnavailable`` if that, or the preparation of a request, takes longer than ``stall_timeout_s``.
        """
        if max(self._text_executor.busy_s(), self._picture_executor.busy_s()) > self._args.stall_timeout_s:
            raise self._stalled()
        probes = [worker.probe() for worker in self._workers]
        try:
            async with asyncio.timeout(self._args.stall_timeout_s):
                await asyncio.gather(*map(asyncio.wrap_future, probes))
        except TimeoutError:
            raise self._stalled() from None

    async def close(self) -> None:
        for worker in self._workers:
            worker.stop(EngineUnavailable("the engine is closed"))
        for worker in self._workers:
            await asyncio.to_thread(worker.join, self._args.stall_timeout_s)

    def _worker(self, index: int) -> DecodeLoop:
        context = Context(self._model, _context_params(self._args, index))
        scheduler = Scheduler(context, chunk=_chunk(self._args), batch_size=self._args.batch_size)
        return DecodeLoop(f"llama-{index}", context, scheduler, steal=self._pop_waiting, ended=self._worker_ended)

    def _best_worker(self, prompt: Prompt) -> DecodeLoop:
        if len(self._workers) == 1:  # ``affinity`` compares the prompt with every slot
            return self._workers[0]
        return max(self._workers, key=lambda worker: worker.scheduler.affinity(prompt))

    def _pop_waiting(self) -> Generation | None:
        """Remove and return a generation from the queue of any worker, if there is one."""
        return next(filter(None, (worker.scheduler.pop_waiting() for worker in self._workers)), None)

    def _worker_ended(self, failure: EngineUnavailable) -> None:
        """Stop the other workers; release what all of them use when the last one has ended."""
        for worker in self._workers:
            worker.stop(failure)
        with self._lock:
            self._running -= 1
            if self._running:
                return
        for executor in (self._text_executor, self._picture_executor):
            executor.close(wait=True)
        if self._vision:
            self._vision.close()
        self._model.close()

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Count a request. Raise ``Overloaded`` if there are as many as slots and queue positions."""
        if self._requests >= self._args.parallel + self._args.max_waiting:
            raise Overloaded("the engine's queue is full", retry_after_s=RETRY_AFTER_S)
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def _prepared(
        self, messages: Sequence[ChatMessage], config: LlamaConfig, json_schema: JsonSchema | None, output: OutputQueue
    ) -> Generation:
        """Return a generation for any worker; what takes long is done in another thread."""

        def prepare() -> Generation:
            drop = config.context_overflow == "drop"
            prompt = self._prompt_builder.build(messages, config.max_tokens, drop=drop)
            request = Request(prompt, config.max_tokens, config.stop, _sampling(config, json_schema), output)
            return self._workers[0].scheduler.new_generation(request)

        has_pictures = any(message.images for message in messages)
        executor = self._picture_executor if has_pictures else self._text_executor
        try:
            prepared = executor.submit(prepare)
        except RuntimeError:  # the executor is closed
            raise self._workers[0].failure or EngineUnavailable("the engine is closed") from None
        return await asyncio.wrap_future(prepared)

    async def _next_text(self, output: OutputQueue) -> tuple[str, FinishReason | None]:
        """Wait for text or the end. Raise ``EngineUnavailable`` if the engine stalls."""
        while not await output.wait(self._args.stall_timeout_s):
            if max(worker.stalled_s for worker in self._workers) > self._args.stall_timeout_s:
                raise self._stalled()
        return output.take()

    def _stalled(self) -> EngineUnavailable:
        return EngineUnavailable(f"the engine has made no progress for over {self._args.stall_timeout_s:g} s")


def _vision_encoder(args: LlamaArgs, model: Model) -> VisionEncoder | None:
    if args.mmproj is None:
        return None
    return VisionEncoder(
        _file(args.mmproj, args, "mmproj"),
        model.handle,
        model.width,
        threads=args.batch_threads or args.threads,
        use_gpu=args.gpu_layers != 0,
        flash_attention=args.flash_attention,
    )


def _context_params(args: LlamaArgs, worker: int) -> ContextParams:
    return ContextParams(
        slots=len(range(worker, args.parallel, args.workers)),
        context_length=args.context_length,
        batch_size=args.batch_size,
        threads=args.threads,
        batch_threads=args.batch_threads or args.threads,
        flash_attention=args.flash_attention,
        max_gap=16 if args.gpu_layers else 2,  # on a GPU one more batch takes as long as some 20 more tokens
        fill_blocks=not args.gpu_layers,
    )


def _chunk(args: LlamaArgs) -> int:
    """Return the maximum prefill chunk of one prompt."""
    limited = args.flash_attention and not args.gpu_layers
    return min(args.prefill_chunk, MAX_FLASH_CHUNK) if limited else args.prefill_chunk


def _sampling(config: LlamaConfig, schema: JsonSchema | None) -> Sampling:
    return Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        min_p=config.min_p,
        repeat_penalty=config.repeat_penalty,
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        grammar=None if schema else config.grammar,
        schema=converted(schema) if schema else None,
        schema_param=schema.param if schema else "",
        seed=random.getrandbits(32) if config.seed is None else config.seed % 2**32,
    )


def _file(name: str, args: LlamaArgs, setting: str) -> Path:
    """Return the path of the file that ``setting`` names, in the hub's cache if ``repo_id`` is set.

    Raise ``FileNotFoundError``, or ``models.errors.NotPulled`` for a file that has not been pulled.
    """
    if args.repo_id is None:
        path = model_path(name, setting)
        if not path.is_file():
            raise FileNotFoundError(f"no such model file: {path}")
        return path
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(args.repo_id, name, revision=args.revision, local_files_only=True))
    except FileNotFoundError:
        raise not_downloaded(f"{name} of {args.repo_id} on the model hub") from None
