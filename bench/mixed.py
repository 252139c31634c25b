"""Many different requests at once, over all eight rows: is every answer right, and everybody's own?

    python -m bench.mixed [--url http://127.0.0.1:8000] [--requests 200] [--at-once 8]

Each request asks something that only its own answer fits: a capital, a sum, words to repeat, or a drawing made for it.
Spoken questions are demo clips, or are synthesized beforehand by the configured voice in this process; a clip counts
as a question only if the configured recognizer reads it back right, since the models have evaluations of their own.
Nothing of that kind is done with the answers: each one that comes back is judged, voices after the recognizer has read
them, when the last answer is there. What did not fit is asked once more alone, which tells a model that does not know
from a service that mixes things up. The last line is the figures in JSON; the exit status is 1 unless all were right.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

import httpx
from tqdm import tqdm  # type: ignore[import-untyped]

from bench.cases import Case, judge, key_words, questions, sights
from bench.client import Answer, BrokenAnswer, Request, Stopwatch, ask, connect, read_wav, report, write_wav
from bench.direct import Engines
from bench.pictures import draw
from bench.rows import ROWS, Row

CLIPS = Path(__file__).parent.parent / "tests" / "data"
DEMO = {"What is the capital of France?": "question.wav", "What do you see?": "what_do_you_see.wav"}
ATTEMPTS = 3  # at a clip that can be read back


@dataclass(frozen=True, slots=True)
class Planned:
    row: Row
    case: Case
    request: Request


@dataclass(slots=True)
class Figures:
    """``errors`` counts refusals by status and broken connections by kind; ``unfit`` tells of every answer not right.

    An answer is crossed when it fits another request and the same question is answered right alone. ``wrong_alone``
    counts those of the wrong that were wrong alone as well: there it is the model that does not know.
    """

    requests: int
    at_once: int
    right: int = 0
    crossed: int = 0
    wrong: int = 0
    wrong_alone: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    unfit: list[dict[str, str]] = field(default_factory=list)


async def mix(url: str, engines: Engines, *, requests: int = 200, at_once: int = 8, seed: int = 1) -> Figures:
    """Ask ``requests`` different things, ``at_once`` at a time, and judge what comes back."""
    planned = await _plan(engines, requests, seed)
    figures = Figures(len(planned), at_once)
    async with connect(url) as client:
        watch = Stopwatch()
        answers = await _ask_all(client, planned, at_once)
        figures.wall_s = round(watch.elapsed_s(), 1)
        for one, answer in tqdm(list(zip(planned, answers, strict=True)), "judging", leave=False):
            verdict, words = await _judged(engines, one, answer, planned)
            alone = verdict
            if verdict != "right":
                alone, _ = await _judged(engines, one, await _asked(client, one.request), planned)
            _count(figures, one, words, verdict, alone)
    return figures


def _count(figures: Figures, one: Planned, words: str, verdict: str, alone: str) -> None:
    if verdict == "right":
        figures.right += 1
        return
    if verdict == "crossed" and alone != "right":
        verdict = "wrong"
    if verdict == "crossed":
        figures.crossed += 1
    elif verdict == "wrong":
        figures.wrong += 1
        figures.wrong_alone += alone != "right"
    else:
        figures.errors[verdict] = figures.errors.get(verdict, 0) + 1
    figures.unfit.append(
        {"row": str(one.row), "question": _told(one.case), "answer": words, "verdict": verdict, "alone": alone}
    )


async def _plan(engines: Engines, requests: int, seed: int) -> list[Planned]:
    """Requests that take turns over the rows."""
    asked, seen = iter(questions(seed)), iter(sights(seed))
    clips = _Clips(engines)
    planned: list[Planned] = []
    for row, _ in zip(cycle(ROWS), tqdm(range(requests), "preparing", leave=False), strict=False):
        case, clip = await _suitable(seen if row.picture else asked, clips if row.speech else None)
        drawing = draw(*case.picture) if case.picture else None
        text = None if row.speech else case.question
        planned.append(Planned(row, case, Request(row.output, text, clip, drawing)))
    return planned


async def _suitable(cases: Iterator[Case], clips: _Clips | None) -> tuple[Case, bytes | None]:
    """The next case; with ``clips``, the next that can be said so that it is understood."""
    for case in cases:
        if clips is None:
            return case, None
        if clip := await clips.saying(case.question):
            return case, clip
    raise SystemExit("not enough different questions for so many requests, or a voice that its recognizer cannot read")


class _Clips:
    """Questions as WAV files, each made once."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._made: dict[str, bytes | None] = {}

    async def saying(self, question: str) -> bytes | None:
        """The spoken question; ``None`` when the recognizer does not read it back."""
        if question not in self._made:
            self._made[question] = await self._make(question)
        return self._made[question]

    async def _make(self, question: str) -> bytes | None:
        if demo := DEMO.get(question):
            return (CLIPS / demo).read_bytes()
        wanted = Case(question, key_words(question))
        for _ in range(ATTEMPTS):
            clip = write_wav(await self._engines.speak(question))
            if judge(await self._engines.read(read_wav(clip)), wanted, ()) == "right":
                return clip
        return None


async def _ask_all(client: httpx.AsyncClient, planned: Sequence[Planned], at_once: int) -> list[Answer | str]:
    """The answers in the order of ``planned``, or what went wrong."""
    places = asyncio.Semaphore(at_once)
    bar = tqdm(total=len(planned), desc="asking", leave=False)

    async def one(request: Request) -> Answer | str:
        async with places:
            answer = await _asked(client, request)
        bar.update()
        return answer

    with bar:
        return await asyncio.gather(*(one(p.request) for p in planned))


async def _asked(client: httpx.AsyncClient, request: Request) -> Answer | str:
    try:
        return await ask(client, request)
    except (httpx.HTTPError, BrokenAnswer) as error:
        return f"{type(error).__name__}: {error}"


async def _judged(engines: Engines, one: Planned, answer: Answer | str, all_: Sequence[Planned]) -> tuple[str, str]:
    """The verdict, or the status or kind of an error; and the answer in words."""
    if isinstance(answer, str):
        return answer.partition(":")[0], answer
    if answer.status != 200:
        return str(answer.status), answer.text
    words = answer.text if answer.audio is None else await engines.read(answer.audio)
    return judge(words, one.case, (other.case for other in all_ if other is not one)), words


def _told(case: Case) -> str:
    return case.question if case.picture is None else f"{case.question} {case.picture}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--config", default="serve_config.yaml", type=Path, help="what is served there")
    parser.add_argument("--requests", default=200, type=int)
    parser.add_argument("--at-once", default=8, type=int)
    parser.add_argument("--seed", default=1, type=int)
    asked = parser.parse_args()
    figures = asyncio.run(
        mix(asked.url, Engines.of(asked.config), requests=asked.requests, at_once=asked.at_once, seed=asked.seed)
    )
    for unfit in figures.unfit:
        print(f"{unfit['verdict']:>8}  {unfit['row']:<22} {unfit['question']}  ->  {unfit['answer']}")
    print(f"{figures.right} of {figures.requests} right in {figures.wall_s} s")
    report("mixed", asdict(figures))
    return 0 if figures.right == figures.requests else 1


if __name__ == "__main__":
    sys.exit(main())
