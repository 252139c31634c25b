"""How fast is the chat engine on a GPU, compared with ``llama-batched-bench`` of the same llama.cpp and model?

    python -m bench.mistral mistral.gguf
    python -m bench.gpu --model mistral.gguf --batched-bench build/bin/llama-batched-bench [--sequences 1,8,32,64]
        [--prompt 128] [--tokens 128] [--rounds 4] [--gpu-layers -1]

Method: ``llama-batched-bench`` runs before and after the engine; it feeds random tokens and samples none, and its S_TG
is the decode rate of all sequences together. For the engine, every sequence has its own prompt of exactly ``--prompt``
tokens, which is in the KV cache already, and tokens are counted while all sequences decode (``bench.decode_window``).
One more round per configuration waits for the end of each llama.cpp call, to time the step.

JSON: per number of sequences ``batched_bench_per_s``; for ``greedy`` (the likeliest token) and ``sampled`` (default
settings) the rates ``per_s``, the median ``step_ms`` and its part outside of llama.cpp's decode call ``outside_ms``;
``greedy_ratio`` and ``sampled_ratio``, the median rate relative to that of ``llama-batched-bench``.
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
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.command import argument_parser, comma_separated, report
from bench.decode_window import DecodeWindow
from deployments.engines.llama.engine import LlamaChat
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.messages import ChatEnd, ChatMessage

REPEATS = 3  # of each measurement in one run of llama-batched-bench; the first one loads kernels


@dataclass
class DecodeCalls:
    """Calls of ``llama_decode``: their number of tokens, and the times of their start and end."""

    calls: list[tuple[int, float, float]] = field(default_factory=list)

    @contextmanager
    def record(self) -> Iterator[None]:
        """Record every call in this process; each one blocks until the GPU has finished."""
        from llama_cpp import llama_cpp as lib

        decode = lib.llama_decode

        def timed(context: Any, batch: Any) -> int:
            start_s = time.perf_counter()
            status = decode(context, batch)
            lib.llama_synchronize(context)  # decode returns before the GPU has finished
            self.calls.append((batch.n_tokens, start_s, time.perf_counter()))
            return int(status)

        lib.llama_decode = timed
        try:
            yield
        finally:
            lib.llama_decode = decode

    def steps_ms(self, sequences: int) -> tuple[float, float]:
        """Return the median time of a step of ``sequences`` tokens, and its part outside of the call."""
        pairs = [
            (following[1] - call[1], following[1] - call[2])
            for call, following in pairwise(self.calls)
            if call[0] == following[0] == sequences
        ]
        step_s, outside_s = np.median(pairs, axis=0) if pairs else (np.nan, np.nan)
        return round(1000 * float(step_s), 3), round(1000 * float(outside_s), 3)


class Bench:
    """An engine, and sequences that all decode concurrently."""

    def __init__(self, engine: LlamaChat, prompt: int) -> None:
        self._engine = engine
        self._prompt = prompt
        self._rng = np.random.default_rng(0)

    async def prompts(self, sequences: int) -> list[str]:
        """Return prompts of digits (a token each) whose length with the chat template is ``prompt`` tokens.

        They are in the KV cache when this returns.
        """
        single = LlamaConfig(max_tokens=1)
        digits = self._prompt + 1 - (await self._generate("7", single)).prompt_tokens
        prompts = ["".join(map(str, self._rng.integers(0, 10, digits))) for _ in range(sequences)]
        await asyncio.gather(*(self._generate(prompt, single) for prompt in prompts))
        return prompts

    async def rate(self, prompts: Sequence[str], config: LlamaConfig) -> float:
        """Return tokens per second while an answer to each of ``prompts`` is decoded."""
        window = DecodeWindow(self._engine, len(prompts))
        ends = await asyncio.gather(*(self._generate(prompt, config, window) for prompt in prompts))
        for end in ends:
            if (end.prompt_tokens, end.completion_tokens) != (self._prompt, config.max_tokens):
                raise RuntimeError(f"unexpected length: {end}")
        return window.tokens_per_s()

    async def _generate(self, text: str, config: LlamaConfig, window: DecodeWindow | None = None) -> ChatEnd:
        begun = False
        async for value in self._engine.chat([ChatMessage("user", text)], config):
            if isinstance(value, ChatEnd):
                if window:
                    window.sequence_ends()
                return value
            if window and not begun:
                window.sequence_begins()
            begun = True
        raise RuntimeError("the answer has no ChatEnd")


def batched_bench(options: argparse.Namespace) -> dict[int, list[float]]:
    """Return the decode rates of llama-batched-bench for each number of sequences."""
    command = [
        options.batched_bench,
        "-m",
        options.model,
        "-c",
        _length(options) * max(options.sequences),
        "-b",
        2048,
        "-ub",
        512,
    ]
    command += ["-npp", options.prompt, "-ntg", options.tokens, "-npl", ",".join(map(str, options.sequences * REPEATS))]
    command += ["-ngl", 99 if options.gpu_layers else 0, "-fa", "on" if options.gpu_layers else "off", "-no-kvu"]
    command += ["-t", options.threads, "-tb", options.threads, "--output-format", "jsonl"]
    arguments = [*map(str, command)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = [line[line.index("{") :] for line in done.stdout.splitlines() if '"speed_tg"' in line]
    if done.returncode or len(lines) < REPEATS * len(options.sequences):
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    rates: dict[int, list[float]] = {sequences: [] for sequences in options.sequences}
    for row in map(json.loads, lines):
        rates[row["pl"]].append(round(row["speed_tg"], 1))
    print("batched-bench", rates, flush=True)
    return rates


async def engine(options: argparse.Namespace) -> dict[int, dict[str, Any]]:
    """Return the figures of the engine for each number of sequences."""
    calls = DecodeCalls()
    chat = LlamaChat(
        LlamaArgs(
            model=options.model,
            gpu_layers=options.gpu_layers,
            threads=options.threads,
            niceness=0,
            parallel=max(options.sequences),
            context_length=_length(options),
        )
    )
    bench = Bench(chat, options.prompt)
    configs = {
        "greedy": LlamaConfig(temperature=0, max_tokens=options.tokens),
        "sampled": LlamaConfig(max_tokens=options.tokens, seed=1),
    }
    figures: dict[int, dict[str, Any]] = {}
    for sequences in options.sequences:
        figures[sequences] = {}
        prompts = await bench.prompts(sequences)
        for name, config in configs.items():
            rates = [round(await bench.rate(prompts, config), 1) for _ in range(options.rounds)]
            calls.calls.clear()
            with calls.record():
                await bench.rate(prompts, config)
            step_ms, outside_ms = calls.steps_ms(sequences)
            figures[sequences][name] = {"per_s": rates, "step_ms": step_ms, "outside_ms": outside_ms}
            print(sequences, name, figures[sequences][name], flush=True)
    await chat.close()
    return figures


def measure(options: argparse.Namespace) -> dict[str, object]:
    before = batched_bench(options)
    of_engine = asyncio.run(engine(options))
    after = batched_bench(options)
    rows: dict[int, dict[str, object]] = {}
    for sequences in options.sequences:
        reference = before[sequences] + after[sequences]
        ratios = {
            f"{name}_ratio": round(median(figures["per_s"]) / median(reference), 3)
            for name, figures in of_engine[sequences].items()
        }
        rows[sequences] = {"batched_bench_per_s": reference, **of_engine[sequences], **ratios}
    return {"model": Path(options.model).name, "prompt": options.prompt, "tokens": options.tokens, "sequences": rows}


def _length(options: argparse.Namespace) -> int:
    """Return the context length of a sequence, rounded up to a multiple of 256 as in llama.cpp."""
    return int(-(-(options.prompt + options.tokens) // 256) * 256)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batched-bench", required=True, help="the program, from the build of the engine's library")
    parser.add_argument("--sequences", default=[1, 8, 32, 64], type=comma_separated(int))
    parser.add_argument("--prompt", type=int, default=128, help="tokens of each prompt")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each answer")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--gpu-layers", type=int, default=-1, help="0 to try the bench on a CPU")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    faulthandler.enable()  # a crash inside the library prints the Python stack
    report("gpu", measure(options))


if __name__ == "__main__":
    main()
