"""Turns with ``semantic_vad``, through a connection: with a model that is told what to hear, and with the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deployments.messages import Audio
from deployments.settings import model_path
from graphs.http.openai.realtime.voice_models import VoiceModels
from models.cache import NotPulled
from tests.graphs.http.openai.realtime.live import Graph, Live
from tests.graphs.http.openai.realtime.recordings import RATE_HZ, recording, silence
from tests.graphs.http.openai.realtime.test_connection import in_loop


class ToldModels(VoiceModels):
    """The model of voice activity, and one that hears these probabilities one after the other."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__(Path("no-file"))
        self.heard_s: list[float] = []
        self._probabilities = iter(probabilities)

    async def end_of_turn(self) -> Any:
        return self

    def probability(self, utterance: Audio) -> float:
        self.heard_s.append(utterance.duration_s)
        return next(self._probabilities)


@pytest.fixture(scope="module")
def real() -> VoiceModels:
    try:
        return VoiceModels(model_path("smart-turn-v3"))
    except (FileNotFoundError, NotPulled) as error:
        pytest.skip(str(error))


def joined(*parts: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate(parts)


def first(seconds: float) -> NDArray[np.float32]:
    return recording("reader1_1")[: round(seconds * RATE_HZ)]


async def turn_end_ms(models: VoiceModels, samples: NDArray[np.float32], eagerness: str = "auto") -> int:
    """Return where the first turn of a recording ends."""
    async with Live(Graph(), voice_models=models) as live:
        live.configure(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": eagerness}}})
        live.speak(samples)
        stopped = await live.until("input_audio_buffer.speech_stopped")
        await live.until("conversation.item.done")
        return int(stopped["audio_end_ms"])


def test_a_turn_that_sounds_complete_ends_in_its_first_short_pause() -> None:
    async def body() -> None:
        models = ToldModels(0.9)
        end_ms = await turn_end_ms(models, joined(first(1.6), silence(1)))
        assert 1600 <= end_ms <= 2000
        assert models.heard_s == [pytest.approx(end_ms / 1000, abs=0.4)]  # all of the turn, and its pause

    in_loop(body)


def test_a_turn_that_does_not_sound_complete_goes_on_through_a_pause() -> None:
    async def body() -> None:
        models = ToldModels(0.1, 0.9)
        end_ms = await turn_end_ms(models, joined(first(1.6), silence(1), first(1.6), silence(1)))
        assert 4200 <= end_ms <= 4600

    in_loop(body)


def test_a_turn_that_never_sounds_complete_ends_after_the_longest_wait() -> None:
    async def body() -> None:
        end_ms = await turn_end_ms(ToldModels(0.1), joined(first(1.6), silence(3)), "high")
        assert 3500 <= end_ms <= 3800

    in_loop(body)


@pytest.mark.parametrize(("eagerness", "ends"), [("low", False), ("high", True)])
def test_the_more_eager_is_content_with_less(eagerness: str, ends: bool) -> None:
    async def body() -> None:
        samples = joined(first(1.6), silence(1), first(1.6), silence(1))
        end_ms = await turn_end_ms(ToldModels(0.4, 0.9), samples, eagerness)
        assert (end_ms < 2600) == ends

    in_loop(body)


def test_the_real_model_ends_a_whole_sentence(real: VoiceModels) -> None:
    async def body() -> None:
        sentence = recording("reader2_2")
        end_ms = await turn_end_ms(real, joined(sentence, silence(2)))
        assert abs(end_ms / 1000 - len(sentence) / RATE_HZ) < 0.6

    in_loop(body)


def test_the_real_model_waits_for_the_rest_of_half_a_sentence(real: VoiceModels) -> None:
    async def body() -> None:
        assert await turn_end_ms(real, joined(first(1.6), silence(1), recording("reader2_2"), silence(2))) > 2600

    in_loop(body)
