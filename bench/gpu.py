"""What the chat engine gives on a GPU, beside ``llama-batched-bench`` of the same llama.cpp on the same file.

    python -m bench.gpu --model FILE.gguf --batched-bench build/bin/llama-batched-bench [--callers 1,8,32,64]
        [--prompt 128] [--tokens 128] [--rounds 4] [--gpu-layers -1]

``bench.mistral`` writes a file for this. Both have room for as many sequences as the most callers, and ``--threads`` of
the processor. ``llama-batched-bench`` runs before the engine and after it, each time with the GPU to itself; it feeds
random tokens and chooses none, and ``batched_bench_per_s`` is its S_TG: tokens per second of the generation alone, with
all sequences speaking.

The engine's figure is made to be the same thing. Every caller has a prompt of his own, of exactly ``--prompt`` tokens,
which he asks again and again: it has been read, so an answer begins almost at once, and the callers keep to places that
lie side by side. All ask together, and tokens are counted from the moment at which all of them speak to that at which
the first has ended. ``greedy`` takes the likeliest token, ``sampled`` has the default settings. The ratios are those of
medians. ``step_ms`` is the median time of a step in which all speak, ``outside_ms`` how much of it was spent outside
llama.cpp's own pass, in a round apart that waits for the end of each pass; what is otherwise done while the GPU works
is part of it there. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.client import report
from bench.talk import Talk
from deployments.engines.llama import LlamaChat
from deployments.messages import ChatEnd, ChatMessage
from deployments.settings import ChatConfig, LlamaArgs

REPEATS = 3  # of llama-batched-bench in one run; its first passes load kernels


@dataclass
class Passes:
    """Every pass of the model: the sequences in it, when it began and when its numbers were there."""

    of: list[tuple[int, float, float]] = field(default_factory=list)

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Have every pass of llama.cpp in this process noted here; it is waited for, so nothing is done beside it."""
        from llama_cpp import llama_cpp as lib

        decode = lib.llama_decode

        def timed(context: Any, batch: Any) -> int:
            began_s = time.perf_counter()
            failed = decode(context, batch)
            lib.llama_synchronize(context)  # or a GPU would still be at work
            self.of.append((batch.n_tokens, began_s, time.perf_counter()))
            return int(failed)

        lib.llama_decode = timed
        try:
            yield
        finally:
            lib.llama_decode = decode

    def steps_ms(self, callers: int) -> tuple[float, float]:
        """A step of ``callers`` tokens, from the beginning of its pass to that of the next; and what was no pass."""
        pairs = [
            (after[1] - one[1], after[1] - one[2])
            for one, after in zip(self.of, self.of[1:], strict=False)
            if one[0] == after[0] == callers
        ]
        step_s, outside_s = np.median(pairs, axis=0) if pairs else (np.nan, np.nan)
        return round(1000 * float(step_s), 3), round(1000 * float(outside_s), 3)


class Bench:
    """An engine, and callers who all talk at once."""

    def __init__(self, engine: LlamaChat, prompt: int) -> None:
        self._engine = engine
        self._prompt = prompt
        self._rng = np.random.default_rng(0)

    async def prompts(self, callers: int) -> list[str]:
        """Digits, each of which is a token, so many that with the template they make the length that was asked for.

        All have been read when this returns.
        """
        once = ChatConfig(max_tokens=1)
        digits = self._prompt + 1 - (await self._answer("7", once)).prompt_tokens
        prompts = ["".join(map(str, self._rng.integers(0, 10, digits))) for _ in range(callers)]
        await asyncio.gather(*(self._answer(prompt, once) for prompt in prompts))
        return prompts

    async def rate(self, prompts: Sequence[str], config: ChatConfig) -> float:
        """Tokens per second while an answer to each of ``prompts`` is spoken."""
        talk = Talk(self._engine, len(prompts))
        ends = await asyncio.gather(*(self._answer(prompt, config, talk) for prompt in prompts))
        for end in ends:
            if (end.prompt_tokens, end.completion_tokens) != (self._prompt, config.max_tokens):
                raise RuntimeError(f"{end}: another length than was asked for")
        return talk.rate()

    async def _answer(self, text: str, config: ChatConfig, talk: Talk | None = None) -> ChatEnd:
        begun = False
        async for value in self._engine.chat([ChatMessage("user", text)], config):
            if isinstance(value, ChatEnd):
                if talk:
                    talk.ended()
                return value
            if talk and not begun:
                talk.begun()
            begun = True
        raise RuntimeError("an answer without an end")


def batched_bench(args: argparse.Namespace, callers: Sequence[int]) -> dict[int, list[float]]:
    """Tokens per second of llama.cpp's own program for each number of sequences."""
    command = [args.batched_bench, "-m", args.model, "-c", _length(args) * max(callers), "-b", 2048, "-ub", 512]
    command += ["-npp", args.prompt, "-ntg", args.tokens, "-npl", ",".join(map(str, [*callers] * REPEATS))]
    command += ["-ngl", 99 if args.gpu_layers else 0, "-fa", "on" if args.gpu_layers else "off", "-no-kvu"]
    command += ["-t", args.threads, "-tb", args.threads, "--output-format", "jsonl"]
    words = [*map(str, command)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = [line[line.index("{") :] for line in done.stdout.splitlines() if '"speed_tg"' in line]
    if done.returncode or len(lines) < REPEATS * len(callers):
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    rates: dict[int, list[float]] = {count: [] for count in callers}
    for row in map(json.loads, lines):
        rates[row["pl"]].append(round(row["speed_tg"], 1))
    print("batched-bench", rates, flush=True)
    return rates


async def engine(args: argparse.Namespace, callers: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The same of our engine."""
    passes = Passes()
    chat = LlamaChat(
        LlamaArgs(
            model=args.model,
            gpu_layers=args.gpu_layers,
            threads=args.threads,
            niceness=0,
            parallel=max(callers),
            context_length=_length(args),
        )
    )
    bench = Bench(chat, args.prompt)
    configs = {
        "greedy": ChatConfig(temperature=0, max_tokens=args.tokens),
        "sampled": ChatConfig(max_tokens=args.tokens, seed=1),
    }
    figures: dict[int, dict[str, Any]] = {}
    for count in callers:
        figures[count] = {}
        prompts = await bench.prompts(count)
        for name, config in configs.items():
            rates = [round(await bench.rate(prompts, config), 1) for _ in range(args.rounds)]
            passes.of.clear()
            with passes.listen():
                await bench.rate(prompts, config)
            step_ms, outside_ms = passes.steps_ms(count)
            figures[count][name] = {"per_s": rates, "step_ms": step_ms, "outside_ms": outside_ms}
            print(count, name, figures[count][name], flush=True)
    await chat.close()
    return figures


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Both, and the ratios."""
    callers = [int(count) for count in args.callers.split(",")]
    before = batched_bench(args, callers)
    ours = asyncio.run(engine(args, callers))
    after = batched_bench(args, callers)
    rows: dict[int, dict[str, object]] = {}
    for count in callers:
        theirs = before[count] + after[count]
        ratios = {
            f"{name}_ratio": round(median(figures["per_s"]) / median(theirs), 3)
            for name, figures in ours[count].items()
        }
        rows[count] = {"batched_bench_per_s": theirs, **ours[count], **ratios}
    return {"model": Path(args.model).name, "prompt": args.prompt, "tokens": args.tokens, "callers": rows}


def _length(args: argparse.Namespace) -> int:
    """Of a sequence; a multiple of 256, as llama.cpp would have it."""
    return int(-(-(args.prompt + args.tokens) // 256) * 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batched-bench", required=True, help="The program, of the build of the engine's library.")
    parser.add_argument("--callers", default="1,8,32,64")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--gpu-layers", type=int, default=-1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    faulthandler.enable()  # a crash in the library would otherwise not say what was asked of it
    report("gpu", measure(args))


if __name__ == "__main__":
    main()
