"""What does continuous batching give, without Ray and HTTP: many concurrent chats compared with one, on one engine?

    python -m bench.batching [--model FILE.gguf] [--mmproj FILE.gguf] [--concurrency 16] [--rounds 3] [--tokens 64]
        [--workers 2] [--server http://127.0.0.1:8001]

Method: the llama engine runs in this process, at temperature 0, and its deltas are read by one event loop, as in a
replica; one chat and ``--concurrency`` chats alternate. Every timed prompt starts differently, so that only the system
prompt is in the KV cache. Each of the ``--workers`` needs an otherwise idle core; the shipped configuration has one.

JSON:
``decode``: tokens per second while all sequences decode (``bench.decode_window``), one chat, many, and their ratio.
``throughput``: the same for clients that send their next prompt after each answer, prefill included; ``cpu_ratio``
compares tokens per CPU second, for a machine with other work. With ``--server``, an OpenAI-compatible server with the
same model (``python -m llama_cpp.server --model FILE.gguf --n_threads 1 --n_ctx 2048 --port 8001``) answers as many
concurrent requests in each round; ``server_ratio`` is our rate relative to its.
``first_token``: time to the first delta on an idle engine, and with the other slots decoding answers of 100 to 400
tokens. ``gap``: time between two deltas of those answers (the engine joins deltas for 20 ms), without other work and
during the prefill of ``--long`` words. ``same``: how many of ``--prompts`` answers are identical when generated alone
and concurrently; with a projector, every other prompt has a picture.
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

from bench.client import connect
from bench.command import argument_parser, report
from bench.decode_window import DecodeWindow, NeverConcurrent
from bench.figures import median_ratio, spread_ms
from deployments.engines.llama.engine import LlamaChat
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.messages import ChatEnd, ChatMessage, Image, TextDelta

WORDS = (
    *("red", "cat", "old", "house", "big", "river", "small", "bird", "green", "tree", "quick"),
    *("fox", "blue", "boat", "warm", "bread", "cold", "night", "long", "road"),
)
DECODE_REPEATS = 5  # per round: one takes a tenth of a second
SYSTEM_PROMPT = "You are Parley, a friendly assistant. Answer briefly and in plain words."


@dataclass
class Generation:
    """One complete answer."""

    text: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens per second, and per CPU second of this process, which other processes hardly affect."""

    per_s: float
    per_cpu_s: float


class _RateTimer:
    def __init__(self) -> None:
        self._last = time.perf_counter(), time.process_time()

    def rate(self, tokens: int) -> Rate:
        """Return the rate of ``tokens`` generated since the last call."""
        now = time.perf_counter(), time.process_time()
        rate = Rate(*(tokens / (after - before) for before, after in zip(self._last, now, strict=True)))
        self._last = now
        return rate


class Bench:
    """An engine and the measurements on it."""

    def __init__(self, engine: LlamaChat, tokens: int) -> None:
        self._engine = engine
        self._config = LlamaConfig(temperature=0, max_tokens=tokens)
        self._numbers = count(1)
        self._rng = np.random.default_rng(0)

    def prompt(self) -> str:
        """Return a prompt with a new beginning."""
        words = " ".join(self._rng.choice(WORDS, 6))
        return f"{next(self._numbers)} is my number. Tell me a long story about the {words}, please."

    async def generate(self, text: str, image: Image | None = None, window: DecodeWindow | None = None) -> Generation:
        """Return the complete answer."""
        answer = Generation()
        async for value in self._engine.chat(_messages(text, image), self._config):
            if isinstance(value, TextDelta):
                if window and not answer.text:
                    window.sequence_begins()
                answer.text += value.text
            elif isinstance(value, ChatEnd):
                answer.tokens = value.completion_tokens
                if window:
                    window.sequence_ends()
        return answer

    async def decode_rate(self, concurrency: int) -> float:
        """Return tokens per second while ``concurrency`` sequences decode, whose prompts are in the KV cache."""
        while True:
            prompts = [self.prompt() for _ in range(concurrency)]
            await asyncio.gather(*(self.first_delta_s(prompt) for prompt in prompts))
            window = DecodeWindow(self._engine, concurrency)
            await asyncio.gather(*(self.generate(prompt, window=window) for prompt in prompts))
            with suppress(NeverConcurrent):  # after a very short answer, about once in some hundred times
                return window.tokens_per_s()

    async def throughput(self, concurrency: int) -> tuple[Rate, Rate]:
        """Return the rate of one client, and that of ``concurrency`` clients in a closed loop."""

        async def client(answers: int) -> int:
            return sum([(await self.generate(self.prompt())).tokens for _ in range(answers)])

        timer = _RateTimer()
        single = timer.rate(await client(concurrency))
        return single, timer.rate(sum(await asyncio.gather(*(client(3) for _ in range(concurrency)))))

    async def server_throughput(self, client: httpx.AsyncClient, concurrency: int) -> float:
        """Return tokens per second of an OpenAI-compatible server for ``concurrency`` requests."""

        async def request() -> int:
            messages = [{"role": message.role, "content": message.text} for message in _messages(self.prompt())]
            body = {"messages": messages, "max_tokens": self._config.max_tokens, "temperature": 0}
            response = await client.post("/v1/chat/completions", json=body)
            response.raise_for_status()
            return int(response.json()["usage"]["completion_tokens"])

        start_s = time.perf_counter()
        tokens = sum(await asyncio.gather(*(request() for _ in range(concurrency))))
        return tokens / (time.perf_counter() - start_s)

    async def first_deltas_s(self, times: int) -> list[float]:
        """Return the seconds to the first delta of ``times`` prompts, one after another."""
        return [await self.first_delta_s(self.prompt()) for _ in range(times)]

    async def first_delta_s(self, text: str) -> float:
        """Return the seconds to the first delta, then cancel the answer."""
        start_s = time.perf_counter()
        async with aclosing(self._engine.chat(_messages(text), self._config)) as values:
            await anext(values)
            return time.perf_counter() - start_s

    @asynccontextmanager
    async def background(self, concurrency: int) -> AsyncIterator[list[list[float]]]:
        """Keep ``concurrency`` sequences decoding. The list has the times of the deltas of each answer."""
        answers: list[list[float]] = []

        async def client() -> None:
            while True:
                answers.append(times := [])
                config = self._config.model_copy(update={"max_tokens": int(self._rng.integers(100, 400))})
                async for _ in self._engine.chat(_messages(self.prompt()), config):
                    times.append(time.perf_counter())

        tasks = [asyncio.create_task(client()) for _ in range(concurrency)]
        await asyncio.gather(*(self.first_delta_s(self.prompt()) for _ in tasks))  # then all tasks have begun
        try:
            yield answers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def gaps_s(self, answers: list[list[float]], long: str, without_s: float) -> tuple[list[float], list[float]]:
        """Return the gaps of the background answers for ``without_s``, and during the prefill of ``long``."""
        start_s = time.perf_counter()
        await asyncio.sleep(without_s)
        prefill_s = time.perf_counter()
        await self.first_delta_s(f"{next(self._numbers)} {long}")
        return _gaps(answers, start_s, prefill_s), _gaps(answers, prefill_s, time.perf_counter())

    async def same(self, prompts: int, concurrency: int, pictures: bool) -> int:
        """Return how many answers are identical alone and concurrently."""
        inputs = [(self.prompt(), self._noise() if pictures and n % 2 else None) for n in range(prompts)]
        alone = [(await self.generate(*one)).text for one in inputs]
        concurrent: list[str] = []
        for start in range(0, prompts, concurrency):
            group = inputs[start : start + concurrency]
            concurrent += [answer.text for answer in await asyncio.gather(*(self.generate(*one) for one in group))]
        return sum(one == other for one, other in zip(alone, concurrent, strict=True))

    def _noise(self) -> Image:
        return Image(self._rng.integers(0, 256, (200, 300, 3), dtype=np.uint8))


def _messages(text: str, image: Image | None = None) -> list[ChatMessage]:
    return [ChatMessage("system", SYSTEM_PROMPT), ChatMessage("user", text, (image,) if image else ())]


def _gaps(answers: Sequence[Sequence[float]], start_s: float, end_s: float) -> list[float]:
    """Return the gaps that are completely between start and end."""
    return [
        after - before for times in answers for before, after in pairwise(times) if start_s <= before and after <= end_s
    ]


async def measure(options: argparse.Namespace) -> dict[str, object]:
    settings = LlamaArgs(
        model=options.model,
        mmproj=options.mmproj,
        threads=options.threads,
        batch_threads=options.batch_threads,
        gpu_layers=options.gpu_layers,
        parallel=options.concurrency,
        workers=options.workers,
        max_waiting=options.concurrency,
        prefill_chunk=options.prefill_chunk,
    )
    engine = LlamaChat(settings)
    bench = Bench(engine, options.tokens)
    await bench.generate(bench.prompt())
    decode, rates, server = list[tuple[float, float]](), list[tuple[Rate, Rate]](), list[float]()
    for _ in range(options.rounds):
        for _ in range(DECODE_REPEATS):
            decode.append((await bench.decode_rate(1), await bench.decode_rate(options.concurrency)))
        rates.append(await bench.throughput(options.concurrency))
        if options.server:
            async with connect(options.server) as client:
                server.append(await bench.server_throughput(client, options.concurrency))
    first_idle = await bench.first_deltas_s(10 * options.rounds)
    gaps_idle, gaps_prefill = list[float](), list[float]()
    async with bench.background(options.concurrency - 1) as answers:
        first_busy = await bench.first_deltas_s(10 * options.rounds)
        for _ in range(options.rounds):
            idle, prefill = await bench.gaps_s(answers, "the cat sat on it " * (options.long // 5), without_s=2)
            gaps_idle += idle
            gaps_prefill += prefill
    if not gaps_prefill:
        raise SystemExit("batching: no delta arrived during the prefill of the long prompt; raise --long")
    same = await bench.same(options.prompts, options.concurrency, engine.vision)
    await engine.close()
    return {
        "concurrency": options.concurrency,
        "decode": {
            "single_per_s": round(median(single for single, _ in decode)),
            "concurrent_per_s": round(median(concurrent for _, concurrent in decode)),
            "ratio": median_ratio([concurrent for _, concurrent in decode], [single for single, _ in decode]),
        },
        "throughput": _throughput(rates, server),
        "first_token": _compared("idle", first_idle, "busy", first_busy),
        "gap": _compared("idle", gaps_idle, "long_prefill", gaps_prefill),
        "same": {"answers": same, "of": options.prompts},
    }


def _throughput(rates: Sequence[tuple[Rate, Rate]], server: Sequence[float]) -> dict[str, object]:
    single, concurrent = [rate for rate, _ in rates], [rate for _, rate in rates]
    return {
        "single_per_s": [round(rate.per_s) for rate in single],
        "concurrent_per_s": [round(rate.per_s) for rate in concurrent],
        "ratio": median_ratio([rate.per_s for rate in concurrent], [rate.per_s for rate in single]),
        "cpu_ratio": median_ratio([rate.per_cpu_s for rate in concurrent], [rate.per_cpu_s for rate in single]),
        "server_per_s": [round(rate) for rate in server],
        "server_ratio": median_ratio([rate.per_s for rate in concurrent], server) if server else None,
    }


def _compared(name: str, seconds: Sequence[float], other_name: str, other: Sequence[float]) -> dict[str, object]:
    first, second = spread_ms(seconds), spread_ms(other)
    return {name: first, other_name: second, "p95_ratio": round(second["p95_ms"] / first["p95_ms"], 2)}


def main() -> None:
    defaults = LlamaArgs()
    parser = argument_parser(__doc__)
    parser.add_argument("--model", default=defaults.model)
    parser.add_argument("--mmproj", help="vision encoder; with it, `same` includes pictures")
    parser.add_argument("--threads", type=int, default=defaults.threads)
    parser.add_argument("--batch-threads", type=int)
    parser.add_argument("--workers", type=int, default=2, help="each uses a core; 1 for a GPU")
    parser.add_argument("--gpu-layers", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--prefill-chunk", type=int, default=defaults.prefill_chunk)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64, help="longest answer")
    parser.add_argument("--long", type=int, default=1500, help="words of the long prompt")
    parser.add_argument("--server", help="URL of an OpenAI-compatible server with the same model")
    parser.add_argument("--prompts", type=int, default=64, help="answers that are compared for `same`")
    report("batching", asyncio.run(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
