"""What the batching chat engine gives to many at once, each figure beside the same engine with one caller.

    python -m bench.batching [--model FILE.gguf] [--mmproj FILE.gguf] [--callers 16] [--rounds 3] [--tokens 64]
        [--workers 2] [--server http://127.0.0.1:8001]

The engine alone: no Ray, no HTTP; its deltas are read in one event loop, as in a replica. Always the likeliest token.
Every timed prompt begins with words of its own, so that nothing but the system message can be spared. One caller has
one of the ``--workers`` to himself, the many are shared out to all; each is to have a core that nothing else uses. The
service as shipped has one (``--workers 1``), since hearing and speaking want the other core.

``streams``: tokens per second while ``--callers`` callers speak, from the moment at which all do to that at which the
first has ended (where an answer is too short for that, others are asked), beside those of one, and the median over the
rounds of the ratio. ``throughput``: the same for callers who ask again as soon as they are answered, the reading of
their prompts included; ``cpu_ratio`` is that of tokens per second of the processor, for machines that have other work.
``--server`` names an OpenAI-compatible server of the same file, such as ``python -m llama_cpp.server --model FILE.gguf
--n_threads 1 --n_ctx 2048 --port 8001``: as many callers ask it in every round, for whole answers, and ``server_ratio``
is ours by its. ``first_token``: from the call to the first delta, alone and with ``callers`` - 1 others who talk all
the time, for 100 to 400 tokens at once. ``gap``: time between two deltas of those others (which hold text for 20 ms at
most before they send it), in quiet and while a prompt of ``--long`` words is being read. ``same``: how many of
``--prompts`` answers are the same letter for letter alone and at once; with a projector, every other one is about a
picture. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count, pairwise
from statistics import median

import httpx
import numpy as np

from bench.client import connect, median_ratio, report, spread_ms
from bench.talk import EndedEarly, Talk
from deployments.engines.llama import LlamaChat
from deployments.messages import ChatEnd, ChatMessage, Image, TextDelta
from deployments.settings import ChatConfig, LlamaArgs

TEXT = "red cat old house big river small bird green tree quick fox blue boat warm bread cold night long road"
WORDS = TEXT.split()
STREAMS = 5  # times in a round, since it takes a tenth of a second
SYSTEM = "You are Parley, a friendly assistant. Answer briefly and in plain words."


@dataclass
class Answer:
    """One whole answer."""

    text: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens per second, and per second of this process's own work, which other programs hardly touch."""

    per_s: float
    per_cpu_s: float


class _Watch:
    def __init__(self) -> None:
        self._last = time.perf_counter(), time.process_time()

    def rate(self, tokens: int) -> Rate:
        """Of ``tokens`` made since the last call."""
        now = time.perf_counter(), time.process_time()
        rate = Rate(*(tokens / (after - before) for before, after in zip(self._last, now, strict=True)))
        self._last = now
        return rate


class Bench:
    """An engine and what is asked of it."""

    def __init__(self, engine: LlamaChat, tokens: int) -> None:
        self._engine = engine
        self._config = ChatConfig(temperature=0, max_tokens=tokens)
        self._numbers = count(1)
        self._rng = np.random.default_rng(0)

    def question(self) -> str:
        """A request that no other begins like."""
        words = " ".join(self._rng.choice(WORDS, 6))
        return f"{next(self._numbers)} is my number. Tell me a long story about the {words}, please."

    async def ask(self, text: str, image: Image | None = None, talk: Talk | None = None) -> Answer:
        """The whole answer."""
        answer = Answer()
        async for value in self._engine.chat(_messages(text, image), self._config):
            if isinstance(value, TextDelta):
                if talk and not answer.text:
                    talk.begun()
                answer.text += value.text
            elif isinstance(value, ChatEnd):
                answer.tokens = value.completion_tokens
                if talk:
                    talk.ended()
        return answer

    async def streams(self, callers: int) -> float:
        """Tokens per second while ``callers`` speak, whose questions have been read."""
        while True:
            questions = [self.question() for _ in range(callers)]
            await asyncio.gather(*(self.first(question) for question in questions))
            talk = Talk(self._engine, callers)
            await asyncio.gather(*(self.ask(question, talk=talk) for question in questions))
            with suppress(EndedEarly):  # by a short answer, once in some hundred times
                return talk.rate()

    async def rates(self, callers: int) -> tuple[Rate, Rate]:
        """One caller's, and that of ``callers`` who each ask again as soon as they are answered."""

        async def one(times: int) -> int:
            return sum([(await self.ask(self.question())).tokens for _ in range(times)])

        watch = _Watch()
        alone = watch.rate(await one(callers))
        return alone, watch.rate(sum(await asyncio.gather(*(one(3) for _ in range(callers)))))

    async def server_rate(self, client: httpx.AsyncClient, callers: int) -> float:
        """Tokens per second of a server whom as many callers ask at once, one question each."""

        async def one() -> int:
            messages = [{"role": message.role, "content": message.text} for message in _messages(self.question())]
            body = {"messages": messages, "max_tokens": self._config.max_tokens, "temperature": 0}
            response = await client.post("/v1/chat/completions", json=body)
            response.raise_for_status()
            return int(response.json()["usage"]["completion_tokens"])

        start_s = time.perf_counter()
        tokens = sum(await asyncio.gather(*(one() for _ in range(callers))))
        return tokens / (time.perf_counter() - start_s)

    async def first_tokens(self, times: int) -> list[float]:
        """Seconds to the first delta of ``times`` questions, one after another."""
        return [await self.first(self.question()) for _ in range(times)]

    async def first(self, text: str) -> float:
        """Seconds to the first delta; then the caller leaves."""
        asked_s = time.perf_counter()
        async with aclosing(self._engine.chat(_messages(text), self._config)) as values:
            await anext(values)
            return time.perf_counter() - asked_s

    @asynccontextmanager
    async def company(self, callers: int) -> AsyncIterator[list[list[float]]]:
        """Callers who talk all the time; the times of each one's deltas, an answer a list."""
        talks: list[list[float]] = []

        async def talk() -> None:
            while True:
                talks.append(times := [])
                longer = self._config.model_copy(update={"max_tokens": int(self._rng.integers(100, 400))})
                async for _ in self._engine.chat(_messages(self.question()), longer):
                    times.append(time.perf_counter())

        tasks = [asyncio.create_task(talk()) for _ in range(callers)]
        await asyncio.gather(*(self.first(self.question()) for _ in tasks))  # by then all have begun
        try:
            yield talks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def gaps(self, talks: list[list[float]], long: str, quiet_s: float) -> tuple[list[float], list[float]]:
        """Seconds between deltas in quiet, and until the first delta of an answer to ``long``."""
        start = time.perf_counter()
        await asyncio.sleep(quiet_s)
        asked = time.perf_counter()
        await self.first(f"{next(self._numbers)} {long}")
        return _gaps(talks, start, asked), _gaps(talks, asked, time.perf_counter())

    async def same(self, prompts: int, callers: int, pictures: bool) -> int:
        """How many answers are the same alone and in company."""
        asked = [(self.question(), self._noise() if pictures and n % 2 else None) for n in range(prompts)]
        alone = [(await self.ask(*question)).text for question in asked]
        together: list[str] = []
        for at in range(0, prompts, callers):
            group = asked[at : at + callers]
            together += [answer.text for answer in await asyncio.gather(*(self.ask(*question) for question in group))]
        return sum(one == other for one, other in zip(alone, together, strict=True))

    def _noise(self) -> Image:
        return Image(self._rng.integers(0, 256, (200, 300, 3), dtype=np.uint8))


def _messages(text: str, image: Image | None = None) -> list[ChatMessage]:
    return [ChatMessage("system", SYSTEM), ChatMessage("user", text, (image,) if image else ())]


def _gaps(talks: Sequence[Sequence[float]], start_s: float, end_s: float) -> list[float]:
    """Times between neighbours that both lie between start and end."""
    return [
        after - before for talk in talks for before, after in pairwise(talk) if start_s <= before and after <= end_s
    ]


async def measure(args: argparse.Namespace) -> dict[str, object]:
    """All figures of one engine."""
    settings = LlamaArgs(
        model=args.model,
        mmproj=args.mmproj,
        threads=args.threads,
        batch_threads=args.batch_threads,
        gpu_layers=args.gpu_layers,
        parallel=args.callers,
        workers=args.workers,
        max_waiting=args.callers,
        prefill_chunk=args.chunk,
    )
    engine = LlamaChat(settings)
    bench = Bench(engine, args.tokens)
    others = args.callers - 1
    await bench.ask(bench.question())
    streams, rates = list[tuple[float, float]](), list[tuple[Rate, Rate]]()
    served: list[float] = []
    for _ in range(args.rounds):
        for _ in range(STREAMS):
            streams.append((await bench.streams(1), await bench.streams(args.callers)))
        rates.append(await bench.rates(args.callers))
        if args.server:
            async with connect(args.server) as client:
                served.append(await bench.server_rate(client, args.callers))
    alone = await bench.first_tokens(10 * args.rounds)
    quiet: list[float] = []
    disturbed: list[float] = []
    async with bench.company(others) as talks:
        busy = await bench.first_tokens(10 * args.rounds)
        for _ in range(args.rounds):
            before, during = await bench.gaps(talks, "the cat sat on it " * (args.long // 5), quiet_s=2)
            quiet += before
            disturbed += during
    if not disturbed:
        raise SystemExit("nobody said anything while the long prompt was read; it needs more words (--long)")
    same = await bench.same(args.prompts, args.callers, engine.vision)
    await engine.close()
    first_alone, first_busy, gap_quiet, gap_long = map(spread_ms, (alone, busy, quiet, disturbed))
    return {
        "callers": args.callers,
        "streams": {
            "alone_per_s": round(median(alone for alone, _ in streams)),
            "together_per_s": round(median(together for _, together in streams)),
            "ratio": median_ratio([together for _, together in streams], [alone for alone, _ in streams]),
        },
        "throughput": {
            "alone_per_s": [round(alone.per_s) for alone, _ in rates],
            "together_per_s": [round(together.per_s) for _, together in rates],
            "ratio": median_ratio([together.per_s for _, together in rates], [alone.per_s for alone, _ in rates]),
            "cpu_ratio": median_ratio(
                [together.per_cpu_s for _, together in rates], [alone.per_cpu_s for alone, _ in rates]
            ),
            "server_per_s": [round(rate) for rate in served],
            "server_ratio": median_ratio([together.per_s for _, together in rates], served) if served else None,
        },
        "first_token": {"alone": first_alone, "in_company": first_busy, "p95_ratio": _ratio(first_busy, first_alone)},
        "gap": {"quiet": gap_quiet, "long_prompt": gap_long, "p95_ratio": _ratio(gap_long, gap_quiet)},
        "same": {"answers": same, "of": args.prompts},
    }


def _ratio(one: dict[str, float], other: dict[str, float]) -> float:
    return round(one["p95_ms"] / other["p95_ms"], 2)


def main() -> None:
    defaults = LlamaArgs()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=defaults.model)
    parser.add_argument("--mmproj")
    parser.add_argument("--threads", type=int, default=defaults.threads)
    parser.add_argument("--batch-threads", type=int)
    parser.add_argument("--workers", type=int, default=2, help="Each takes a core; for a GPU, 1.")
    parser.add_argument("--gpu-layers", type=int, default=0)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--chunk", type=int, default=defaults.prefill_chunk)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64, help="Longest answer.")
    parser.add_argument("--long", type=int, default=1500, help="Words of the long prompt.")
    parser.add_argument("--server", help="An OpenAI-compatible server of the same model to compare with.")
    parser.add_argument("--prompts", type=int, default=64, help="Answers that are compared.")
    args = parser.parse_args()
    report("batching", asyncio.run(measure(args)))


if __name__ == "__main__":
    main()
