"""One recording, window by window, each heard as often as its transcript needs.

A window of audio that is shorter than the model's 30 s ends with little silence, which saves most of the encoder's
time. If the transcript is to be doubted, the whole window is heard, then with higher temperatures (Radford et al. 2022,
section 4.5). If it says the same again and again, the window is cut at a pause and its parts are heard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.engines.whisper.attempt import Attempt, Doubt, best
from deployments.engines.whisper.model import Model
from deployments.engines.whisper.settings import WhisperConfig

TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
SURE_LANGUAGE = 0.5  # probability below which the language is detected in the whole window
SHORTEST_CUT = 120  # frames
LEAST_ADVANCE = 50  # frames from one window to the next, wherever the model places the next segment
SMOOTHING = 8  # frames, about the shortest pause between two words
DISTANCE_WEIGHT = 0.15  # of the distance from the middle, in units of log-mel features: 6 dB at a quarter


@dataclass(frozen=True, slots=True)
class Heard:
    """The best transcript of a window and the encoder's output for it; or ``cut``, the frame where it is to end."""

    attempt: Attempt
    encoded: Any
    cut: int = 0


class Hearing:
    """The state of one recording, of which ``features`` are the log-mel features."""

    def __init__(
        self,
        model: Model,
        features: NDArray[np.float32],
        config: WhisperConfig,
        language: str | None,
        count: Callable[[int], None],
        stopped: Event,
    ) -> None:
        """``count`` is called with the number of segments of each try. Once ``stopped`` is set, no operation begins."""
        self._model = model
        self._features = features
        self._config = config
        self.language = language
        self._prompt = config.prompt
        self._count = count
        self._stopped = stopped
        self._said_s = 0.0  # the end of the last word
        self._spent_s = 0.0  # on the window, or on all parts of one that was cut

    def steps(self) -> Generator[list[Any], None, None]:
        """Yield the library's segments of each window, and an empty list after each try that is to be repeated."""
        at, total = 0, self._features.shape[1]
        ends: list[int] = []  # of a window that was cut and of its parts, the next one last
        while at < total:
            while ends and at >= ends[-1]:
                ends.pop()
            if not ends:
                self._spent_s = 0.0
            end = ends[-1] if ends else min(at + self._model.longest, total)
            heard = yield from self._hear(at, end)
            if heard is None:
                return
            if heard.cut:
                ends += [heard.cut] if ends else [end, heard.cut]
                continue
            if heard.attempt.doubt(self._config) is Doubt.NO_SPEECH:
                at = end
                continue
            self.language = heard.attempt.language
            self._prompt = None  # only for the first window with speech
            segments, following = self._model.segments(
                heard.attempt, heard.encoded, at, end, words=self._config.words, last_s=self._said_s
            )
            if segments:
                self._said_s = segments[-1].end
            self._count(len(segments))
            at = min(end, max(following, at + LEAST_ADVANCE))
            if end - at < LEAST_ADVANCE and (end == total or len(ends) > 1):
                at = end  # a segment that begins just before a pause has no words, and the model would invent some
            yield segments

    def _hear(self, at: int, end: int) -> Generator[list[Any], None, Heard | None]:
        """Return the first transcript without doubt, or the best one, within the number and time of tries.

        Return ``None`` if the request was given up.
        """
        config, features, frames = self._config, self._features[:, at:end], end - at
        tries: list[Heard] = []
        encoded, encoded_window = None, 0
        plan = self._plan(frames)
        for number, (window, temperature) in enumerate(plan, 1):
            started_s = time.monotonic()
            if window != encoded_window:
                encoded, encoded_window = self._model.encode(features, window), window
            if self._stopped.is_set():
                return None
            language, sure = self.language, True
            if language is None:
                language, probability = self._model.detect_language(encoded)
                sure = probability >= SURE_LANGUAGE or window == self._model.longest
            attempt = self._model.decode(encoded, window, frames, language, self._prompt, temperature, config)
            self._spent_s += time.monotonic() - started_s
            tries.append(Heard(attempt, encoded))
            doubt = attempt.doubt(config)
            if (doubt is None and sure) or (doubt is Doubt.NO_SPEECH and attempt.whole):
                return tries[-1]
            if number == len(plan) or self._spent_s > config.retry_limit_s:
                break
            self._count(1)
            yield []
            if doubt is Doubt.REPETITIVE and frames >= SHORTEST_CUT:
                return Heard(attempt, encoded, cut=at + quietest(features))
        chosen = best([one.attempt for one in tries], config)
        return next(one for one in tries if one.attempt is chosen)

    def _plan(self, frames: int) -> list[tuple[int, float]]:
        """Return the window and the temperature of each try."""
        lowest, window, whole = self._config.temperature, self._model.window(frames), self._model.longest
        windows = [window] if window == whole else [window, whole]
        plan = [(window, lowest) for window in windows] + [
            (whole, higher) for higher in TEMPERATURES if higher > lowest
        ]
        return plan[: self._config.tries]


def quietest(features: NDArray[np.float32]) -> int:
    """Return the frame to cut at: in the quietest place of the middle half, of two alike the one nearer to the middle.

    ``features`` are log-mel features of shape (mels, frames), at least 2 * SMOOTHING frames.
    """
    frames = features.shape[1]
    levels = np.convolve(features.mean(axis=0), np.full(SMOOTHING, 1 / SMOOTHING), "same")
    places = np.arange(frames // 4, frames - frames // 4)
    distance = np.abs(places - frames / 2) / (frames / 4)
    return int(places[np.argmin(levels[places] + DISTANCE_WEIGHT * distance)])
