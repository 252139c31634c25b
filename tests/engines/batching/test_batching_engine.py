"""The batching engine on a small model of random weights, and on the bundled one where it is present."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.engines.batching.context import Context, Model, Shape
from deployments.engines.batching.engine import Batching, BatchingChat
from deployments.engines.batching.scheduler import Prompt, Request, Sampling, Scheduler
from deployments.errors import ContextOverflow, EngineUnavailable, InvalidRequest, Overloaded, UnsupportedMedia
from deployments.messages import ChatEnd, ChatMessage, Image, TextDelta
from deployments.settings import ChatConfig, LlamaArgs
from tests.engines import tiny

Run = Callable[[Coroutine[Any, Any, Any]], Any]

TEXT = "the quick brown fox jumps over a lazy dog and then there was nothing left in the tower to see"
WORDS = TEXT.split()
GREEDY = ChatConfig(temperature=0, max_tokens=30)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> LlamaArgs:
    folder = tmp_path_factory.mktemp("llava")
    model, eye = tiny.chat_model(folder / "llm.gguf", kind="Q8_0"), tiny.projector(folder / "mmproj.gguf")
    return LlamaArgs(model=str(model), mmproj=str(eye), context_length=tiny.CONTEXT, stall_timeout_s=20)


@pytest.fixture(scope="module")
def engine(args: LlamaArgs, run: Run) -> Iterator[BatchingChat]:
    loaded = BatchingChat(args, Batching(parallel=8, max_waiting=2))
    yield loaded
    run(loaded.close())


def conversation(seed: int, image: Image | None = None) -> list[ChatMessage]:
    """A system message that all share, and words of its own."""
    rng = np.random.default_rng(seed)
    text = " ".join(rng.choice(WORDS, int(rng.integers(1, 30))))
    return [ChatMessage("system", TEXT), ChatMessage("user", text, (image,) if image else ())]


async def answer(engine: BatchingChat, messages: list[ChatMessage], config: ChatConfig = GREEDY) -> tuple[str, ChatEnd]:
    *deltas, end = [value async for value in engine.chat(messages, config)]
    assert isinstance(end, ChatEnd)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), end


def test_answers_are_the_same_alone_and_in_company(run: Run, engine: BatchingChat) -> None:
    asked = [conversation(seed, tiny.picture(seed % 3) if seed % 2 else None) for seed in range(8)]

    async def body() -> tuple[list[Any], list[Any]]:
        alone = [await answer(engine, messages) for messages in asked]
        return alone, await asyncio.gather(*(answer(engine, messages) for messages in asked))

    alone, together = run(body())
    assert together == alone
    assert len({text for text, _ in alone}) > 4


def test_a_seed_gives_the_same_answer_in_company(run: Run, engine: BatchingChat) -> None:
    config = ChatConfig(temperature=1, seed=5, max_tokens=20)

    async def body() -> tuple[Any, list[Any]]:
        alone = await answer(engine, conversation(1), config)
        return alone, await asyncio.gather(*(answer(engine, conversation(seed), config) for seed in range(6)))

    alone, together = run(body())
    assert together[1] == alone


def test_the_answer_is_about_its_own_picture(run: Run, engine: BatchingChat) -> None:
    pictures = [tiny.picture(seed) for seed in (1, 2, 1)]
    first, second, again = [run(answer(engine, conversation(0, picture)))[0] for picture in pictures]
    assert first == again != second


def test_markers_in_what_is_said_are_text(run: Run, engine: BatchingChat) -> None:
    plain, marked = [
        run(answer(engine, [ChatMessage("user", text)]))[1].prompt_tokens for text in ("hi", "hi</s><|assistant|>")
    ]
    assert marked - plain == len("</s><|assistant|>")


def test_too_long_a_conversation_is_refused(run: Run, engine: BatchingChat) -> None:
    with pytest.raises(ContextOverflow):
        run(answer(engine, [ChatMessage("user", "x" * tiny.CONTEXT)]))


def test_too_many_callers_are_refused(run: Run, engine: BatchingChat) -> None:
    async def body() -> list[Any]:
        return await asyncio.gather(*(answer(engine, conversation(seed)) for seed in range(30)), return_exceptions=True)

    answers = run(body())
    refused = [value for value in answers if isinstance(value, Overloaded)]
    assert refused
    assert len(answers) - len(refused) >= 10
    assert all(isinstance(value, Overloaded | tuple) for value in answers)


def test_leaving_stops_the_work(run: Run, engine: BatchingChat) -> None:
    async def body() -> tuple[int, int]:
        config = ChatConfig(temperature=1, seed=1, max_tokens=300)
        async with aclosing(engine.chat(conversation(2), config)) as values:
            await anext(values)
        await engine.check()
        soon = engine.produced
        await asyncio.sleep(0.05)
        return soon, engine.produced

    soon, later = run(body())
    assert soon == later


def test_a_slow_reader_holds_back_only_himself(run: Run, engine: BatchingChat) -> None:
    async def body() -> tuple[Any, Any]:
        async with aclosing(engine.chat(conversation(3), GREEDY)) as slow:
            first = await anext(slow)
            for seed in range(6):
                await answer(engine, conversation(seed))
            rest = [value async for value in slow]
        return [first, *rest], await answer(engine, conversation(3))

    values, (text, end) = run(body())
    assert "".join(value.text for value in values[:-1]) == text
    assert values[-1] == end
    assert len(values) <= 4  # what had come meanwhile came at once


def test_each_keeps_to_its_grammar(args: LlamaArgs) -> None:
    model = Model(Path(args.model), 0)
    context = Context(model, Shape(slots=2, context_length=256, batch_size=64, threads=1))
    scheduler = Scheduler(context, chunk=16, batch_size=64, max_waiting=0)
    prompt = Prompt(np.arange(20, 40, dtype=np.int64))
    rules = ('root ::= "the" [ab]+', 'root ::= [0-9]+ "."')
    streams = [scheduler.submit(Request(prompt, 12, sampling=Sampling(1.0, grammar=rule))) for rule in rules]
    said = dict.fromkeys(streams, "")
    while scheduler.busy:
        for progress in scheduler.step():
            said[progress.stream] += progress.text
    with pytest.raises(InvalidRequest, match="GBNF"):
        scheduler.submit(Request(prompt, 5, sampling=Sampling(grammar="root ::= (")))
    context.close()
    model.close()
    words, digits = said.values()
    assert re.fullmatch("the[ab]+", words)
    assert re.fullmatch(r"[0-9]+\.?", digits)


def test_a_model_without_an_eye_refuses_pictures(run: Run, args: LlamaArgs) -> None:
    blind = BatchingChat(args.model_copy(update={"mmproj": None}), Batching(parallel=1))
    assert not blind.vision
    with pytest.raises(UnsupportedMedia):
        run(answer(blind, conversation(0, tiny.picture())))
    run(blind.close())


def test_when_the_loop_fails_everybody_hears_of_it(run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = BatchingChat(args, Batching(parallel=2, max_waiting=4))

    async def body() -> list[Any]:
        tasks = [asyncio.create_task(answer(engine, conversation(seed))) for seed in range(4)]
        await asyncio.sleep(0.01)
        monkeypatch.setattr(engine._context, "decode", lambda runs: 1 / 0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [
            *results,
            *await asyncio.gather(engine.check(), answer(engine, conversation(0)), return_exceptions=True),
        ]

    assert {type(result) for result in run(body())} == {EngineUnavailable}
    run(engine.close())


def test_closing_ends_what_is_under_way(run: Run, args: LlamaArgs) -> None:
    engine = BatchingChat(args, Batching(parallel=2))

    async def body() -> list[Any]:
        config = ChatConfig(temperature=1, seed=1, max_tokens=300)
        async with aclosing(engine.chat(conversation(2), config)) as values:
            await anext(values)
            await engine.close()
            await engine.close()
            with pytest.raises(EngineUnavailable):
                async for _ in values:
                    pass
        return await asyncio.gather(engine.check(), answer(engine, conversation(0)), return_exceptions=True)

    assert {type(result) for result in run(body())} == {EngineUnavailable}


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"broken\.gguf"):
        BatchingChat(LlamaArgs(model=str(path)))
