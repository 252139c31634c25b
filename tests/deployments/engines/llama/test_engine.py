"""The chat engine on a small model of random weights, and on the bundled one where it is present."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.engines.llama import LlamaChat
from deployments.errors import ContextOverflow, EngineUnavailable, InvalidRequest, Overloaded, UnsupportedMedia
from deployments.messages import ChatEnd, ChatMessage, Image, Load, TextDelta
from deployments.settings import AppArgs, ChatConfig, LlamaArgs, resolve
from tests.deployments.engines import tiny

Run = Callable[[Coroutine[Any, Any, Any]], Any]

TEXT = "the quick brown fox jumps over a lazy dog and then there was nothing left in the tower to see"
WORDS = TEXT.split()
GREEDY = ChatConfig(temperature=0, max_tokens=30)
ENDLESS = ChatConfig(max_tokens=300, grammar="root ::= [a-z]{900}")
HOT = ChatConfig(temperature=2, max_tokens=30, top_k=0, top_p=1, min_p=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("llama")


@pytest.fixture(scope="module")
def args(folder: Path) -> LlamaArgs:
    model, eye = tiny.chat_model(folder / "llm.gguf"), tiny.projector(folder / "eye.gguf")
    return LlamaArgs(
        model=str(model),
        mmproj=str(eye),
        context_length=tiny.CONTEXT,
        parallel=8,
        max_waiting=2,
        stall_timeout_s=20,
    )


def loaded(args: LlamaArgs, **changes: Any) -> LlamaChat:
    return LlamaChat(args.model_copy(update=changes))


@pytest.fixture(scope="module")
def engine(args: LlamaArgs, run: Run) -> Iterator[LlamaChat]:
    engine = LlamaChat(args)
    yield engine
    run(engine.close())


def conversation(seed: int, image: Image | None = None) -> list[ChatMessage]:
    """A system message that all share, and words of its own."""
    rng = np.random.default_rng(seed)
    text = " ".join(rng.choice(WORDS, int(rng.integers(1, 30))))
    return [ChatMessage("system", TEXT), ChatMessage("user", text, (image,) if image else ())]


async def answer(engine: LlamaChat, messages: list[ChatMessage], config: ChatConfig = GREEDY) -> tuple[str, ChatEnd]:
    *deltas, end = [value async for value in engine.chat(messages, config)]
    assert isinstance(end, ChatEnd)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), end


def counted(engine: LlamaChat, monkeypatch: pytest.MonkeyPatch, pass_s: float = 0.0, worker: int = 0) -> list[int]:
    """The places that each pass of a worker reads from now on; a pass takes at least ``pass_s``."""
    places: list[int] = []
    context = engine._steppers[worker].context
    decode = context.decode

    def watched(runs: Any, *meanwhile: Any) -> Any:
        time.sleep(pass_s)
        places.append(sum(len(run.cells) for run in runs))
        return decode(runs, *meanwhile)

    monkeypatch.setattr(context, "decode", watched)
    return places


# --- company ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("weights", ["tiny", "pocket"])
def test_answers_are_the_same_alone_and_among_fifteen_others(
    run: Run, args: LlamaArgs, weights: str, workers: int
) -> None:
    """64 conversations, every other one about a picture."""
    pocket = AppArgs().vision_llm
    assert isinstance(pocket, LlamaArgs)
    chosen = args if weights == "tiny" else pocket
    if not all(resolve(file or "").is_file() for file in (chosen.model, chosen.mmproj)):
        pytest.skip("the bundled model is not there")
    engine = loaded(chosen, parallel=16, max_waiting=48, workers=workers)
    asked = [conversation(seed, tiny.picture(seed % 7) if seed % 2 else None) for seed in range(64)]

    async def body() -> tuple[list[Any], list[Any]]:
        alone = [await answer(engine, messages) for messages in asked]
        together = await asyncio.gather(*(answer(engine, messages) for messages in asked))
        await engine.close()
        return alone, together

    alone, together = run(body())
    assert together == alone
    assert len({text for text, _ in alone}) > 8


def test_answers_to_long_prompts_are_the_same_alone_and_in_company(run: Run) -> None:
    """Alone they are read in large chunks, together in small ones."""
    pocket = AppArgs().text_llm
    assert isinstance(pocket, LlamaArgs)
    if not resolve(pocket.model).is_file():
        pytest.skip("the bundled model is not there")
    engine = loaded(pocket, parallel=16, max_waiting=16)
    rng = np.random.default_rng(1)
    words = ["red", "cat", "old", "house", "big", "river", "small", "bird", "green", "tree", "quick", "fox"]
    texts = [" ".join(rng.choice(words, size)) for size in rng.integers(30, 900, 32)]
    asked = [
        [ChatMessage("user", f"{at} is my number. {text}. Tell me a story about a dog.")]
        for at, text in enumerate(texts)
    ]
    config = GREEDY.model_copy(update={"max_tokens": 80})

    async def body() -> tuple[list[Any], list[Any]]:
        alone = [await answer(engine, messages, config) for messages in asked]
        together = await asyncio.gather(*(answer(engine, messages, config) for messages in asked))
        await engine.close()
        return alone, together

    alone, together = run(body())
    assert together == alone


def test_a_seed_gives_the_same_answer_in_company(run: Run, engine: LlamaChat) -> None:
    config = HOT.model_copy(update={"seed": 5})

    async def body() -> tuple[Any, list[Any]]:
        alone = await answer(engine, conversation(1), config)
        return alone, await asyncio.gather(*(answer(engine, conversation(seed), config) for seed in range(6)))

    alone, together = run(body())
    assert together[1] == alone


def test_each_keeps_to_its_grammar(run: Run, engine: LlamaChat) -> None:
    rules = ('root ::= "the" [ab]+', 'root ::= [0-9]+ "."')

    async def body() -> list[Any]:
        configs = [ChatConfig(temperature=1, max_tokens=12, grammar=rule) for rule in rules]
        return await asyncio.gather(*(answer(engine, conversation(0), config) for config in configs))

    (words, _), (digits, _) = run(body())
    assert re.fullmatch("the[ab]+", words)
    assert re.fullmatch(r"[0-9]+\.?", digits)


def test_a_grammar_that_cannot_be_read_is_the_clients_error(run: Run, engine: LlamaChat) -> None:
    with pytest.raises(InvalidRequest, match="GBNF") as caught:
        run(answer(engine, conversation(0), ChatConfig(grammar="root ::= (")))
    assert caught.value.param == "grammar"
    assert engine.load().active == 0


def test_the_answer_is_about_its_own_picture(run: Run, engine: LlamaChat) -> None:
    pictures = [tiny.picture(seed) for seed in (1, 2, 1)]
    first, second, again = [run(answer(engine, conversation(0, picture)))[0] for picture in pictures]
    assert first == again != second


def test_more_than_the_places_are_refused_and_told_when_to_come_again(run: Run, engine: LlamaChat) -> None:
    async def body() -> list[Any]:
        return await asyncio.gather(*(answer(engine, conversation(seed)) for seed in range(30)), return_exceptions=True)

    kinds = Counter(type(value) for value in run(body()))
    assert kinds == {tuple: 8 + 2, Overloaded: 20}
    assert run(answer(engine, conversation(0)))


def test_its_load_tells_who_is_answered_who_waits_and_what_the_cache_holds(run: Run, engine: LlamaChat) -> None:
    async def body() -> tuple[Load, Load]:
        talks = [engine.chat(conversation(seed), ENDLESS) for seed in range(9)]
        await asyncio.gather(*(anext(talk) for talk in talks[:8]))
        last = asyncio.create_task(anext(talks[8]))
        await asyncio.sleep(0)
        busy = engine.load()
        last.cancel()
        await asyncio.gather(last, return_exceptions=True)
        for talk in talks:
            await talk.aclose()
        await engine.check()
        return busy, engine.load()

    busy, idle = run(body())
    assert (busy.active, busy.waiting, busy.slots) == (8, 1, 8)
    assert (idle.active, idle.waiting) == (0, 0)
    assert busy.cache_size == idle.cache_size == 8 * tiny.CONTEXT
    assert 0 < idle.cache_used <= idle.cache_size


def test_workers_share_the_callers(run: Run, args: LlamaArgs) -> None:
    engine = loaded(args, workers=2, parallel=5)

    async def body() -> tuple[list[int], Load]:
        talks = [engine.chat(conversation(seed), ENDLESS) for seed in range(5)]
        await asyncio.gather(*(anext(talk) for talk in talks))
        shares, busy = [stepper.scheduler.active for stepper in engine._steppers], engine.load()
        for talk in talks:
            await talk.aclose()
        return shares, busy

    shares, busy = run(body())
    run(engine.close())
    assert shares == [3, 2]
    assert (busy.active, busy.slots, busy.cache_size) == (5, 5, 5 * tiny.CONTEXT)


def test_a_worker_with_room_answers_who_waits_for_another(run: Run, args: LlamaArgs) -> None:
    engine = loaded(args, workers=2, parallel=2, max_waiting=4)

    async def body() -> bool:
        async with aclosing(engine.chat(conversation(0), ENDLESS)) as endless:
            await anext(endless)
            short = GREEDY.model_copy(update={"max_tokens": 5})
            await asyncio.gather(*(answer(engine, conversation(seed), short) for seed in range(1, 6)))
            return engine.load().active == 1

    assert run(body())
    run(engine.close())


def test_a_conversation_goes_on_where_it_was_read(run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = loaded(args, workers=2)
    long = [ChatMessage("user", TEXT * 4)]

    async def body() -> list[int]:
        await asyncio.gather(answer(engine, long), answer(engine, conversation(0)))
        places = [counted(engine, monkeypatch, worker=worker) for worker in (0, 1)]
        await answer(engine, [*long, ChatMessage("assistant", "yes"), ChatMessage("user", "and on")])
        return [sum(read) for read in places]

    read = run(body())
    assert min(read) == 0
    assert max(read) < len(TEXT)  # what was read is not read again
    run(engine.close())


def test_leaving_stops_the_work(run: Run, engine: LlamaChat) -> None:
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


def test_a_slow_reader_holds_back_only_himself(run: Run, engine: LlamaChat) -> None:
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


def test_a_model_without_an_eye_refuses_pictures(run: Run, args: LlamaArgs) -> None:
    blind = loaded(args, mmproj=None)
    assert not blind.vision
    with pytest.raises(UnsupportedMedia):
        run(answer(blind, conversation(0, tiny.picture())))
    run(blind.close())


def test_where_a_pass_is_made_makes_no_difference(
    run: Run, args: LlamaArgs, engine: LlamaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, what was said is told after the next pass has begun, and after the last one of all."""
    distant = LlamaChat(args)
    monkeypatch.setattr(distant._model, "elsewhere", True)

    async def body(engine: LlamaChat) -> list[Any]:
        return await asyncio.gather(*(answer(engine, conversation(seed)) for seed in range(10)))

    assert run(body(distant)) == run(body(engine))
    run(distant.close())


@pytest.mark.parametrize("workers", [1, 2])
def test_when_a_loop_fails_everybody_hears_of_it(
    run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    engine = loaded(args, parallel=2, workers=workers)
    context = engine._steppers[-1].context
    decode, passes = context.decode, count()
    monkeypatch.setattr(context, "decode", lambda *step: decode(*step) if next(passes) < 3 else 1 / 0)

    async def body() -> list[Any]:
        tasks = [answer(engine, conversation(seed), ENDLESS) for seed in range(4)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [
            *results,
            *await asyncio.gather(engine.check(), answer(engine, conversation(0)), return_exceptions=True),
        ]

    assert {type(result) for result in run(body())} == {EngineUnavailable}
    run(engine.close())


@pytest.mark.parametrize("workers", [1, 2])
def test_closing_ends_what_is_under_way(run: Run, args: LlamaArgs, workers: int) -> None:
    engine = loaded(args, parallel=2, workers=workers)

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


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"broken\.gguf"):
        LlamaChat(LlamaArgs(model=str(path)))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no-such-model\.gguf"):
        LlamaChat(LlamaArgs(model="no-such-model.gguf"))


def test_a_model_of_the_hub_is_fetched_by_name(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def fetch(repo_id: str, name: str) -> str:
        asked.append((repo_id, name))
        return str(tiny.projector(folder / name) if "mmproj" in name else tiny.chat_model(folder / name))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    engine = LlamaChat(LlamaArgs(repo_id="someone/llava", model="hub.gguf", mmproj="hub-mmproj.gguf", parallel=1))
    run(engine.close())
    assert asked == [("someone/llava", "hub.gguf"), ("someone/llava", "hub-mmproj.gguf")]


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_0"])
def test_quantised_models_run(run: Run, folder: Path, kind: str) -> None:
    """On some processors a badly built llama.cpp dies on the quantised ones."""
    engine = LlamaChat(LlamaArgs(model=str(tiny.chat_model(folder / f"{kind}.gguf", kind)), parallel=1))
    _, end = run(answer(engine, conversation(0)))
    run(engine.close())
    assert 0 < end.completion_tokens <= 30


def test_a_check_finds_an_engine_that_hangs(run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = loaded(args, parallel=1, stall_timeout_s=0.05)
    run(engine.check())
    counted(engine, monkeypatch, pass_s=0.5)

    async def body() -> list[Any]:
        asked = asyncio.create_task(answer(engine, conversation(0)))
        await asyncio.sleep(0.01)
        return await asyncio.gather(engine.check(), asked, return_exceptions=True)

    results = run(body())
    monkeypatch.undo()
    run(engine.close())
    assert all(isinstance(result, EngineUnavailable) and "silent" in str(result) for result in results)


def test_a_check_finds_a_picture_that_hangs(run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = loaded(args, parallel=1, stall_timeout_s=0.05)
    monkeypatch.setattr(engine._reader, "read", lambda messages: time.sleep(0.5))

    async def body() -> None:
        asked = asyncio.create_task(answer(engine, conversation(0, tiny.picture())))
        await asyncio.sleep(0.1)
        with pytest.raises(EngineUnavailable, match="silent"):
            await engine.check()
        asked.cancel()
        await engine.close()

    run(body())


# --- one answer -------------------------------------------------------------------------------------------------------


def said(text: str) -> list[ChatMessage]:
    return [ChatMessage("user", text)]


def test_a_conversation_over_the_context_says_how_long_it_was_and_what_fits(run: Run, engine: LlamaChat) -> None:
    before = engine.produced
    with pytest.raises(ContextOverflow, match=r"has 1,0\d\d tokens; at most 412 fit beside the 100 reserved"):
        run(answer(engine, said("x y z " * 170), ChatConfig(max_tokens=100)))
    with pytest.raises(ContextOverflow, match=r"none fit into a context of 512") as caught:
        run(answer(engine, said("x"), ChatConfig(max_tokens=10_000)))
    assert caught.value.param == "max_tokens"
    assert engine.produced == before


def test_the_context_can_be_filled_to_the_last_token(run: Run, engine: LlamaChat) -> None:
    _, short = run(answer(engine, said(""), ChatConfig(max_tokens=1)))
    config = HOT.model_copy(update={"max_tokens": 12, "seed": 3})
    _, end = run(answer(engine, said("x" * (512 - 12 - short.prompt_tokens)), config))
    assert end.prompt_tokens == 500
    run(engine.check())
    assert run(answer(engine, conversation(0))) == run(answer(engine, conversation(0)))


def test_without_a_seed_every_answer_is_another(run: Run, engine: LlamaChat) -> None:
    one, again, other = (
        run(answer(engine, conversation(0), HOT.model_copy(update={"seed": seed})))[0] for seed in (1, 1, 2)
    )
    assert one == again != other
    assert run(answer(engine, conversation(0), HOT)) != run(answer(engine, conversation(0), HOT))


def test_an_answer_ends_at_a_stop_text(run: Run, engine: LlamaChat) -> None:
    config = ChatConfig(seed=5, temperature=1, max_tokens=40)
    whole, end = run(answer(engine, conversation(0), config))
    stop = whole[10:12]
    cut, stopped = run(answer(engine, conversation(0), config.model_copy(update={"stop": (stop,)})))
    assert cut == whole[: whole.index(stop)]
    assert stopped.finish_reason == "stop"
    assert stopped.completion_tokens < end.completion_tokens


def test_an_answer_that_is_cut_off_says_so(run: Run, engine: LlamaChat) -> None:
    _, end = run(answer(engine, conversation(0), HOT.model_copy(update={"max_tokens": 3, "seed": 1})))
    assert (end.finish_reason, end.completion_tokens) == ("length", 3)


@pytest.mark.parametrize("penalty", ["repeat_penalty", "presence_penalty", "frequency_penalty"])
def test_a_penalty_makes_what_was_said_less_likely(run: Run, engine: LlamaChat, penalty: str) -> None:
    """The random model likes to say a letter twice."""
    config = ChatConfig(temperature=0, max_tokens=24, grammar="root ::= [a-z]+")
    plain, _ = run(answer(engine, conversation(1), config))
    varied, _ = run(answer(engine, conversation(1), config.model_copy(update={penalty: 2.0})))
    twice = re.compile(r"(.)\1")
    assert (bool(twice.search(plain)), bool(twice.search(varied))) == (True, False)


def test_characters_of_several_bytes_come_whole(run: Run, engine: LlamaChat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The random model talks in single bytes; what is given out is what all its bytes together read as."""
    pieces: list[bytes] = []
    piece = engine._steppers[0].context.text
    monkeypatch.setattr(engine._steppers[0].context, "text", lambda token: (pieces.append(piece(token)), pieces[-1])[1])
    for seed in range(5):
        pieces.clear()
        text, _ = run(answer(engine, conversation(0), ChatConfig(seed=seed, temperature=1.5, max_tokens=50)))
        whole = b"".join(pieces).decode(errors="replace").lstrip()
        assert text in (whole, whole.rstrip("\ufffd"), whole[:-1])


def test_a_following_turn_reads_only_what_is_new(
    run: Run, args: LlamaArgs, engine: LlamaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = conversation(4)
    text, first = run(answer(engine, asked, ChatConfig(seed=1, temperature=1, max_tokens=20)))
    more = [*asked, ChatMessage("assistant", text), ChatMessage("user", "and on")]
    places = counted(engine, monkeypatch)
    cached, end = run(answer(engine, more, GREEDY.model_copy(update={"max_tokens": 1})))
    assert sum(places) <= end.prompt_tokens - first.prompt_tokens + 2  # no place is read alone
    fresh = loaded(args)
    assert run(answer(fresh, more, GREEDY.model_copy(update={"max_tokens": 1}))) == (cached, end)
    run(fresh.close())


def test_one_who_leaves_while_his_prompt_is_read_stops_the_reading(
    run: Run, args: LlamaArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded(args, batch_size=8, prefill_chunk=8)
    places = counted(engine, monkeypatch, pass_s=0.03)
    asked = said("x" * 300)

    async def body() -> None:
        task = asyncio.create_task(answer(engine, asked))
        while not places:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.check()

    run(body())
    assert len(places) < 300 / 8
    monkeypatch.undo()
    interrupted = run(answer(engine, asked))
    fresh = loaded(args)
    assert run(answer(fresh, asked)) == interrupted
    run(fresh.close())
    run(engine.close())


@pytest.mark.parametrize("name", ["llava-1-5", "llava-1-6", "nanollava", "mtmd"])
def test_every_chat_handler_answers(run: Run, folder: Path, name: str) -> None:
    engine = LlamaChat(tiny.llava(folder, name))
    one, other = (run(answer(engine, conversation(0, tiny.picture(seed)))) for seed in (1, 2))
    run(engine.close())
    assert one != other
