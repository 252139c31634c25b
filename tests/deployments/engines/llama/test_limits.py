"""What one caller's schema or text may cost the others, with the bundled model. Time is that of the processor.

Each test runs in a process with a limit of its processor time, as without the limits of the engine some of the
requests would take minutes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.engines.llama.engine import LlamaChat
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.errors import ContextOverflow, InvalidRequest, ParleyError
from deployments.messages import ChatMessage, JsonSchema, TextDelta
from deployments.settings import resolve
from graphs.settings import POCKET_LLM
from tests.deployments.engines.llama.schemas import COSTLY, ORDINARY

ARGS = LlamaArgs.model_validate(POCKET_LLM)
STORY = "Tell me a long story about a dog and a cat."

pytestmark = pytest.mark.skipif(not resolve(ARGS.model).is_file(), reason="the bundled model is missing")


def in_a_process(body: Callable[..., None], *args: Any, cpu_s: int) -> None:
    """Run a function in a new process; fail if it raises or needs more processor time."""
    process = multiprocessing.get_context("spawn").Process(target=_limited, args=(body, args, cpu_s))
    process.start()
    process.join(600)
    process.kill()
    process.join()
    assert process.exitcode == 0


def _limited(body: Callable[..., None], args: tuple[Any, ...], cpu_s: int) -> None:
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + cpu_s, used + cpu_s))
    body(*args)


async def answer(engine: LlamaChat, text: str, schema: Any = None, tokens: int = 100) -> str | ParleyError:
    """Return the text, or the error."""
    json_schema = None if schema is None else JsonSchema(schema, "p")
    config = LlamaConfig(max_tokens=tokens, temperature=1.0, seed=3)
    try:
        values = [value async for value in engine.chat([ChatMessage("user", text)], config, json_schema)]
    except ParleyError as error:
        return error
    return "".join(value.text for value in values if isinstance(value, TextDelta))


def answers_to(schemas: list[Any]) -> None:
    """Check that each answer ends, and that a plain answer is as before."""

    async def body() -> None:
        engine = LlamaChat(ARGS)
        before = await answer(engine, STORY)
        for schema in schemas:
            result = await answer(engine, "Write a list.", schema)
            assert isinstance(result, str) or (type(result) is InvalidRequest and result.param == "p")
        assert await answer(engine, STORY) == before
        await engine.close()

    asyncio.run(body())


def test_an_answer_to_a_costly_schema_takes_seconds_at_most() -> None:
    in_a_process(answers_to, list(COSTLY.values()), cpu_s=3 * len(COSTLY))


def ordinary_answers() -> None:
    async def body() -> None:
        engine = LlamaChat(ARGS)
        for schema in ORDINARY.values():
            assert isinstance(await answer(engine, "Write a list.", schema, tokens=500), str)
        await engine.close()

    asyncio.run(body())


def test_an_ordinary_schema_gets_an_answer_of_500_tokens() -> None:
    in_a_process(ordinary_answers, cpu_s=60)


@pytest.fixture
def engine() -> Iterator[LlamaChat]:
    engine = LlamaChat(ARGS)
    yield engine
    asyncio.run(engine.close())


def test_a_too_complex_schema_ends_only_its_own_answer(engine: LlamaChat) -> None:
    async def body() -> tuple[Any, ...]:
        alone = await answer(engine, STORY)
        both = await asyncio.gather(answer(engine, STORY), answer(engine, "A list.", COSTLY["texts of 400 lengths"]))
        while engine.load().active:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return alone, *both

    alone, plain, failed = asyncio.run(body())
    assert plain == alone
    assert isinstance(failed, InvalidRequest)
    assert "too complex" in failed.message
    assert failed.param == "p"


def long_prompts() -> None:
    async def body() -> None:
        engine = LlamaChat(ARGS.model_copy(update={"context_length": 32_000, "parallel": 1}))
        for _ in range(40):
            assert isinstance(await answer(engine, "<|user|>" * 25_000, tokens=1), ContextOverflow)
        await engine.close()

    asyncio.run(body())


def test_forty_texts_of_25000_markers_are_refused_in_seconds() -> None:
    in_a_process(long_prompts, cpu_s=10)
