"""The scheduler over a pretended model, whose every token depends on all that it has read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.engines.llama import scheduler as module
from deployments.engines.llama.scheduler import Prompt, Request, Run, Sampling, Scheduler, Stream, nothing
from deployments.errors import ContextOverflow

PIECES = [
    b"a",
    b" b",
    b"stop",
    b"st",
    b"op",
    "é".encode()[:1],
    "é".encode()[1:],
    b" ",
    b"\xff",
    "木".encode()[:2],
    b"c",
]
END = len(PIECES)
CHUNK, BATCH = 4, 12


def chosen(content: Sequence[float], seed: int) -> int:
    return zlib.crc32(repr((list(content), seed)).encode()) % (len(PIECES) + 1)


@dataclass
class PretendModel:
    """A ``Backend`` that checks what it is told; ``forgetful`` ones cannot keep a part of a slot."""

    slots: int = 3
    context_length: int = 60
    forgetful: bool = False
    contents: list[list[float]] = field(default_factory=list)
    samplers: set[int] = field(default_factory=set)
    given: int = 0
    passes: list[list[Run]] = field(default_factory=list)
    place_s: float = 0.005
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.contents = [[] for _ in range(self.slots)]

    def decode(self, runs: Sequence[Run], meanwhile: Callable[[], None] = nothing) -> list[tuple[int, int]]:
        assert len({run.slot for run in runs}) == len(runs)
        meanwhile()
        self.passes.append(list(runs))
        self.now_s += self.place_s * sum(len(run.cells) for run in runs)
        tokens: list[tuple[int, int]] = []
        for run in runs:
            assert len(run.cells)
            content = self.contents[run.slot]
            content += [float(cell) for cell in (run.cells if run.cells.ndim == 1 else run.cells[:, 0])]
            assert len(content) <= self.context_length
            assert run.sampler is None or run.sampler in self.samplers
            if run.sampler is not None:
                tokens.append((run.slot, chosen(content, run.sampler[1])))
        return tokens

    def trim(self, slot: int, length: int) -> int:
        content = self.contents[slot]
        if length < len(content):
            del content[0 if self.forgetful else length :]
        return len(content)

    def copy(self, source: int, target: int, length: int) -> int:
        assert source != target
        assert len(self.contents[source]) >= length
        self.contents[target] = self.contents[source].copy()
        return self.trim(target, length)

    def sampler(self, sampling: Sampling) -> Any:
        self.given += 1
        self.samplers.add((self.given, sampling.seed))
        return self.given, sampling.seed

    def release(self, sampler: Any) -> None:
        self.samplers.remove(sampler)

    def ends(self, token: int) -> bool:
        return token == END

    def text(self, token: int) -> bytes:
        return PIECES[token]


def prompt(*parts: int | tuple[int, int]) -> Prompt:
    """Tokens; and pictures as (number, places), whose embeddings can be told from every token."""
    keys: list[int] = []
    pictures = []
    for part in parts:
        if isinstance(part, int):
            keys.append(part)
        else:
            number, places = part
            rows = np.arange(places, dtype=np.float32)[:, None] + 1000 * number + 0.5
            pictures.append((len(keys), rows))
            keys += [-(1000 * number + place) for place in range(places)]
    return Prompt(np.array(keys, np.int64), tuple(pictures))


def contents(of: Prompt) -> list[float]:
    whole = of.keys.astype(float)
    for at, rows in of.pictures:
        whole[at : at + len(rows)] = rows[:, 0]
    return whole.tolist()


def alone(request: Request) -> tuple[str, str, int]:
    """The answer by the definition: text, finish and number of tokens."""
    content, said = contents(request.prompt), b""
    finish = "length"
    count = 0
    while count < request.max_tokens:
        token = chosen(content, request.sampling.seed)
        if token == END:
            finish = "stop"
            break
        count += 1
        content.append(float(token))
        said += PIECES[token]
        if any(stop in said.decode(errors="replace") for stop in request.stop):
            finish = "stop"
            break
    text = whole(said)
    cuts = [text.index(stop) for stop in request.stop if stop in text]
    return text[: min(cuts, default=len(text))].lstrip(), finish, count


def whole(said: bytes) -> str:
    """The text without a letter that is cut off at its end."""
    for end in range(len(said), max(len(said) - 4, -1), -1):
        tail = said[end:]
        if not tail:
            continue
        try:
            tail.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data" and error.start == 0:
                return said[:end].decode(errors="replace")
    return said.decode(errors="replace")


@dataclass
class Table:
    """A scheduler and what its streams have said so far; their text is asked for after every ``late`` tokens."""

    model: PretendModel
    late: int = 1
    said: dict[Stream, str] = field(default_factory=dict)
    held_s: float = 0.0  # reading since those who speak had their last token
    spoke_s: float = 0.0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.model, chunk=CHUNK, batch_size=BATCH, clock=lambda: self.model.now_s)

    def submit(self, request: Request) -> Stream:
        stream = self.scheduler.submit(request)
        self.said[stream] = ""
        return stream

    def step(self) -> None:
        """A pass, in which all who speak have a token, or others read: at most a chunk each, and not for too long."""
        speaking = {s: s.count for s in self.said if s.count and not (s.finish or s.cancelled)}
        before, before_s = len(self.model.passes), self.model.now_s
        for stream in self.scheduler.step():
            assert not stream.cancelled
            if stream.finish or stream.count % self.late == 0:
                self.said[stream] += stream.text()
        for runs in self.model.passes[before:]:
            self._check(runs, speaking, self.model.now_s - before_s)
        assert len(self.model.passes) <= before + 1

    def _check(self, runs: list[Run], speaking: dict[Stream, int], took_s: float) -> None:
        samplers = {run.sampler for run in runs}
        if speaking and samplers == {stream.sampler for stream in speaking}:
            assert all(stream.finish or stream.count == count + 1 for stream, count in speaking.items())
            self.held_s, self.spoke_s = 0.0, took_s
            return
        assert not samplers & {stream.sampler for stream in speaking}
        read = [len(run.cells) for run in runs]
        assert max(read) <= CHUNK
        assert sum(read) <= BATCH
        self.held_s += took_s
        if speaking:
            assert self.held_s <= max(self.spoke_s, module.UNNOTICED_S, module.LEAST * self.model.place_s) + 1e-9

    def read(self, stream: Stream) -> None:
        """Passes until ``stream`` has its first token."""
        while not stream.count and not stream.finish:
            self.step()

    def finish(self, steps: int = 2000) -> None:
        for _ in range(steps):
            if not self.scheduler.busy:
                return
            self.step()
        raise AssertionError("the scheduler does not come to an end")


BEGINNINGS = (
    prompt(*range(1, 13)),
    prompt(*range(1, 9), (1, 6), 3),
    prompt(*range(1, 9), (2, 6), 3),
    prompt(5),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    begun = draw(st.sampled_from(BEGINNINGS))
    tail = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=20)), np.int64)
    return Request(
        Prompt(np.concatenate([begun.keys, tail]), begun.pictures),
        max_tokens=draw(st.integers(1, 15)),
        stop=draw(st.sampled_from([(), ("stop",), ("b", "éa")])),
        sampling=Sampling(seed=draw(st.integers(0, 3))),
    )


Action = st.one_of(requests(), st.just("step"), st.just("step"), st.integers(0, 30))


@pytest.mark.parametrize("forgetful", [False, True])
@pytest.mark.parametrize("worth_copying", [1, 6])
@given(actions=st.lists(Action, max_size=50), slots=st.integers(1, 5), late=st.integers(1, 4))
@settings(deadline=None, max_examples=150)
def test_company_changes_no_answer(
    actions: list[Any], slots: int, late: int, forgetful: bool, worth_copying: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WORTH_COPYING", worth_copying)
        table = Table(PretendModel(slots=slots, forgetful=forgetful), late=late)
        streams: list[Stream] = []
        for action in actions:
            if isinstance(action, Request):
                streams.append(table.submit(action))
            elif action == "step":
                table.step()
            elif action < len(streams):
                table.scheduler.cancel(streams[action])
        table.finish()
    for stream in streams:
        text, finish, count = alone(stream.request)
        if stream.finish:
            assert (table.said[stream], stream.finish, stream.count) == (text, finish, count)
        else:
            assert stream.cancelled
            assert text.startswith(table.said[stream])
    check_no_place_is_read_alone(table.model.passes)
    assert not table.model.samplers
    assert not table.scheduler.busy


def test_who_waits_for_a_slot_that_goes_to_another_does_not_take_over_the_others_prompt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by the test above: the newcomer has a prompt as long, but for its picture, and copies it in one step."""
    monkeypatch.setattr(module, "WORTH_COPYING", 6)
    table = Table(PretendModel(slots=3))

    def ask(picture: int, tail: int, max_tokens: int) -> Stream:
        asked = prompt(*range(1, 9), (picture, 6), 3, *[0] * tail)
        return table.submit(Request(asked, max_tokens))

    streams = [ask(1, 1, 1), ask(1, 2, 1), ask(2, 1, 2), ask(2, 2, 1)]
    table.finish()
    said = [(table.said[stream], stream.finish, stream.count) for stream in streams]
    assert said == [alone(stream.request) for stream in streams]


def check_no_place_is_read_alone(passes: list[list[Run]]) -> None:
    begun: set[Any] = set()
    for runs in passes:
        assert all(len(run.cells) > 1 or run.sampler in begun for run in runs)
        begun |= {run.sampler for run in runs if run.sampler}


def talkative(start: int = 0, max_tokens: int = 20) -> int:
    """A seed whose answer to ``[start]`` runs to its limit."""
    return next(
        seed
        for seed in range(10_000)
        if alone(Request(prompt(start), max_tokens, sampling=Sampling(seed=seed)))[1:] == ("length", max_tokens)
    )


def speaker(table: Table) -> Stream:
    """One who speaks and has long to go."""
    stream = table.submit(Request(prompt(0), 20, sampling=Sampling(seed=talkative())))
    table.read(stream)
    return stream


def test_a_long_prompt_holds_nobody_up() -> None:
    table = Table(PretendModel())
    speaking = speaker(table)
    table.submit(Request(prompt(*[7] * 40), 1))
    for done in range(2, 12):
        table.step()  # a chunk
        table.step()
        assert speaking.count == done


def test_who_comes_reads_before_the_others_next_token() -> None:
    table = Table(PretendModel())
    speaking = speaker(table)
    table.step()
    late = table.submit(Request(prompt(8, 8), 1))
    table.step()
    assert (late.finish is not None, speaking.count) == (True, 2)


def test_one_who_comes_while_another_reads_does_not_wait_for_him() -> None:
    table = Table(PretendModel(place_s=0.001))
    speaking = speaker(table)
    table.step()
    table.submit(Request(prompt(*[7] * 40), 1))
    table.step()  # a chunk of 4 ms, of 20 that go unnoticed
    short = table.submit(Request(prompt(8, 8), 1))
    table.step()
    assert (short.finish is not None, speaking.count) == (True, 2)


def test_those_who_come_together_are_read_one_after_another_and_not_in_small_parts() -> None:
    table = Table(PretendModel(slots=4, place_s=0.004))
    speaker(table)
    table.step()
    late = [table.submit(Request(prompt(n, n, n, n), 1)) for n in (7, 8, 9)]
    before = len(table.model.passes)
    while not all(stream.finish for stream in late):
        table.step()
    read = [[len(run.cells) for run in runs] for runs in table.model.passes[before:]]
    assert [sizes for sizes in read if sizes != [1]] == [[CHUNK], [CHUNK], [CHUNK]]


def test_a_long_prompt_and_those_who_come_after_it_take_turns() -> None:
    table = Table(PretendModel(slots=4, place_s=0.004))
    speaker(table)
    long = table.submit(Request(prompt(*[7] * 40), 1))
    while not long.finish:
        table.submit(Request(prompt(8, 8, 8, 8), 1))
        table.step()
        table.step()
        assert len(table.said) < 60  # or it would wait as long as others come


@pytest.mark.parametrize(("place_s", "read"), [(0.004, CHUNK), (0.005, CHUNK), (0.05, module.LEAST)])
def test_reading_takes_no_longer_than_goes_unnoticed(place_s: float, read: int) -> None:
    table = Table(PretendModel(place_s=place_s))
    speaking = speaker(table)
    table.step()
    table.submit(Request(prompt(*[7] * 40), 1))
    table.step()
    assert [len(run.cells) for run in table.model.passes[-1]] == [read]
    table.step()
    assert speaking.count == 3


def read(model: PretendModel) -> int:
    return sum(len(run.cells) for runs in model.passes for run in runs)


def test_a_common_beginning_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_COPYING", 8)
    table = Table(PretendModel())
    for last in (1, 2, 3):
        table.submit(Request(prompt(*range(10, 40), last), 1))
    table.finish()
    assert read(table.model) == 31 + 2 + 2  # nobody reads a single place


def test_the_next_turn_reads_only_what_is_new() -> None:
    table = Table(PretendModel())
    for words in (range(1, 20), range(30, 50)):
        table.submit(Request(prompt(*words), 1))
        table.finish()
    before = read(table.model)
    table.submit(Request(prompt(*range(1, 20), 51, 52), 1))
    table.finish()
    assert read(table.model) - before == 2


def test_another_picture_is_read_anew() -> None:
    table = Table(PretendModel(slots=1))
    answers = []
    for number in (1, 2, 1):
        stream = table.submit(Request(prompt(1, 2, (number, 6), 3), 4))
        table.finish()
        answers.append(table.said[stream])
        assert table.said[stream] == alone(stream.request)[0]
    assert answers[0] == answers[2]


def test_who_comes_first_is_served_first() -> None:
    table = Table(PretendModel(slots=1))
    streams = [table.submit(Request(prompt(n), 3)) for n in range(4)]
    ended: list[Stream] = []
    while table.scheduler.busy:
        table.step()
        ended += [stream for stream in streams if stream.finish and stream not in ended]
    assert ended == streams


def test_of_two_the_emptier_suits_better_unless_the_other_has_read_much_of_the_prompt() -> None:
    one, other = Table(PretendModel(context_length=900)), Table(PretendModel(context_length=900))
    talk = prompt(*range(3 * module.COMPANY))
    one.submit(Request(talk, 1))
    one.finish()
    for _ in range(2):
        one.submit(Request(prompt(9), 9))
    assert one.scheduler.suits(talk) > other.scheduler.suits(talk)
    assert one.scheduler.suits(prompt(*range(module.COMPANY))) < other.scheduler.suits(prompt(*range(module.COMPANY)))
    one.submit(Request(prompt(9), 9))
    assert one.scheduler.suits(talk) < other.scheduler.suits(talk)  # there is no slot left


def test_who_waits_longest_is_handed_over() -> None:
    full, idle = Table(PretendModel(slots=1)), Table(PretendModel(slots=1))
    streams = [full.submit(Request(prompt(n), 3)) for n in range(3)]
    full.step()
    assert (full.scheduler.idle, idle.scheduler.idle) == (False, True)
    moved = full.scheduler.hand_over()
    assert moved is streams[1]
    idle.model.samplers.add(moved.sampler)
    idle.said[moved] = ""
    idle.scheduler.adopt(moved)
    assert not idle.scheduler.idle
    idle.finish()
    assert idle.said[moved] == alone(moved.request)[0]
    full.model.samplers.remove(moved.sampler)
    full.finish()
    assert full.said[streams[2]] == alone(streams[2].request)[0]
    assert full.scheduler.hand_over() is None


def test_room_is_kept_for_the_whole_answer() -> None:
    table = Table(PretendModel(context_length=20))
    table.submit(Request(prompt(*range(10)), 10))
    with pytest.raises(ContextOverflow, match="11 tokens; at most 10 fit beside the 10"):
        table.submit(Request(prompt(*range(11)), 10))
    with pytest.raises(ContextOverflow, match="none fit"):
        table.submit(Request(prompt(1), 20))
    table.finish()


def test_cancelling_frees_the_place_at_the_next_step() -> None:
    table = Table(PretendModel(slots=1))
    first = table.submit(Request(prompt(0), 20, sampling=Sampling(seed=talkative())))
    second = table.submit(Request(prompt(0), 20, sampling=Sampling(seed=talkative())))
    table.step()
    table.scheduler.cancel(first)
    table.step()
    assert (first.count, second.count) == (1, 1)


def test_a_probe_changes_nothing() -> None:
    table = Table(PretendModel(slots=1, context_length=8))
    for words in (range(1, 6), range(1, 8)):
        table.submit(Request(prompt(*words), 1))
        table.finish()
        before = [content.copy() for content in table.model.contents]
        table.scheduler.probe()
        assert table.model.contents == before


def test_clear_gives_everything_back() -> None:
    table = Table(PretendModel(slots=2))
    streams = [table.submit(Request(prompt(n), 5)) for n in range(4)]
    table.step()
    left = table.scheduler.clear()
    assert set(left) >= {stream for stream in streams if not stream.finish}
    assert not table.model.samplers
    assert not table.scheduler.busy
