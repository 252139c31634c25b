"""The recognition of a turn while it grows, with a recognizer that hears each word of a script once it was spoken."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.errors import EngineUnavailable
from deployments.messages import Audio, Segment, TranscribeOptions, Word
from graphs.http.openai.realtime.codecs import WireFormat, encode
from graphs.http.openai.realtime.input_audio import RATE_HZ, InputAudio
from graphs.http.openai.realtime.recognition import Recognition, RecognitionRules
from models.errors import NotPulled
from tests.graphs.http.openai.realtime.recordings import recording

TIMEOUT_S = 10
RULES = RecognitionRules(partial=True, interval_ms=500, window_ms=10_000)
OPTIONS = TranscribeOptions(language="en")


class Tape:
    """In place of InputAudio: each sample is its own position, so that a recognizer knows what it hears."""

    def __init__(self) -> None:
        self.end_ms = 0

    def slice(self, start_ms: int, end_ms: int | None = None) -> Audio:
        end = min(self.end_ms, self.end_ms if end_ms is None else end_ms) * RATE_HZ // 1000
        return Audio(np.arange(start_ms * RATE_HZ // 1000, end, dtype=np.float32), RATE_HZ)


class Recognizer:
    """Hears the words of ``script``, each with the ms at which it ends. ``calls`` has the start, end and options."""

    def __init__(self, script: list[tuple[str, int]]) -> None:
        self.script = script
        self.calls: list[tuple[int, int, TranscribeOptions]] = []
        self.active = self.most_active = self.closed = 0
        self.fails = False
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        start_ms = round(float(audio.samples[0]) / 16) if len(audio.samples) else 0
        end_ms = start_ms + round(audio.duration_s * 1000)
        self.calls.append((start_ms, end_ms, options))
        self.active += 1
        self.most_active = max(self.active, self.most_active)
        try:
            await self.free.wait()
            if self.fails:
                raise EngineUnavailable("no replica")
            heard = [(word, at_ms) for word, at_ms in self.script if start_ms < at_ms <= end_ms]
            if heard:
                found = tuple(Word(word, 0, (at_ms - start_ms) / 1000) for word, at_ms in heard)
                yield Segment(" ".join(word for word, _ in heard), 0, 1, found if options.words else ())
        finally:
            self.active -= 1
            self.closed += 1


class Turn:
    """A turn that is spoken."""

    def __init__(self, recognizer: Recognizer, rules: RecognitionRules = RULES, options: TranscribeOptions = OPTIONS):
        self.tape = Tape()
        self.deltas: list[str] = []
        self.now_s = 0.0
        self.recognition = Recognition(
            recognizer,
            self.tape,
            0,
            options,
            rules,
            self.deltas.append,
            lambda: self.now_s,  # type: ignore[arg-type]
        )

    async def speak(self, until_ms: int, step_ms: int = 100) -> None:
        while self.tape.end_ms < until_ms:
            self.tape.end_ms = min(until_ms, self.tape.end_ms + step_ms)
            self.recognition.advance()
            await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]], timeout_s: float = TIMEOUT_S) -> None:
    async def within_timeout() -> None:
        async with asyncio.timeout(timeout_s):
            await test()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(within_timeout())


def every_half_second(text: str) -> list[tuple[str, int]]:
    return [(word, 500 * index) for index, word in enumerate(text.split(), 1)]


SCRIPT = every_half_second("and so my fellow Americans ask not")


def test_words_are_reported_while_the_person_speaks() -> None:
    async def test() -> None:
        turn = Turn(Recognizer(SCRIPT))
        await turn.speak(until_ms=2000)
        assert turn.deltas == ["and", " so", " my"]
        assert await turn.recognition.finish(2000) == "and so my fellow"
        assert "".join(turn.deltas) == "and so my fellow"

    run(test)


def test_a_pass_begins_when_enough_audio_has_come() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        await turn.speak(until_ms=1700)
        assert [(start, end) for start, end, _ in recognizer.calls] == [(0, 500), (0, 1000), (0, 1500)]

    run(test)


def test_a_slow_recognizer_gets_fewer_passes() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        recognizer.free.clear()
        turn = Turn(recognizer)
        await turn.speak(until_ms=500)
        turn.now_s += 0.6
        recognizer.free.set()
        await turn.speak(until_ms=1600)
        assert len(recognizer.calls) == 1
        await turn.speak(until_ms=1700)
        assert len(recognizer.calls) == 2

    run(test)


def test_at_most_one_pass_is_in_progress() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        recognizer.free.clear()
        turn = Turn(recognizer)
        await turn.speak(until_ms=2000)
        assert len(recognizer.calls) == 1
        turn.recognition.pause(speech_end_ms=2000)
        await settle()
        finish = asyncio.create_task(turn.recognition.finish(2500))
        await settle()
        recognizer.free.set()
        await finish
        assert recognizer.most_active == 1

    run(test)


def test_a_pass_over_everything_begins_in_a_pause_and_is_the_last_one() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        await turn.speak(until_ms=1200)
        turn.recognition.pause(speech_end_ms=1050)
        await turn.speak(until_ms=1600)
        assert [(start, end) for start, end, _ in recognizer.calls][-1] == (0, 1200)
        before = len(recognizer.calls)
        assert await turn.recognition.finish(1600, speech_end_ms=1050) == "and so"
        assert len(recognizer.calls) == before

    run(test)


def test_the_last_pass_may_still_be_in_progress_at_the_end_of_the_turn() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        await turn.speak(until_ms=1200)
        recognizer.free.clear()
        turn.recognition.pause(speech_end_ms=1050)
        await turn.speak(until_ms=1600)
        finish = asyncio.create_task(turn.recognition.finish(1600, speech_end_ms=1050))
        await settle()
        assert not finish.done()
        recognizer.free.set()
        assert await finish == "and so"
        assert recognizer.calls[-1][:2] == (0, 1200)

    run(test)


def test_speech_after_the_pause_is_heard_as_well() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        await turn.speak(until_ms=1200)
        turn.recognition.pause(speech_end_ms=1050)
        await turn.speak(until_ms=1300)
        turn.recognition.resume()
        await turn.speak(until_ms=1600)
        assert await turn.recognition.finish(2100, speech_end_ms=1600) == "and so my"

    run(test)


def test_a_pass_that_has_not_heard_the_end_is_cancelled_in_a_pause() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        recognizer.free.clear()
        await turn.speak(until_ms=1700)
        turn.recognition.pause(speech_end_ms=1550)
        await settle()
        assert recognizer.closed == 1
        recognizer.script = every_half_second("what was said last")
        recognizer.free.set()
        assert await turn.recognition.finish(2000, speech_end_ms=1550) == "what was said"
        assert [(start, end) for start, end, _ in recognizer.calls] == [(0, 500), (0, 1700)]

    run(test)


def test_a_pass_that_has_heard_the_end_goes_on_in_a_pause() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        recognizer.free.clear()
        await turn.speak(until_ms=500)
        await turn.speak(until_ms=700)
        turn.recognition.pause(speech_end_ms=390)
        recognizer.free.set()
        assert await turn.recognition.finish(900, speech_end_ms=390) == "and"
        assert len(recognizer.calls) == 1

    run(test)


def test_a_pass_that_ends_with_the_speech_may_have_missed_its_last_sound() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        await turn.speak(until_ms=500)
        turn.tape.end_ms = 600
        turn.recognition.pause(speech_end_ms=450)
        assert await turn.recognition.finish(900, speech_end_ms=450) == "and"
        assert [(start, end) for start, end, _ in recognizer.calls] == [(0, 500), (0, 600)]

    run(test)


def test_without_partial_passes_there_is_one_at_the_end() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer, replace(RULES, partial=False))
        await turn.speak(until_ms=2000)
        turn.recognition.pause(speech_end_ms=1800)
        await settle()
        assert recognizer.calls == []
        assert await turn.recognition.finish(2000, speech_end_ms=1800) == "and so my fellow"
        assert turn.deltas == ["and so my fellow"]
        assert recognizer.calls == [(0, 2000, OPTIONS)]

    run(test)


def test_a_turn_without_words_has_an_empty_transcript() -> None:
    async def test() -> None:
        turn = Turn(Recognizer([]))
        await turn.speak(until_ms=1000)
        assert await turn.recognition.finish(1000) == ""
        assert turn.deltas == []

    run(test)


def test_a_word_that_the_last_pass_hears_differently_is_right_in_the_transcript() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        await turn.speak(until_ms=1700)
        recognizer.script = every_half_second("and sew my fellow")
        assert await turn.recognition.finish(1700) == "and sew my"
        assert turn.deltas == ["and", " so"]

    run(test)


def test_the_audio_may_be_discarded_before_the_transcript_is_there() -> None:
    async def test() -> None:
        heard_s: list[float] = []

        async def transcribe(audio: Audio, _: TranscribeOptions) -> AsyncGenerator[Segment, None]:
            heard_s.append(audio.duration_s)
            yield Segment("ask not", 0, 1)

        audio = InputAudio(WireFormat.PCM, max_buffer_s=10)
        audio.append(bytes(48_000))
        finish = Recognition(transcribe, audio, 0, OPTIONS, RULES, [].append).finish(900)
        audio.discard(before_ms=900)
        assert await finish == "ask not"
        assert heard_s == [0.9]

    run(test)


def test_what_a_partial_pass_fails_on_a_later_one_hears() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        recognizer.fails = True
        await turn.speak(until_ms=1200)
        turn.recognition.pause(speech_end_ms=1000)
        await settle()
        recognizer.fails = False
        assert await turn.recognition.finish(1500, speech_end_ms=1000) == "and so"

    run(test)


def test_the_error_of_the_last_pass_is_raised() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        await turn.speak(until_ms=1200)
        recognizer.fails = True
        with pytest.raises(EngineUnavailable):
            await turn.recognition.finish(1200)

    run(test)


def test_the_pass_in_progress_stops_when_the_session_ends() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        recognizer.free.clear()
        turn = Turn(recognizer)
        await turn.speak(until_ms=1200)
        await turn.recognition.close()
        assert (recognizer.active, recognizer.closed) == (0, 1)
        assert turn.deltas == []

    run(test)


@pytest.mark.parametrize("speech_end_ms", [None, 1000])
def test_the_last_pass_stops_when_nobody_waits_for_it(speech_end_ms: int | None) -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        recognizer.free.clear()
        turn = Turn(recognizer)
        turn.tape.end_ms = 1200
        turn.recognition.pause(speech_end_ms=1000)
        finish = asyncio.create_task(turn.recognition.finish(1500, speech_end_ms))
        await settle()
        assert recognizer.active == 1
        finish.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await finish
        assert recognizer.active == 0

    run(test)


def test_partial_passes_queue_behind_those_that_somebody_waits_for() -> None:
    async def test() -> None:
        recognizer = Recognizer(SCRIPT)
        turn = Turn(recognizer)
        await turn.speak(until_ms=700)
        turn.recognition.pause(speech_end_ms=650)
        await settle()
        assert [options.piece for _, _, options in recognizer.calls] == [1, 0]

    run(test)


def test_confirmed_sentences_of_a_long_turn_are_not_heard_again() -> None:
    async def test() -> None:
        sentences = [(f"word{index}" + "." * (index % 4 == 0), 500 * index) for index in range(1, 61)]
        recognizer = Recognizer(sentences)
        turn = Turn(recognizer, replace(RULES, window_ms=3000))
        await turn.speak(until_ms=30_000)
        transcript = await turn.recognition.finish(30_000)
        assert transcript.split() == [word for word, _ in recognizer.script]
        assert "".join(turn.deltas) == transcript
        assert max(end - start for start, end, _ in recognizer.calls) < 7000
        assert all(options.words == (end - start > 3000) for start, end, options in recognizer.calls)

    run(test)


def test_a_long_turn_is_cut_at_the_end_of_a_sentence() -> None:
    async def test() -> None:
        recognizer = Recognizer(every_half_second("one two three. four five six seven eight nine"))
        turn = Turn(recognizer, replace(RULES, window_ms=3000))
        await turn.speak(until_ms=4500)
        assert recognizer.calls[-1][0] == 1500
        assert await turn.recognition.finish(4500) == "one two three. four five six seven eight nine"

    run(test)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.sampled_from(["append", "append", "append", "pause", "resume", "hold", "free", "fail", "work"]), max_size=60
    )
)
def test_reported_words_add_up_to_the_transcript_whatever_happens(steps: list[str]) -> None:
    async def test() -> None:
        recognizer = Recognizer([(f"w{index}.", 300 * index) for index in range(1, 80)])
        turn = Turn(recognizer, replace(RULES, window_ms=2000))
        for step in steps:
            if step == "append":
                await turn.speak(turn.tape.end_ms + 300)
            elif step == "pause":
                turn.recognition.pause(turn.tape.end_ms)
            elif step == "resume":
                turn.recognition.resume()
            elif step in ("hold", "free"):
                recognizer.free.clear() if step == "hold" else recognizer.free.set()
            else:
                recognizer.fails = step == "fail"
        recognizer.free.set()
        recognizer.fails = False
        transcript = await turn.recognition.finish(turn.tape.end_ms)
        await settle()
        assert transcript == "".join(turn.deltas)
        assert transcript.split() == [word for word, at_ms in recognizer.script if at_ms <= turn.tape.end_ms]
        assert recognizer.most_active <= 1
        assert recognizer.active == 0

    run(test)


def whisper_base() -> Any:
    """The recognizer, in this process."""
    from deployments.engines.whisper.engine import WhisperRecognizer
    from deployments.engines.whisper.settings import WhisperArgs

    try:
        return WhisperRecognizer(WhisperArgs(model="whisper-base", threads=2, workers=1))
    except NotPulled as error:
        pytest.skip(str(error))


def test_whisper_hears_a_speech_of_eleven_seconds_while_it_is_spoken() -> None:
    from deployments.engines.whisper.settings import WhisperConfig

    engine = whisper_base()
    idle = asyncio.Event()

    async def transcribe(audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        try:
            async with aclosing(engine.transcribe(audio, WhisperConfig().for_request(options))) as segments:
                async for segment in segments:
                    yield segment
        finally:
            idle.set()

    async def test() -> None:
        audio = InputAudio(WireFormat.PCMU, max_buffer_s=60)
        deltas: list[str] = []
        rules = RecognitionRules(partial=True, interval_ms=3500, window_ms=5000)
        recognition = Recognition(transcribe, audio, 0, OPTIONS, rules, deltas.append, lambda: 0.0)
        heard_ms = 0
        data = encode(recording("jfk")[::2], WireFormat.PCMU)
        for at in range(0, len(data), 800):
            audio.append(data[at : at + 800])
            recognition.advance()
            if audio.end_ms >= heard_ms + rules.interval_ms:
                await idle.wait()  # else the passes would be later than in real time
                idle.clear()
                await settle()
                heard_ms = audio.end_ms
        reported = len(deltas)
        transcript = await recognition.finish(audio.end_ms)
        assert reported >= 1
        assert transcript.startswith("".join(deltas))
        assert " ".join(re.findall(r"[a-z]+", transcript.lower())) == (
            "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
        )

    run(test, timeout_s=200)
