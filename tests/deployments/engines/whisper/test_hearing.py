"""Which windows of a recording are heard, how often, and which transcript counts. The model is scripted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deployments.engines.whisper import hearing
from deployments.engines.whisper.attempt import Attempt
from deployments.engines.whisper.hearing import Hearing, quietest
from deployments.engines.whisper.settings import WhisperConfig
from tests.deployments.engines.whisper.test_attempt import GOOD

WHOLE, SHORT = 3000, 1200
UNCERTAIN = replace(GOOD, log_prob=-1.5)
SILENT = replace(UNCERTAIN, no_speech_prob=0.9)
LOOPING = replace(GOOD, compression_ratio=9.0)


@dataclass(frozen=True)
class Try:
    """One call of ``decode``."""

    window: int
    frames: int
    temperature: float
    prompt: str | None
    language: str


@dataclass
class Segment:
    """What the hearing reads of the library's segments."""

    text: str
    start: float
    end: float


@dataclass
class Script:
    """A model whose ``answer`` to a try is scripted; windows end where they are to end."""

    answer: Callable[[Try], Attempt]
    languages: dict[int, tuple[str, float]] = field(default_factory=dict)
    ends_s: float | None = None
    longest: int = WHOLE
    tries: list[Try] = field(default_factory=list)
    encoded: list[int] = field(default_factory=list)

    def window(self, frames: int) -> int:
        return min(WHOLE, max(SHORT, frames + 400))

    def encode(self, features: NDArray[np.float32], window: int) -> int:
        self.encoded.append(window)
        return window

    def detect_language(self, encoded: int) -> tuple[str, float]:
        return self.languages[encoded]

    def decode(self, encoded: int, window: int, frames: int, language: str, prompt: Any, temperature: float, _: Any):
        self.tries.append(Try(window, frames, temperature, prompt, language))
        answer = self.answer(self.tries[-1])
        return replace(answer, temperature=temperature, whole=window == WHOLE, language=language)

    def segments(self, attempt: Attempt, encoded: Any, at: int, end: int, *, words: bool, last_s: float) -> Any:
        following = end if self.ends_s is None else at + round(100 * self.ends_s)
        return [Segment(attempt.text, at / 100, following / 100)], following


def audio(seconds: float) -> NDArray[np.float32]:
    return np.zeros((80, round(100 * seconds)), np.float32)


def hear(model: Any, features: NDArray[np.float32], language: str | None = "en", **settings: Any) -> list[list[Any]]:
    """Return what each step yields."""
    config = WhisperConfig(**settings)
    return list(Hearing(model, features, config, language, lambda count: None, Event()).steps())


def hearing_of(model: Any, features: NDArray[np.float32], stopped: Event | None = None, **settings: Any) -> Any:
    return Hearing(model, features, WhisperConfig(**settings), "en", lambda count: None, stopped or Event()).steps()


def texts(steps: list[list[Any]]) -> list[str]:
    return [segment.text for step in steps for segment in step]


def once(first: Attempt, then: Attempt = GOOD) -> Callable[[Try], Attempt]:
    """Answer the first try in one way, all further ones in another."""
    answers = iter([first])
    return lambda _: next(answers, then)


def test_a_short_turn_is_heard_in_a_short_window() -> None:
    model = Script(lambda _: GOOD)
    assert texts(hear(model, audio(2))) == [GOOD.text]
    assert model.encoded == [SHORT]


def test_a_doubtful_transcript_is_heard_again_in_the_whole_window() -> None:
    model = Script(once(UNCERTAIN))
    assert texts(hear(model, audio(2))) == [GOOD.text]
    assert model.encoded == [SHORT, WHOLE]
    assert [one.temperature for one in model.tries] == [0, 0]


def test_higher_temperatures_follow_over_the_same_encoding() -> None:
    model = Script(lambda one: GOOD if one.temperature == 0.4 else UNCERTAIN)
    hear(model, audio(2))
    assert [one.temperature for one in model.tries] == [0, 0, 0.2, 0.4]
    assert model.encoded == [SHORT, WHOLE]


def test_the_likeliest_try_counts_if_all_are_doubtful() -> None:
    model = Script(lambda one: replace(UNCERTAIN, text=f"{one.temperature}", log_prob=-2 + (one.temperature == 0.2)))
    assert texts(hear(model, audio(2), log_prob_threshold=-0.5)) == ["0.2"]


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_the_number_of_tries_is_a_setting(tries: int) -> None:
    model = Script(lambda _: UNCERTAIN)
    assert texts(hear(model, audio(2), tries=tries)) == [UNCERTAIN.text]
    assert len(model.tries) == tries


def test_no_further_try_begins_after_the_time_for_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(hearing.time, "monotonic", lambda: float(next(clock)))  # each try takes a second
    model = Script(lambda _: UNCERTAIN)
    assert texts(hear(model, audio(2), retry_limit_s=2.5)) == [UNCERTAIN.text]
    assert len(model.tries) == 3


def test_other_work_may_run_between_two_tries() -> None:
    model = Script(lambda _: UNCERTAIN)
    before = [len(model.tries) for _ in hearing_of(model, audio(70), tries=3)]
    assert before == list(range(1, len(model.tries) + 1))


def test_no_operation_begins_once_the_request_is_given_up() -> None:
    stopped = Event()
    model = Script(lambda _: GOOD)
    encode = model.encode

    def given_up(features: NDArray[np.float32], window: int) -> int:
        stopped.set()
        return encode(features, window)

    model.encode = given_up  # type: ignore[method-assign]
    assert list(hearing_of(model, audio(70), stopped)) == []
    assert (len(model.encoded), model.tries) == (1, [])


def test_every_try_is_counted() -> None:
    counts: list[int] = []
    model: Any = Script(once(UNCERTAIN))
    list(Hearing(model, audio(2), WhisperConfig(), "en", counts.append, Event()).steps())
    assert counts == [1, 1]


def test_a_window_without_speech_has_no_text() -> None:
    model = Script(lambda _: SILENT)
    assert texts(hear(model, audio(2))) == []
    assert model.encoded == [SHORT, WHOLE]


def test_improbable_words_are_kept_where_there_is_speech() -> None:
    assert texts(hear(Script(lambda _: UNCERTAIN), audio(2))) == [UNCERTAIN.text]


def test_repetitive_speech_is_heard_in_parts_until_it_is_not() -> None:
    model = Script(lambda one: LOOPING if one.frames > 250 else GOOD)
    steps = hear(model, audio(8))
    assert texts(steps) == [GOOD.text] * 4
    starts = [(segment.start, segment.end) for step in steps for segment in step]
    assert starts == [(0, 2), (2, 4), (4, 6), (6, 8)]


def test_repetitive_speech_is_kept_if_no_further_try_is_allowed() -> None:
    assert texts(hear(Script(lambda _: LOOPING), audio(8), tries=1)) == [LOOPING.text]


def test_repetitive_speech_that_is_too_short_to_cut_is_tried_again() -> None:
    model = Script(lambda one: GOOD if one.temperature else LOOPING)
    assert texts(hear(model, audio(1))) == [GOOD.text]
    assert [one.temperature for one in model.tries] == [0, 0, 0.2]


def test_parts_of_a_window_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(hearing.time, "monotonic", lambda: float(next(clock)))
    model = Script(lambda _: LOOPING)
    hear(model, audio(25), retry_limit_s=1.5)
    assert [one.frames for one in model.tries] == [2500, 1250, 1250]  # the second part is cut no further


def test_a_rest_before_a_pause_is_not_heard() -> None:
    model = Script(lambda _: GOOD, ends_s=1.8)
    hear(model, audio(2))
    assert [one.frames for one in model.tries] == [200]


def test_speech_after_the_last_segment_of_a_window_is_heard_from_there() -> None:
    model = Script(lambda _: GOOD, ends_s=4)
    assert [segment.start for step in hear(model, audio(9)) for segment in step] == [0, 4, 8]


def test_every_window_begins_later_than_the_one_before() -> None:
    model = Script(lambda _: GOOD, ends_s=0)
    hear(model, audio(2))
    assert [one.frames for one in model.tries] == [200, 150, 100, 50]


def test_the_prompt_is_for_the_first_window_with_speech() -> None:
    model = Script(once(SILENT))
    hear(model, audio(70), prompt="Paris.")
    assert [one.prompt for one in model.tries] == ["Paris.", "Paris.", None]


def test_the_language_is_detected_once() -> None:
    model = Script(lambda _: GOOD, languages={WHOLE: ("de", 0.9)})
    hear(model, audio(70), language=None)
    assert [one.language for one in model.tries] == ["de"] * 3


def test_an_uncertain_language_is_detected_in_the_whole_window() -> None:
    model = Script(lambda _: GOOD, languages={SHORT: ("cy", 0.3), WHOLE: ("en", 0.4)})
    hear(model, audio(2), language=None)
    assert model.tries[-1].language == "en"


def test_a_window_is_cut_at_the_pause_nearest_to_its_middle() -> None:
    features = np.ones((80, 400), np.float32)
    for pause in (110, 230, 290):
        features[:, pause - 6 : pause + 6] = -0.5
    assert abs(quietest(features) - 230) <= 2
