"""Many different requests at once, over all eight rows: is every answer right, and everybody's own?

    python -m bench.mixed [--url http://127.0.0.1:8000] [--requests 200] [--at-once 8]

What is measured is the service with many callers, not what its models know: those have evaluations of their own. So the
questions are chosen beforehand. A candidate is a capital, a sum, words to repeat or a drawing made for it, each with
key words that no other answer of the run has. It is asked once of the configured engines in this process, one call
after another, with the same bytes that the service will get; a spoken question is a demo clip or is spoken by the
configured voice, and an answer in a voice, in the 16 bits that a client gets, is read by the configured recognizer. If
what comes out has the key words, the candidate is taken, otherwise it is passed over for this row, and counted:
``passed_over`` are those that the models did not know by themselves. Nothing of the kind is done afterwards: every
answer of the service is judged, and is right if it means the same as it did alone. What did not fit is asked once more
alone, which tells an answer that comes out differently each time from a service that mixes things up.

Nothing else should be asked of the service meanwhile. The last line is the figures in JSON; the exit status is 1
unless all were right.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, zip_longest
from pathlib import Path

import httpx
from tqdm import tqdm  # type: ignore[import-untyped]

from bench.cases import Case, judge, questions, sights
from bench.client import Answer, BrokenAnswer, Request, Stopwatch, ask, connect, read_wav, report, resample, write_wav
from bench.direct import HEARD_RATE_HZ, Engines
from bench.pictures import draw
from bench.rows import CLIPS, ROWS, SAID, SEEN, Row
from deployments.messages import Audio


@dataclass(frozen=True, slots=True)
class Planned:
    row: Row
    case: Case
    request: Request


@dataclass(slots=True)
class Figures:
    """``errors`` counts refusals by status and broken connections by kind; ``unfit`` tells of every answer not right.

    ``passed_over`` counts by row the candidates that the engines did not answer right when asked alone and directly.

    An answer is crossed when it fits another request and the same question is answered right alone. ``wrong_alone``
    counts those of the wrong that were wrong alone as well: there it is the model that does not know.
    """

    requests: int
    at_once: int
    passed_over: dict[str, int]
    right: int = 0
    crossed: int = 0
    wrong: int = 0
    wrong_alone: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    unfit: list[dict[str, str]] = field(default_factory=list)


async def mix(url: str, engines: Engines, *, requests: int = 200, at_once: int = 8, seed: int = 1) -> Figures:
    """Ask ``requests`` different things, ``at_once`` at a time, and judge what comes back."""
    known = _Known(engines, seed)
    planned = await known.choose(requests)
    figures = Figures(len(planned), at_once, known.passed_over)
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


class _Known:
    """Chooses requests that the engines answer right by themselves, each with a case of its own."""

    def __init__(self, engines: Engines, seed: int) -> None:
        self._engines = engines
        self._free = {False: questions(seed), True: sights(seed)}
        self._clips: dict[str, bytes] = {}
        self.passed_over = dict.fromkeys(map(str, ROWS), 0)

    async def choose(self, requests: int) -> list[Planned]:
        """Requests that take turns over the rows; those in which most can go wrong choose first."""
        shares = {row: len(range(at, requests, len(ROWS))) for at, row in enumerate(ROWS)}
        hardest_first = sorted(ROWS, key=lambda row: row.speech + (row.output == "voice"), reverse=True)
        with tqdm(total=requests, desc="choosing", leave=False) as bar:
            chosen = {row: await self._choose(row, shares[row], bar) for row in hardest_first}
        return [one for one in chain(*zip_longest(*(chosen[row] for row in ROWS))) if one]

    async def _choose(self, row: Row, share: int, bar: tqdm) -> list[Planned]:
        chosen: list[Planned] = []
        for case in list(self._free[row.picture]):
            if len(chosen) == share:
                return chosen
            request = await self._request(row, case)
            alone = await self._engines.worked_out(request)
            audio = alone.audio and _as_sent(alone.audio)
            if judge(await _words(self._engines, alone.text, audio), case, ()) == "right":
                self._free[row.picture].remove(case)
                chosen.append(Planned(row, case, request))
                bar.update()
            else:
                self.passed_over[str(row)] += 1
        if len(chosen) < share:
            raise SystemExit(f"{row}: the models know only {len(chosen)} of the questions for {share} requests")
        return chosen

    async def _request(self, row: Row, case: Case) -> Request:
        return Request(
            row.output,
            text=None if row.speech else case.question,
            audio=await self._spoken(case.question) if row.speech else None,
            image=draw(case.picture) if case.picture else None,
        )

    async def _spoken(self, question: str) -> bytes:
        """The question as a WAV file at the recognizer's rate, so that both sides hear the same samples."""
        if question not in self._clips:
            demo = (SAID | SEEN).get(question)
            self._clips[question] = (
                (CLIPS / demo).read_bytes()
                if demo
                else write_wav(resample(await self._engines.speak(question), HEARD_RATE_HZ))
            )
        return self._clips[question]


def _as_sent(audio: Audio) -> Audio:
    """The sound in 16 bits, as a client gets it: a word on the edge is heard by its last bit."""
    return read_wav(write_wav(audio))


async def _words(engines: Engines, text: str, audio: Audio | None) -> str:
    """An answer in words, whichever way it was given."""
    return text if audio is None else await engines.read(audio)


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
    words = await _words(engines, answer.text, answer.audio)
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
    print(f"{figures.right} of {figures.requests} right, {figures.crossed} crossed, in {figures.wall_s} s")
    print(f"{sum(figures.passed_over.values())} candidates passed over: the models alone did not know them")
    report("mixed", asdict(figures))
    return 0 if figures.right == figures.requests else 1


if __name__ == "__main__":
    sys.exit(main())
