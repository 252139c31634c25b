"""The chat engine with a small model of random weights, and with the bundled one if it is present."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.engines.llama import engine as module
from deployments.engines.llama.engine import LlamaChat
from deployments.engines.llama.schema import converted
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.errors import ContextOverflow, EngineUnavailable, InvalidRequest, Overloaded, UnsupportedMedia
from deployments.messages import ChatEnd, ChatMessage, Image, JsonSchema, Load, MessagesDropped, TextDelta
from deployments.settings import resolve
from graphs.settings import POCKET_LLM, POCKET_VISION
from models.errors import NotPulled
from tests.deployments.engines import tiny

Run = Callable[[Coroutine[Any, Any, Any]], Any]

TEXT = "the quick brown fox jumps over a lazy dog and then there was nothing left in the tower to see"
WORDS = TEXT.split()
GREEDY = LlamaConfig(temperature=0, max_tokens=30)
LONG = LlamaConfig(max_tokens=300, grammar="root ::= [a-z]{900}")
HOT = LlamaConfig(temperature=2, max_tokens=30, top_k=0, top_p=1, min_p=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("llama")


@pytest.fixture(scope="module")
def args(folder: Path) -> LlamaArgs:
    return LlamaArgs(
        model=str(tiny.chat_model(folder / "llm.gguf")),
        mmproj=str(tiny.projector(folder / "mmproj.gguf")),
        context_length=tiny.CONTEXT,
        parallel=8,
        max_waiting=2,
        stall_timeout_s=20,
    )


def load(args: LlamaArgs, **changes: Any) -> LlamaChat:
    return LlamaChat(args.model_copy(update=changes))


@pytest.fixture(scope="module")
def engine(args: LlamaArgs, run: Run) -> Iterator[LlamaChat]:
    engine = LlamaChat(args)
    yield engine
    run(engine.close())


def conversation(seed: int, image: Image | None = None) -> list[ChatMessage]:
    """Return a system message that all conversations have and a random message of the user."""
    rng = np.random.default_rng(seed)
    text = " ".join(rng.choice(WORDS, int(rng.integers(1, 30))))
    return [ChatMessage("system", TEXT), ChatMessage("user", text, (image,) if image else ())]


def user(text: str) -> list[ChatMessage]:
    return [ChatMessage("user", text)]


async def answer(engine: LlamaChat, messages: list[ChatMessage], config: LlamaConfig = GREEDY) -> tuple[str, ChatEnd]:
    *deltas, end = [value async for value in engine.chat(messages, config)]
    assert isinstance(end, ChatEnd)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), end


def step_sizes(engine: LlamaChat, monkeypatch: pytest.MonkeyPatch, step_s: float = 0.0, worker: int = 0) -> list[int]:
    """Return a list to which each step of a worker adds its positions; a step then takes at least ``step_s``."""
    sizes: list[int] = []
    context = engine._workers[worker].context
    decode = context.decode

    def recorded(inputs: Any, *overlap: Any) -> Any:
        time.sleep(step_s)
        sizes.append(sum(len(one.content) for one in inputs))
        return decode(inputs, *overlap)

    monkeypatch.setattr(context, "decode", recorded)
    return sizes


# --- concurrent requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("weights", ["tiny", "pocket"])
def test_answers_are_the_same_alone_and_with_fifteen_concurrent_requests(
    run: Run, args: LlamaArgs, weights: str, workers: int
) -> None:
    """There are 64 conversations, every other one with a picture."""
    chosen = args if weights == "tiny" else LlamaArgs.model_validate(POCKET_VISION)
    skip_unless_present(chosen)
    engine = load(chosen, parallel=16, max_waiting=48, workers=workers)
    conversations = [conversation(seed, tiny.picture(seed % 7) if seed % 2 else None) for seed in range(64)]

    async def body() -> tuple[list[Any], list[Any]]:
        alone = [await answer(engine, messages) for messages in conversations]
        together = await asyncio.gather(*(answer(engine, messages) for messages in conversations))
        await engine.close()
        return alone, together

    alone, together = run(body())
    assert together == alone
    assert len({text for text, _ in alone}) > 8


def test_answers_to_long_prompts_are_the_same_alone_and_together(run: Run) -> None:
    """Alone, a prompt is prefilled in large chunks; together, in small ones."""
    args = LlamaArgs.model_validate(POCKET_LLM)
    skip_unless_present(args)
    engine = load(args, parallel=16, max_waiting=16)
    rng = np.random.default_rng(1)
    words = ["red", "cat", "old", "house", "big", "river", "small", "bird", "green", "tree", "quick", "fox"]
    texts = [" ".join(rng.choice(words, size)) for size in rng.integers(30, 900, 32)]
    conversations = [user(f"{at} is my number. {text}. Tell me a story about a dog.") for at, text in enumerate(texts)]
    config = GREEDY.model_copy(update={"max_tokens": 80})

    async def body() -> tuple[list[Any], list[Any]]:
        alone = [await answer(engine, messages, config) for messages in conversations]
        together = await asyncio.gather(*(answer(engine, messages, config) for messages in conversations))
        await engine.close()
        return alone, together

    alone, together = run(body())
    assert together == alone


def skip_unless_present(args: LlamaArgs) -> None:
    if not all(resolve(file).is_file() for file in (args.model, args.mmproj) if file):
        pytest.skip("the bundled model is missing")


def test_a_seed_gives_the_same_answer_alone_and_together(run: Run, engine: LlamaChat) -> None:
    config = HOT.model_copy(update={"seed": 5})

    async def body() -> tuple[Any, list[Any]]:
        alone = await answer(engine, conversation(1), config)
        return alone, await asyncio.gather(*(answer(engine, conversation(seed), config) for seed in range(6)))

    alone, together = run(body())
    assert together[1] == alone


def test_concurrent_answers_conform_to_their_own_grammars(run: Run, engine: LlamaChat) -> None:
    rules = ('root ::= "the" [ab]+', 'root ::= [0-9]+ "."')

    async def body() -> list[Any]:
        configs = [LlamaConfig(temperature=1, max_tokens=12, grammar=rule) for rule in rules]
        return await asyncio.gather(*(answer(engine, conversation(0), config) for config in configs))

    (words, _), (digits, _) = run(body())
    assert re.fullmatch("the[ab]+", words)
    assert re.fullmatch(r"[0-9]+\.?", digits)


def test_an_invalid_grammar_is_an_invalid_request(run: Run, engine: LlamaChat) -> None:
    with pytest.raises(InvalidRequest, match="GBNF") as caught:
        run(answer(engine, conversation(0), LlamaConfig(grammar="root ::= (")))
    assert caught.value.param == "grammar"
    assert engine.load().active == 0


def test_a_schema_is_converted_outside_the_event_loop(
    run: Run, engine: LlamaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def convert(schema: JsonSchema) -> dict[str, Any]:
        threads.append(threading.current_thread().name)
        return converted(schema)

    monkeypatch.setattr(module, "converted", convert)

    async def body() -> str:
        values = engine.chat(conversation(0), GREEDY, JsonSchema({"const": "the"}, "schema"))
        return "".join([value.text async for value in values if isinstance(value, TextDelta)])

    assert run(body()) == '"the"'
    assert [name.rpartition("_")[0] for name in threads] == ["llama-text"]


def test_an_answer_depends_on_its_picture(run: Run, engine: LlamaChat) -> None:
    pictures = [tiny.picture(seed) for seed in (1, 2, 1)]
    first, second, again = [run(answer(engine, conversation(0, picture)))[0] for picture in pictures]
    assert first == again != second


def test_requests_beyond_the_slots_and_the_queue_are_refused(run: Run, engine: LlamaChat) -> None:
    async def body() -> list[Any]:
        return await asyncio.gather(*(answer(engine, conversation(seed)) for seed in range(30)), return_exceptions=True)

    kinds = Counter(type(value) for value in run(body()))
    assert kinds == {tuple: 8 + 2, Overloaded: 20}
    assert run(answer(engine, conversation(0)))


def test_load_has_the_active_and_waiting_requests_and_the_cache(run: Run, engine: LlamaChat) -> None:
    async def body() -> tuple[Load, Load]:
        answers = [engine.chat(conversation(seed), LONG) for seed in range(9)]
        await asyncio.gather(*(anext(one) for one in answers[:8]))
        waiting = asyncio.create_task(anext(answers[8]))
        await asyncio.sleep(0)
        busy = engine.load()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        for one in answers:
            await one.aclose()
        await engine.check()
        return busy, engine.load()

    busy, idle = run(body())
    assert (busy.active, busy.waiting, busy.slots) == (8, 1, 8)
    assert (idle.active, idle.waiting) == (0, 0)
    assert busy.cache_size == idle.cache_size == 8 * tiny.CONTEXT
    assert 0 < idle.cache_used <= idle.cache_size


def test_workers_share_the_requests(run: Run, args: LlamaArgs) -> None:
    engine = load(args, workers=2, parallel=5)

    async def body() -> tuple[list[int], Load]:
        answers = [engine.chat(conversation(seed), LONG) for seed in range(5)]
        await asyncio.gather(*(anext(one) for one in answers))
        shares, busy = [worker.scheduler.active for worker in engine._workers], engine.load()
        for one in answers:
            await one.aclose()
        return shares, busy

    shares, busy = run(body())
    run(engine.close())
    assert shares == [3, 2]
    assert (busy.active, busy.slots, busy.cache_size) == (5, 5, 5 * tiny.CONTEXT)


def test_a_worker_with_a_free_slot_takes_requests_from_the_queue_of_another(run: Run, args: LlamaArgs) -> None:
    engine = load(args, workers=2, parallel=2, max_waiting=4)

    async def body() -> bool:
        async with aclosing(engine.chat(conversation(0), LONG)) as long:
            await anext(long)
            short = GREEDY.model_copy(update={"max_tokens": 5})
            await asyncio.gather(*(answer(engine, conversation(seed), short) for seed in range(1, 6)))
            return engine.load().active == 1

    assert run(body())
    run(engine.close())


def test_a_conversation_continues_on_the_worker_that_has_it_in_its_cache(
    run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(args, workers=2)
    long = [ChatMessage("user", TEXT * 4)]

    async def body() -> list[int]:
        await asyncio.gather(answer(engine, long), answer(engine, conversation(0)))
        sizes = [step_sizes(engine, monkeypatch, worker=worker) for worker in (0, 1)]
        await answer(engine, [*long, ChatMessage("assistant", "yes"), ChatMessage("user", "and on")])
        return [sum(one) for one in sizes]

    computed = run(body())
    assert min(computed) == 0
    assert max(computed) < len(TEXT)  # without the positions in the cache
    run(engine.close())


def test_closing_a_request_stops_its_generation(run: Run, engine: LlamaChat) -> None:
    async def body() -> tuple[int, int]:
        config = HOT.model_copy(update={"max_tokens": 300, "seed": 1})
        async with aclosing(engine.chat(conversation(2), config)) as values:
            await anext(values)
        await engine.check()
        soon = engine.produced
        await asyncio.sleep(0.05)
        return soon, engine.produced

    soon, later = run(body())
    assert soon == later


def test_a_slow_reader_does_not_delay_others(run: Run, engine: LlamaChat) -> None:
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
    assert len(values) <= 4  # the text that was generated meanwhile is one delta


def test_a_model_without_a_vision_encoder_refuses_pictures(run: Run, args: LlamaArgs) -> None:
    text_only = load(args, mmproj=None)
    assert not text_only.vision
    with pytest.raises(UnsupportedMedia):
        run(answer(text_only, conversation(0, tiny.picture())))
    run(text_only.close())


def test_answers_do_not_depend_on_asynchronous_steps(
    run: Run, args: LlamaArgs, engine: LlamaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a GPU: the deltas of a step are sent during the next one."""
    asynchronous = LlamaChat(args)
    monkeypatch.setattr(asynchronous._model, "asynchronous", True)

    async def body(engine: LlamaChat) -> list[Any]:
        return await asyncio.gather(*(answer(engine, conversation(seed)) for seed in range(10)))

    assert run(body(asynchronous)) == run(body(engine))
    run(asynchronous.close())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_of_a_worker_ends_all_requests(
    run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    engine = load(args, parallel=2, workers=workers)
    context = engine._workers[-1].context
    decode, steps = context.decode, count()
    monkeypatch.setattr(context, "decode", lambda *args: decode(*args) if next(steps) < 3 else 1 / 0)

    async def body() -> list[Any]:
        tasks = [answer(engine, conversation(seed), LONG) for seed in range(4)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [
            *results,
            *await asyncio.gather(engine.check(), answer(engine, conversation(0)), return_exceptions=True),
        ]

    assert {type(result) for result in run(body())} == {EngineUnavailable}
    run(engine.close())


@pytest.mark.parametrize("workers", [1, 2])
def test_closing_the_engine_ends_its_requests(
    run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    engine = load(args, parallel=2, workers=workers)
    for worker in range(workers):  # slow enough that the answer does not end before the engine
        step_sizes(engine, monkeypatch, step_s=0.005, worker=worker)

    async def body() -> list[Any]:
        config = HOT.model_copy(update={"max_tokens": 300, "seed": 1})
        async with aclosing(engine.chat(conversation(2), config)) as values:
            await anext(values)
            await engine.close()
            await engine.close()
            with pytest.raises(EngineUnavailable):
                async for _ in values:
                    pass
        return await asyncio.gather(engine.check(), answer(engine, conversation(0)), return_exceptions=True)

    assert {type(result) for result in run(body())} == {EngineUnavailable}


def test_the_error_for_an_invalid_model_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"broken\.gguf"):
        LlamaChat(LlamaArgs(model=str(path)))


def test_the_error_for_a_missing_model_names_the_file() -> None:
    with pytest.raises(FileNotFoundError, match=r"no-such-model\.gguf"):
        LlamaChat(LlamaArgs(model="no-such-model.gguf"))


def test_files_of_the_model_hub_are_those_of_its_cache(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[str, str, str | None]] = []

    def download(repo_id: str, name: str, revision: str | None, local_files_only: bool) -> str:
        assert local_files_only
        found.append((repo_id, name, revision))
        return str(tiny.projector(folder / name) if "mmproj" in name else tiny.chat_model(folder / name))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    engine = LlamaChat(
        LlamaArgs(repo_id="someone/llava", revision="0123abc", model="hub.gguf", mmproj="hub-mmproj.gguf", parallel=1)
    )
    run(engine.close())
    assert found == [("someone/llava", "hub.gguf", "0123abc"), ("someone/llava", "hub-mmproj.gguf", "0123abc")]


def test_a_file_of_the_hub_that_was_not_pulled_is_an_error_with_the_command() -> None:
    with pytest.raises(NotPulled, match=r"no\.gguf of no/such .* run: python -m models pull --config FILE"):
        LlamaChat(LlamaArgs(repo_id="no/such", model="no.gguf"))


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_0"])
def test_quantized_models_run(run: Run, folder: Path, kind: str) -> None:
    """On some processors, a llama.cpp that is built with the wrong flags crashes with quantized models."""
    engine = LlamaChat(LlamaArgs(model=str(tiny.chat_model(folder / f"{kind}.gguf", kind)), parallel=1))
    _, end = run(answer(engine, conversation(0)))
    run(engine.close())
    assert 0 < end.completion_tokens <= 30


def test_check_raises_if_a_step_hangs(run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(args, parallel=1, stall_timeout_s=0.05)
    run(engine.check())
    step_sizes(engine, monkeypatch, step_s=0.5)

    async def body() -> list[Any]:
        request = asyncio.create_task(answer(engine, conversation(0)))
        await asyncio.sleep(0.01)
        return await asyncio.gather(engine.check(), request, return_exceptions=True)

    results = run(body())
    monkeypatch.undo()
    run(engine.close())
    assert all(isinstance(result, EngineUnavailable) and "no progress" in str(result) for result in results)


def test_check_raises_if_the_encoding_of_a_picture_hangs(
    run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(args, parallel=1, stall_timeout_s=0.05)
    monkeypatch.setattr(engine._prompt_builder, "build", lambda *_, **__: time.sleep(0.5))

    async def body() -> None:
        request = asyncio.create_task(answer(engine, conversation(0, tiny.picture())))
        await asyncio.sleep(0.1)
        with pytest.raises(EngineUnavailable, match="no progress"):
            await engine.check()
        request.cancel()
        await engine.close()

    run(body())


# --- one answer -------------------------------------------------------------------------------------------------------


def test_the_error_for_a_too_long_conversation_has_its_length_and_the_limit(run: Run, engine: LlamaChat) -> None:
    before = engine.produced
    with pytest.raises(ContextOverflow, match=r"has 1,0\d\d tokens; at most 412 fit besides the 100 reserved"):
        run(answer(engine, user("x y z " * 170), LlamaConfig(max_tokens=100)))
    with pytest.raises(ContextOverflow, match=r"none fit into a context of 512") as caught:
        run(answer(engine, user("x"), LlamaConfig(max_tokens=10_000)))
    assert caught.value.param == "max_tokens"
    assert engine.produced == before


def test_the_oldest_turns_of_a_too_long_conversation_are_dropped_unless_the_settings_refuse(
    run: Run, engine: LlamaChat
) -> None:
    turn = [ChatMessage("user", "x y z " * 12), ChatMessage("assistant", "x y z " * 12)]
    messages = [*turn * 10, ChatMessage("user", "hello")]

    async def values(config: LlamaConfig) -> list[Any]:
        return [value async for value in engine.chat(messages, config)]

    first, *rest = run(values(GREEDY))
    assert isinstance(first, MessagesDropped)
    assert first.count % 2 == 0
    assert rest == run(answered(engine, messages[first.count :]))
    with pytest.raises(ContextOverflow):
        run(values(GREEDY.model_copy(update={"context_overflow": "refuse"})))


async def answered(engine: LlamaChat, messages: list[ChatMessage]) -> list[Any]:
    return [value async for value in engine.chat(messages, GREEDY)]


def test_a_prompt_and_its_answer_can_fill_the_whole_context(run: Run, engine: LlamaChat) -> None:
    _, short = run(answer(engine, user(""), LlamaConfig(max_tokens=1)))
    config = HOT.model_copy(update={"max_tokens": 12, "seed": 3})
    _, end = run(answer(engine, user("x" * (512 - 12 - short.prompt_tokens)), config))
    assert end.prompt_tokens == 500
    run(engine.check())
    assert run(answer(engine, conversation(0))) == run(answer(engine, conversation(0)))


def test_answers_without_a_seed_differ(run: Run, engine: LlamaChat) -> None:
    one, again, other = (
        run(answer(engine, conversation(0), HOT.model_copy(update={"seed": seed})))[0] for seed in (1, 1, 2)
    )
    assert one == again != other
    assert run(answer(engine, conversation(0), HOT)) != run(answer(engine, conversation(0), HOT))


def test_an_answer_ends_at_a_stop_string(run: Run, engine: LlamaChat) -> None:
    config = LlamaConfig(seed=5, temperature=1, max_tokens=40)
    whole, end = run(answer(engine, conversation(0), config))
    stop = whole[10:12]
    cut, stopped = run(answer(engine, conversation(0), config.model_copy(update={"stop": (stop,)})))
    assert cut == whole[: whole.index(stop)]
    assert stopped.finish_reason == "stop"
    assert stopped.completion_tokens < end.completion_tokens


def test_the_finish_reason_of_a_cut_answer_is_length(run: Run, engine: LlamaChat) -> None:
    _, end = run(answer(engine, conversation(0), HOT.model_copy(update={"max_tokens": 3, "seed": 1})))
    assert (end.finish_reason, end.completion_tokens) == ("length", 3)


@pytest.mark.parametrize("penalty", ["repeat_penalty", "presence_penalty", "frequency_penalty"])
def test_a_penalty_makes_repetition_less_likely(run: Run, engine: LlamaChat, penalty: str) -> None:
    """The model with random weights tends to repeat a letter."""
    config = LlamaConfig(temperature=0, max_tokens=24, grammar="root ::= [a-z]+")
    plain, _ = run(answer(engine, conversation(1), config))
    varied, _ = run(answer(engine, conversation(1), config.model_copy(update={penalty: 2.0})))
    twice = re.compile(r"(.)\1")
    assert (bool(twice.search(plain)), bool(twice.search(varied))) == (True, False)


def test_characters_of_several_tokens_are_complete(
    run: Run, engine: LlamaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model with random weights generates single bytes; the text is that of all bytes together."""
    pieces: list[bytes] = []
    context = engine._workers[0].context
    piece = context.piece
    monkeypatch.setattr(context, "piece", lambda token: (pieces.append(piece(token)), pieces[-1])[1])
    for seed in range(5):
        pieces.clear()
        text, _ = run(answer(engine, conversation(0), LlamaConfig(seed=seed, temperature=1.5, max_tokens=50)))
        whole = b"".join(pieces).decode(errors="replace").lstrip()
        assert text in (whole, whole.rstrip("\ufffd"), whole[:-1])


def test_the_next_message_of_a_conversation_computes_only_its_new_tokens(
    run: Run, args: LlamaArgs, engine: LlamaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = conversation(4)
    text, first = run(answer(engine, messages, LlamaConfig(seed=1, temperature=1, max_tokens=20)))
    more = [*messages, ChatMessage("assistant", text), ChatMessage("user", "and on")]
    sizes = step_sizes(engine, monkeypatch)
    cached, end = run(answer(engine, more, GREEDY.model_copy(update={"max_tokens": 1})))
    assert sum(sizes) <= end.prompt_tokens - first.prompt_tokens + 2  # no prefill has one position
    fresh = load(args)
    assert run(answer(fresh, more, GREEDY.model_copy(update={"max_tokens": 1}))) == (cached, end)
    run(fresh.close())


def test_cancelling_a_request_during_prefill_stops_the_prefill(
    run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(args, batch_size=8, prefill_chunk=8)
    sizes = step_sizes(engine, monkeypatch, step_s=0.03)
    messages = user("x" * 300)

    async def body() -> None:
        task = asyncio.create_task(answer(engine, messages))
        while not sizes:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.check()

    run(body())
    assert len(sizes) < 300 / 8
    monkeypatch.undo()
    interrupted = run(answer(engine, messages))
    fresh = load(args)
    assert run(answer(fresh, messages)) == interrupted
    run(fresh.close())
    run(engine.close())


@pytest.mark.parametrize("name", ["llava-1-5", "llava-1-6", "nanollava", "mtmd"])
def test_every_chat_handler_generates_answers(run: Run, folder: Path, name: str) -> None:
    engine = LlamaChat(tiny.llava(folder, name))
    one, other = (run(answer(engine, conversation(0, tiny.picture(seed)))) for seed in (1, 2))
    run(engine.close())
    assert one != other
