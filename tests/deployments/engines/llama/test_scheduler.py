"""The scheduler with a fake model, in which each token depends on the whole content of its slot."""

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
from deployments.engines.llama.generation import Generation
from deployments.engines.llama.request import Prompt, Request, Sampling
from deployments.engines.llama.scheduler import Scheduler, SlotInput, no_op
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


def next_token(content: Sequence[float], seed: int) -> int:
    return zlib.crc32(repr((list(content), seed)).encode()) % (len(PIECES) + 1)


@dataclass
class FakeModel:
    """A ``Backend`` that checks its arguments; with ``recurrent``, a slot can only be emptied completely."""

    slots: int = 3
    context_length: int = 60
    recurrent: bool = False
    contents: list[list[float]] = field(default_factory=list)
    samplers: set[int] = field(default_factory=set)
    created: int = 0
    steps: list[list[SlotInput]] = field(default_factory=list)
    position_s: float = 0.005
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.contents = [[] for _ in range(self.slots)]

    def decode(self, inputs: Sequence[SlotInput], overlap: Callable[[], None] = no_op) -> list[tuple[int, int]]:
        assert len({one.slot for one in inputs}) == len(inputs)
        overlap()
        self.steps.append(list(inputs))
        self.now_s += self.position_s * sum(len(one.content) for one in inputs)
        tokens: list[tuple[int, int]] = []
        for one in inputs:
            assert len(one.content)
            content = self.contents[one.slot]
            content += [float(value) for value in (one.content if one.content.ndim == 1 else one.content[:, 0])]
            assert len(content) <= self.context_length
            assert one.sampler is None or one.sampler in self.samplers
            if one.sampler is not None:
                tokens.append((one.slot, next_token(content, one.sampler[1])))
        return tokens

    def trim(self, slot: int, length: int) -> int:
        content = self.contents[slot]
        if length < len(content):
            del content[0 if self.recurrent else length :]
        return len(content)

    def copy(self, source: int, target: int, length: int) -> int:
        assert source != target
        assert len(self.contents[source]) >= length
        self.contents[target] = self.contents[source].copy()
        return self.trim(target, length)

    def sampler(self, sampling: Sampling) -> Any:
        self.created += 1
        self.samplers.add((self.created, sampling.seed))
        return self.created, sampling.seed

    def release(self, sampler: Any) -> None:
        self.samplers.remove(sampler)

    def is_end(self, token: int) -> bool:
        return token == END

    def piece(self, token: int) -> bytes:
        return PIECES[token]


def prompt(*parts: int | tuple[int, int]) -> Prompt:
    """Return a prompt of tokens, and of pictures as (number, positions), whose embeddings equal no token."""
    keys: list[int] = []
    pictures = []
    for part in parts:
        if isinstance(part, int):
            keys.append(part)
        else:
            number, size = part
            embeddings = np.arange(size, dtype=np.float32)[:, None] + 1000 * number + 0.5
            pictures.append((len(keys), embeddings))
            keys += [-(1000 * number + position) for position in range(size)]
    return Prompt(np.array(keys, np.int64), tuple(pictures))


def content_of(prompt: Prompt) -> list[float]:
    content = prompt.keys.astype(float)
    for start, embeddings in prompt.pictures:
        content[start : start + len(embeddings)] = embeddings[:, 0]
    return content.tolist()


def expected(request: Request) -> tuple[str, str, int]:
    """Return the answer by its definition, without a scheduler: text, finish reason and number of tokens."""
    content, data = content_of(request.prompt), b""
    finish = "length"
    count = 0
    while count < request.max_tokens:
        token = next_token(content, request.sampling.seed)
        if token == END:
            finish = "stop"
            break
        count += 1
        content.append(float(token))
        data += PIECES[token]
        if any(stop in data.decode(errors="replace") for stop in request.stop):
            finish = "stop"
            break
    text = complete_characters(data)
    cuts = [text.index(stop) for stop in request.stop if stop in text]
    return text[: min(cuts, default=len(text))].lstrip(), finish, count


def complete_characters(data: bytes) -> str:
    """Return the text without an incomplete character at its end."""
    for end in range(len(data), max(len(data) - 4, -1), -1):
        tail = data[end:]
        if not tail:
            continue
        try:
            tail.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data" and error.start == 0:
                return data[:end].decode(errors="replace")
    return data.decode(errors="replace")


@dataclass
class Driver:
    """Runs a scheduler, checks each step, and collects text after every ``text_interval`` tokens of an answer."""

    model: FakeModel
    text_interval: int = 1
    texts: dict[Generation, str] = field(default_factory=dict)
    prefill_s: float = 0.0  # since the last decode step
    decode_s: float = 0.0  # of the last decode step

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.model, chunk=CHUNK, batch_size=BATCH, clock=lambda: self.model.now_s)

    def submit(self, request: Request) -> Generation:
        generation = self.scheduler.new_generation(request)
        self.scheduler.submit(generation)
        self.texts[generation] = ""
        return generation

    def step(self) -> None:
        """Run a step and check that it is one decode step of all started generations or one prefill step."""
        started = {one: one.count for one in self.texts if one.count and not (one.finish or one.cancelled)}
        before, before_s = len(self.model.steps), self.model.now_s
        for generation in self.scheduler.step():
            assert not generation.cancelled
            if generation.finish or generation.count % self.text_interval == 0:
                self.texts[generation] += generation.take_text()
        for inputs in self.model.steps[before:]:
            self._check(inputs, started, self.model.now_s - before_s)
        assert len(self.model.steps) <= before + 1

    def _check(self, inputs: list[SlotInput], started: dict[Generation, int], duration_s: float) -> None:
        samplers = {one.sampler for one in inputs}
        if started and samplers == {generation.sampler for generation in started}:
            assert all(one.finish or one.count == count + 1 for one, count in started.items())
            self.prefill_s, self.decode_s = 0.0, duration_s
            return
        assert not samplers & {generation.sampler for generation in started}
        sizes = [len(one.content) for one in inputs]
        assert max(sizes) <= CHUNK
        assert sum(sizes) <= BATCH
        self.prefill_s += duration_s
        if started:
            limit_s = max(self.decode_s, module.MAX_PREFILL_S, module.MIN_PREFILL * self.model.position_s)
            assert self.prefill_s <= limit_s + 1e-9

    def prefill(self, generation: Generation) -> None:
        """Run steps until ``generation`` has its first token."""
        while not generation.count and not generation.finish:
            self.step()

    def finish(self, steps: int = 2000) -> None:
        for _ in range(steps):
            if not self.scheduler.busy:
                return
            self.step()
        raise AssertionError("the scheduler does not become idle")


PREFIXES = (
    prompt(*range(1, 13)),
    prompt(*range(1, 9), (1, 6), 3),
    prompt(*range(1, 9), (2, 6), 3),
    prompt(5),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    prefix = draw(st.sampled_from(PREFIXES))
    tail = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=20)), np.int64)
    return Request(
        Prompt(np.concatenate([prefix.keys, tail]), prefix.pictures),
        max_tokens=draw(st.integers(1, 15)),
        stop=draw(st.sampled_from([(), ("stop",), ("b", "éa")])),
        sampling=Sampling(seed=draw(st.integers(0, 3))),
    )


Action = st.one_of(requests(), st.just("step"), st.just("step"), st.integers(0, 30))


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("min_copy", [1, 6])
@given(actions=st.lists(Action, max_size=50), slots=st.integers(1, 5), text_interval=st.integers(1, 4))
@settings(deadline=None, max_examples=150)
def test_answers_do_not_depend_on_concurrent_requests(
    actions: list[Any], slots: int, text_interval: int, recurrent: bool, min_copy: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MIN_COPY", min_copy)
        driver = Driver(FakeModel(slots=slots, recurrent=recurrent), text_interval=text_interval)
        generations: list[Generation] = []
        for action in actions:
            if isinstance(action, Request):
                generations.append(driver.submit(action))
            elif action == "step":
                driver.step()
            elif action < len(generations):
                driver.scheduler.cancel(generations[action])
        driver.finish()
    for generation in generations:
        text, finish, count = expected(generation.request)
        if generation.finish:
            assert (driver.texts[generation], generation.finish, generation.count) == (text, finish, count)
        else:
            assert generation.cancelled
            assert text.startswith(driver.texts[generation])
    check_no_prefill_of_one_position(driver.model.steps)
    assert not driver.model.samplers
    assert not driver.scheduler.busy


def test_a_planned_copy_is_dropped_if_its_source_slot_gets_another_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the test above: the slot's next prompt has the same length, another picture, and is copied at once."""
    monkeypatch.setattr(module, "MIN_COPY", 6)
    driver = Driver(FakeModel(slots=3))

    def submit(picture: int, tail: int, max_tokens: int) -> Generation:
        return driver.submit(Request(prompt(*range(1, 9), (picture, 6), 3, *[0] * tail), max_tokens))

    generations = [submit(1, 1, 1), submit(1, 2, 1), submit(2, 1, 2), submit(2, 2, 1)]
    driver.finish()
    answers = [(driver.texts[one], one.finish, one.count) for one in generations]
    assert answers == [expected(one.request) for one in generations]


def check_no_prefill_of_one_position(steps: list[list[SlotInput]]) -> None:
    started: set[Any] = set()
    for inputs in steps:
        assert all(len(one.content) > 1 or one.sampler in started for one in inputs)
        started |= {one.sampler for one in inputs if one.sampler}


def seed_of_a_long_answer(start: int = 0, max_tokens: int = 20) -> int:
    """Return a seed with which the answer to ``[start]`` has ``max_tokens`` tokens."""
    return next(
        seed
        for seed in range(10_000)
        if expected(Request(prompt(start), max_tokens, sampling=Sampling(seed=seed)))[1:] == ("length", max_tokens)
    )


def start_generation(driver: Driver) -> Generation:
    """Return a started generation with many tokens to go."""
    generation = driver.submit(Request(prompt(0), 20, sampling=Sampling(seed=seed_of_a_long_answer())))
    driver.prefill(generation)
    return generation


def test_decode_steps_run_between_the_chunks_of_a_long_prompt() -> None:
    driver = Driver(FakeModel())
    decoding = start_generation(driver)
    driver.submit(Request(prompt(*[7] * 40), 1))
    for count in range(2, 12):
        driver.step()  # a chunk
        driver.step()
        assert decoding.count == count


def test_a_new_prompt_is_prefilled_before_the_next_decode_step() -> None:
    driver = Driver(FakeModel())
    decoding = start_generation(driver)
    driver.step()
    new = driver.submit(Request(prompt(8, 8), 1))
    driver.step()
    assert (new.finish is not None, decoding.count) == (True, 2)


def test_a_new_prompt_does_not_wait_for_the_prefill_of_another() -> None:
    driver = Driver(FakeModel(position_s=0.001))
    decoding = start_generation(driver)
    driver.step()
    driver.submit(Request(prompt(*[7] * 40), 1))
    driver.step()  # a chunk of 4 ms; the budget is 20 ms
    short = driver.submit(Request(prompt(8, 8), 1))
    driver.step()
    assert (short.finish is not None, decoding.count) == (True, 2)


def test_prompts_that_arrive_together_are_prefilled_in_whole_chunks() -> None:
    driver = Driver(FakeModel(slots=4, position_s=0.004))
    start_generation(driver)
    driver.step()
    new = [driver.submit(Request(prompt(n, n, n, n), 1)) for n in (7, 8, 9)]
    before = len(driver.model.steps)
    while not all(generation.finish for generation in new):
        driver.step()
    sizes = [[len(one.content) for one in inputs] for inputs in driver.model.steps[before:]]
    assert [one for one in sizes if one != [1]] == [[CHUNK], [CHUNK], [CHUNK]]


def test_a_long_prompt_and_later_prompts_are_prefilled_in_turn() -> None:
    driver = Driver(FakeModel(slots=4, position_s=0.004))
    start_generation(driver)
    long = driver.submit(Request(prompt(*[7] * 40), 1))
    while not long.finish:
        driver.submit(Request(prompt(8, 8, 8, 8), 1))
        driver.step()
        driver.step()
        assert len(driver.texts) < 60  # else new prompts starve the long one


@pytest.mark.parametrize(("position_s", "size"), [(0.004, CHUNK), (0.005, CHUNK), (0.05, module.MIN_PREFILL)])
def test_prefill_between_decode_steps_is_limited_in_time(position_s: float, size: int) -> None:
    driver = Driver(FakeModel(position_s=position_s))
    decoding = start_generation(driver)
    driver.step()
    driver.submit(Request(prompt(*[7] * 40), 1))
    driver.step()
    assert [len(one.content) for one in driver.model.steps[-1]] == [size]
    driver.step()
    assert decoding.count == 3


def computed(model: FakeModel) -> int:
    """Return the number of positions that the model has computed."""
    return sum(len(one.content) for inputs in model.steps for one in inputs)


def test_a_common_prefix_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_COPY", 8)
    driver = Driver(FakeModel())
    for last in (1, 2, 3):
        driver.submit(Request(prompt(*range(10, 40), last), 1))
    driver.finish()
    assert computed(driver.model) == 31 + 2 + 2  # no prefill has one position


def test_the_next_message_of_a_conversation_computes_only_its_new_positions() -> None:
    driver = Driver(FakeModel())
    for tokens in (range(1, 20), range(30, 50)):
        driver.submit(Request(prompt(*tokens), 1))
        driver.finish()
    before = computed(driver.model)
    driver.submit(Request(prompt(*range(1, 20), 51, 52), 1))
    driver.finish()
    assert computed(driver.model) - before == 2


def test_another_picture_is_computed_anew() -> None:
    driver = Driver(FakeModel(slots=1))
    answers = []
    for number in (1, 2, 1):
        generation = driver.submit(Request(prompt(1, 2, (number, 6), 3), 4))
        driver.finish()
        answers.append(driver.texts[generation])
        assert driver.texts[generation] == expected(generation.request)[0]
    assert answers[0] == answers[2]


def test_the_queue_is_first_in_first_out() -> None:
    driver = Driver(FakeModel(slots=1))
    generations = [driver.submit(Request(prompt(n), 3)) for n in range(4)]
    ended: list[Generation] = []
    while driver.scheduler.busy:
        driver.step()
        ended += [one for one in generations if one.finish and one not in ended]
    assert ended == generations


def test_affinity_prefers_fewer_generations_unless_the_prefix_saves_more() -> None:
    one, other = Driver(FakeModel(context_length=900)), Driver(FakeModel(context_length=900))
    long = prompt(*range(3 * module.GENERATION_COST))
    short = prompt(*range(module.GENERATION_COST))
    one.submit(Request(long, 1))
    one.finish()
    for _ in range(2):
        one.submit(Request(prompt(9), 9))
    assert one.scheduler.affinity(long) > other.scheduler.affinity(long)
    assert one.scheduler.affinity(short) < other.scheduler.affinity(short)
    one.submit(Request(prompt(9), 9))
    assert one.scheduler.affinity(long) < other.scheduler.affinity(long)  # no slot is free


def test_the_first_generation_of_the_queue_can_move_to_another_scheduler() -> None:
    full, idle = Driver(FakeModel(slots=1)), Driver(FakeModel(slots=1))
    generations = [full.submit(Request(prompt(n), 3)) for n in range(3)]
    full.step()
    assert (full.scheduler.has_free_slot, idle.scheduler.has_free_slot) == (False, True)
    moved = full.scheduler.pop_waiting()
    assert moved is generations[1]
    idle.model.samplers.add(moved.sampler)
    idle.texts[moved] = ""
    idle.scheduler.submit(moved)
    assert not idle.scheduler.has_free_slot
    idle.finish()
    assert idle.texts[moved] == expected(moved.request)[0]
    full.model.samplers.remove(moved.sampler)
    full.finish()
    assert full.texts[generations[2]] == expected(generations[2].request)[0]
    assert full.scheduler.pop_waiting() is None


def test_a_prompt_must_leave_space_for_the_longest_answer() -> None:
    driver = Driver(FakeModel(context_length=20))
    driver.submit(Request(prompt(*range(10)), 10))
    with pytest.raises(ContextOverflow, match="11 tokens; at most 10 fit besides the 10"):
        driver.submit(Request(prompt(*range(11)), 10))
    with pytest.raises(ContextOverflow, match="none fit"):
        driver.submit(Request(prompt(1), 20))
    driver.finish()


def test_cancelling_frees_the_slot_before_the_next_step() -> None:
    driver = Driver(FakeModel(slots=1))
    sampling = Sampling(seed=seed_of_a_long_answer())
    first, second = (driver.submit(Request(prompt(0), 20, sampling=sampling)) for _ in range(2))
    driver.step()
    driver.scheduler.cancel(first)
    driver.step()
    assert (first.count, second.count) == (1, 1)


def test_a_probe_does_not_change_the_slots() -> None:
    driver = Driver(FakeModel(slots=1, context_length=8))
    for tokens in (range(1, 6), range(1, 8)):
        driver.submit(Request(prompt(*tokens), 1))
        driver.finish()
        before = [content.copy() for content in driver.model.contents]
        driver.scheduler.probe()
        assert driver.model.contents == before


def test_clear_releases_all_generations() -> None:
    driver = Driver(FakeModel(slots=2))
    generations = [driver.submit(Request(prompt(n), 5)) for n in range(4)]
    driver.step()
    cleared = driver.scheduler.clear()
    assert set(cleared) >= {generation for generation in generations if not generation.finish}
    assert not driver.model.samplers
    assert not driver.scheduler.busy
