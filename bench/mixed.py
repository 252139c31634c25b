"""Is every response to many different concurrent requests correct, and the response to its own request?

    python -m bench.mixed [--url http://127.0.0.1:8000] [--requests 200] [--concurrency 8]

Method: requests of all eight rows are chosen whose answers differ (``bench.cases``) and are correct when the engines of
``--config`` run alone in this process on the same bytes; other candidates are skipped, so that the result does not
depend on the quality of the models. The requests are sent to the service concurrently, and every response is checked: a
voice is transcribed by the configured recognizer. A response that is not correct is requested once more, alone.

JSON: ``skipped`` candidates per row, ``correct``, ``swapped`` (the answer to another request, while the same request
alone is correct), ``wrong``, of these ``wrong_alone`` (wrong again when requested alone), ``errors`` by status or
exception, ``wall_s``, and ``incorrect``, the details. The exit status is 1 unless all are correct.

The service must be idle otherwise.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, zip_longest
from pathlib import Path

import httpx
from tqdm import tqdm  # type: ignore[import-untyped]

from bench.audio import ASR_RATE_HZ, CLIPS, read_wav, resample, write_wav
from bench.cases import Case, picture_questions, questions, verdict
from bench.client import InvalidResponse, Request, Response, Stopwatch, connect, post_chat
from bench.command import CONFIG, URL, argument_parser, report
from bench.direct import Configuration, Engines
from bench.pictures import draw
from bench.rows import PICTURE_QUESTIONS, QUESTIONS, ROWS, Row
from deployments.messages import Audio


@dataclass(frozen=True, slots=True)
class Planned:
    """A request with the case that checks its response."""

    row: Row
    case: Case
    request: Request


@dataclass(slots=True)
class Figures:
    """The figures that the module's docstring describes."""

    requests: int
    concurrency: int
    skipped: dict[str, int]
    correct: int = 0
    swapped: int = 0
    wrong: int = 0
    wrong_alone: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    incorrect: list[dict[str, str]] = field(default_factory=list)

    def count(self, planned: Planned, answer: str, result: str, alone: str) -> None:
        """Count one response: a verdict or an error, and the same of the request alone."""
        if result == "correct":
            self.correct += 1
            return
        if result == "swapped" and alone != "correct":
            result = "wrong"
        if result == "swapped":
            self.swapped += 1
        elif result == "wrong":
            self.wrong += 1
            self.wrong_alone += alone != "correct"
        else:
            self.errors[result] = self.errors.get(result, 0) + 1
        case = planned.case
        question = case.question if case.picture is None else f"{case.question} {case.picture}"
        self.incorrect.append(
            {"row": str(planned.row), "question": question, "answer": answer, "verdict": result, "alone": alone}
        )


async def mix(url: str, engines: Engines, *, requests: int = 200, concurrency: int = 8, seed: int = 1) -> Figures:
    """Send ``requests`` different requests, ``concurrency`` at a time, and check the responses."""
    selection = _Selection(engines, seed)
    planned = await selection.choose(requests)
    figures = Figures(len(planned), concurrency, selection.skipped)
    async with connect(url) as client:
        watch = Stopwatch()
        responses = await _send_all(client, planned, concurrency)
        figures.wall_s = round(watch.elapsed_s(), 1)
        for one, response in tqdm(list(zip(planned, responses, strict=True)), "checking", leave=False):
            result, answer = await _check(engines, one, response, planned)
            alone = result
            if result != "correct":
                alone, _ = await _check(engines, one, await _send(client, one.request), planned)
            figures.count(one, answer, result, alone)
    return figures


class _Selection:
    """Chooses requests that the engines answer correctly on their own; each case is used once."""

    def __init__(self, engines: Engines, seed: int) -> None:
        self._engines = engines
        self._unused = {False: questions(seed), True: picture_questions(seed)}
        self._clips: dict[str, bytes] = {}
        self.skipped = dict.fromkeys(map(str, ROWS), 0)

    async def choose(self, requests: int) -> list[Planned]:
        """Return requests that alternate between the rows. Rows with more stages choose their cases first."""
        shares = {row: len(range(index, requests, len(ROWS))) for index, row in enumerate(ROWS)}
        most_stages_first = sorted(ROWS, key=lambda row: row.speech + (row.output == "voice"), reverse=True)
        with tqdm(total=requests, desc="choosing", leave=False) as bar:
            chosen = {row: await self._choose(row, shares[row], bar) for row in most_stages_first}
        return [planned for planned in chain(*zip_longest(*(chosen[row] for row in ROWS))) if planned]

    async def _choose(self, row: Row, share: int, bar: tqdm) -> list[Planned]:
        chosen: list[Planned] = []
        for case in list(self._unused[row.picture]):
            if len(chosen) == share:
                return chosen
            request = await self._request(row, case)
            alone = await self._engines.respond_to(request)
            audio = alone.audio and _as_sent(alone.audio)
            if verdict(await _answer(self._engines, alone.text, audio), case, ()) == "correct":
                self._unused[row.picture].remove(case)
                chosen.append(Planned(row, case, request))
                bar.update()
            else:
                self.skipped[str(row)] += 1
        if len(chosen) < share:
            raise SystemExit(f"{row}: the models answer only {len(chosen)} of the questions for {share} requests")
        return chosen

    async def _request(self, row: Row, case: Case) -> Request:
        return Request(
            row.output,
            text=None if row.speech else case.question,
            audio=await self._recording(case.question) if row.speech else None,
            image=draw(case.picture) if case.picture else None,
        )

    async def _recording(self, question: str) -> bytes:
        """Return a WAV file at the recognizer's sample rate, so that both sides transcribe the same samples."""
        if question not in self._clips:
            clip = (QUESTIONS | PICTURE_QUESTIONS).get(question)
            self._clips[question] = (
                (CLIPS / clip).read_bytes()
                if clip
                else write_wav(resample(await self._engines.speak(question), ASR_RATE_HZ))
            )
        return self._clips[question]


def _as_sent(audio: Audio) -> Audio:
    """Return the audio rounded to 16 bits, as a client receives it: a transcript may depend on the last bit."""
    return read_wav(write_wav(audio))


async def _answer(engines: Engines, text: str, audio: Audio | None) -> str:
    """Return an answer as text."""
    return text if audio is None else await engines.transcribe(audio)


async def _send_all(client: httpx.AsyncClient, planned: Sequence[Planned], concurrency: int) -> list[Response | str]:
    """Return the responses in the order of ``planned``, or an error message."""
    permits = asyncio.Semaphore(concurrency)
    bar = tqdm(total=len(planned), desc="sending", leave=False)

    async def send(request: Request) -> Response | str:
        async with permits:
            response = await _send(client, request)
        bar.update()
        return response

    with bar:
        return await asyncio.gather(*(send(one.request) for one in planned))


async def _send(client: httpx.AsyncClient, request: Request) -> Response | str:
    try:
        return await post_chat(client, request)
    except (httpx.HTTPError, InvalidResponse) as error:
        return f"{type(error).__name__}: {error}"


async def _check(
    engines: Engines, planned: Planned, response: Response | str, all_planned: Sequence[Planned]
) -> tuple[str, str]:
    """Return the verdict, or the status or exception of an error; and the answer as text."""
    if isinstance(response, str):
        return response.partition(":")[0], response
    if response.status != 200:
        return str(response.status), response.text
    answer = await _answer(engines, response.text, response.audio)
    others = (other.case for other in all_planned if other is not planned)
    return verdict(answer, planned.case, others), answer


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--config", default=CONFIG, type=Path, help="the configuration of the service at --url")
    parser.add_argument("--requests", default=200, type=int)
    parser.add_argument("--concurrency", default=8, type=int)
    parser.add_argument("--seed", default=1, type=int, help="of the order of questions")
    options = parser.parse_args()
    engines = Engines(Configuration.load(options.config))
    figures = asyncio.run(
        mix(options.url, engines, requests=options.requests, concurrency=options.concurrency, seed=options.seed)
    )
    for one in figures.incorrect:
        print(f"{one['verdict']:>8}  {one['row']:<22} {one['question']}  ->  {one['answer']}")
    print(f"{figures.correct} of {figures.requests} correct, {figures.swapped} swapped, in {figures.wall_s} s")
    print(f"{sum(figures.skipped.values())} candidates skipped: the engines alone did not answer them correctly")
    report("mixed", asdict(figures))
    return 0 if figures.correct == figures.requests else 1


if __name__ == "__main__":
    sys.exit(main())
