"""The run with stages that only pretend: order, overlap, cancellation, and failures at each stage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from deployments.errors import DeadlineExceeded, EngineUnavailable, NoSpeech, Overloaded, ParleyError
from deployments.messages import (
    Audio,
    ChatEnd,
    ChatMessage,
    ChatOptions,
    Segment,
    SpeakOptions,
    Taken,
    TextDelta,
    TranscribeOptions,
)
from graphs.pipeline.events import AudioChunk, Done, Event, StageDone, TextChunk, TranscriptReady
from graphs.pipeline.plan import Stage, plan
from graphs.pipeline.run import hear, run
from graphs.pipeline.turn import Output, Turn, TurnMessage

STORY = ("A fox ", "slept. ", "A bird ", "sang. ", "A bear ", "woke. ")
SPOKEN = ["A fox slept.", "A bird sang.", "A bear woke."]


def sound(value: float = 0.1) -> Audio:
    return Audio(np.full(1600, value, np.float32), 16_000)


@dataclass
class FakeStages:
    """Remembers who was called, what had been said when each sentence was begun, and who was closed early."""

    deltas: Sequence[str] = STORY
    heard: str = "hello"
    step_s: float = 0.0
    voice_s: float = 0.0
    queued_s: float | None = None
    fails: dict[Stage, ParleyError] = field(default_factory=dict)
    hangs: Stage | None = None
    log: list[str] = field(default_factory=list)
    messages: Sequence[ChatMessage] = ()
    running: int = 0
    most_voices: int = 0
    sentences: list[int] = field(default_factory=list)
    voices: int = 0

    async def _step(self, stage: Stage, seconds: float) -> None:
        if stage in self.fails:
            raise self.fails[stage]
        if self.hangs is stage:
            await asyncio.Event().wait()
        await asyncio.sleep(seconds)

    async def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Taken | Segment, None]:
        self.running += 1
        try:
            if self.queued_s is not None:
                yield Taken(self.queued_s)
            await self._step(Stage.ASR, self.step_s)
            for word in self.heard.split():
                yield Segment(word, 0, 1)
        finally:
            self.running -= 1

    async def chat(
        self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[Taken | TextDelta | ChatEnd, None]:
        self.messages = messages
        self.running += 1
        try:
            if self.queued_s is not None:
                yield Taken(self.queued_s)
            for delta in self.deltas:
                await self._step(stage, self.step_s)
                self.log.append(f"think {delta.strip()}")
                yield TextDelta(delta)
            yield ChatEnd("stop", 7, len(self.deltas))
            self.log.append("thought")
        finally:
            self.running -= 1

    async def speak(self, text: str, options: SpeakOptions) -> AsyncGenerator[Taken | Audio, None]:
        self.log.append(f"speak {text}")
        self.sentences.append(options.sentence)
        self.running += 1
        self.voices += 1
        self.most_voices = max(self.most_voices, self.voices)
        try:
            if self.queued_s is not None:
                yield Taken(self.queued_s)
            for part in range(2):
                await self._step(Stage.TTS, self.voice_s)
                yield sound((SPOKEN.index(text) + 1) / 10 + part / 100 if text in SPOKEN else 0.9)
        finally:
            self.running -= 1
            self.voices -= 1


def turn(output: Output = Output.TEXT, **content: object) -> Turn:
    return Turn("t", (TurnMessage("user", **(content or {"text": "hi"})),), output)  # type: ignore[arg-type]


def events_of(
    stages: FakeStages, asked: Turn, *, deadline_s: float = 10, overlap: bool = True
) -> AsyncGenerator[Event, None]:
    return run(plan(asked.inputs, asked.output), asked, stages, deadline_s=deadline_s, overlap=overlap)


def collect(stages: FakeStages, asked: Turn, **options: float) -> list[Event]:
    async def all_of() -> list[Event]:
        return [event async for event in events_of(stages, asked, **options)]  # type: ignore[arg-type]

    return asyncio.run(all_of())


def levels(events: list[Event]) -> list[float]:
    return [round(float(event.audio.samples[0]), 2) for event in events if isinstance(event, AudioChunk)]


def test_text_comes_as_it_is_thought_and_ends_with_done() -> None:
    events = collect(FakeStages(), turn())
    assert [e.text for e in events if isinstance(e, TextChunk)] == list(STORY)
    assert events[-1] == Done("stop", 7, 6)
    assert [e.stage for e in events if isinstance(e, StageDone)] == ["llm"]


def test_each_stage_tells_how_long_its_calls_waited() -> None:
    events = collect(FakeStages(queued_s=0.25), turn(Output.VOICE, audio=(sound(), sound())))
    waits = {e.stage: e.queue_ms for e in events if isinstance(e, StageDone)}
    assert waits == {"asr": 2 * 250, "llm": 250, "tts": 3 * 250}  # recordings, conversations, sentences
    assert levels(events) == [0.1, 0.11, 0.2, 0.21, 0.3, 0.31]


def test_what_was_said_is_told_and_joins_what_was_written() -> None:
    stages = FakeStages(heard="what is this")
    events = collect(stages, turn(text="Look:", audio=(sound(),)))
    assert events[0] == TranscriptReady("what is this")
    assert stages.messages == [ChatMessage("user", "Look:\nwhat is this")]


def test_every_recording_of_the_conversation_is_heard_and_the_last_is_told() -> None:
    stages = FakeStages(heard="spoken")
    earlier = TurnMessage("user", audio=(sound(), sound()))
    asked = Turn("t", (earlier, TurnMessage("assistant", "aha"), TurnMessage("user", "written")))
    events = collect(stages, asked)
    assert [m.text for m in stages.messages] == ["spoken spoken", "aha", "written"]
    assert not [e for e in events if isinstance(e, TranscriptReady)]


def test_a_recording_without_words_is_an_error_only_when_nothing_is_written() -> None:
    with pytest.raises(NoSpeech):
        collect(FakeStages(heard=""), turn(audio=(sound(),)))
    stages = FakeStages(heard="")
    assert collect(stages, turn(text="hi", audio=(sound(),)))[0] == TranscriptReady("")
    assert stages.messages[0].text == "hi"


def test_sound_keeps_the_order_of_the_text() -> None:
    events = collect(FakeStages(step_s=0.001, voice_s=0.003), turn(Output.VOICE))
    assert levels(events) == [0.1, 0.11, 0.2, 0.21, 0.3, 0.31]
    assert [e.stage for e in events if isinstance(e, StageDone)] == ["llm", "tts"]


def test_the_first_sentence_is_spoken_while_the_rest_is_thought() -> None:
    stages = FakeStages(step_s=0.005)
    collect(stages, turn(Output.VOICE))
    assert stages.log.index("speak A fox slept.") < stages.log.index("think A bear")


def test_the_voice_is_told_which_sentence_of_the_answer_it_speaks() -> None:
    stages = FakeStages()
    collect(stages, turn(Output.VOICE))
    assert stages.sentences == [0, 1, 2]


def test_the_listener_is_told_which_piece_of_the_recording_it_hears() -> None:
    pieces: list[int] = []

    class Listening(FakeStages):
        def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
            pieces.append(options.piece)
            return super().transcribe(audio, options)

    async def recording() -> AsyncGenerator[tuple[float, Audio], None]:
        for i in range(3):
            yield i * 30.0, sound()

    async def all_of() -> list[Event]:
        return [event async for event in hear(recording(), TranscribeOptions(), Listening(), deadline_s=10)]

    asyncio.run(all_of())
    assert pieces == [0, 1, 2]


def test_without_overlap_the_voice_waits_for_the_whole_text() -> None:
    stages = FakeStages(step_s=0.001)
    assert levels(collect(stages, turn(Output.VOICE), overlap=False)) == [0.1, 0.11, 0.2, 0.21, 0.3, 0.31]
    assert stages.log.index("thought") < stages.log.index("speak A fox slept.")


def test_one_sentence_is_synthesized_ahead_and_no_more() -> None:
    stages = FakeStages(voice_s=0.005, deltas=[f"{s} " for s in SPOKEN * 4])
    collect(stages, turn(Output.VOICE))
    assert stages.most_voices == 2


def test_an_answer_without_words_has_no_sound() -> None:
    events = collect(FakeStages(deltas=["😀 ", "..."]), turn(Output.VOICE))
    assert levels(events) == []
    assert isinstance(events[-1], Done)


@pytest.mark.parametrize("stage", [Stage.ASR, Stage.LLM, Stage.TTS])
def test_a_failing_stage_ends_the_run_with_its_error_and_stops_the_others(stage: Stage) -> None:
    stages = FakeStages(fails={stage: Overloaded("full", retry_after_s=3)}, step_s=0.001)
    with pytest.raises(Overloaded, match="full"):
        collect(stages, turn(Output.VOICE, audio=(sound(),)))
    assert stages.running == 0


@pytest.mark.parametrize("stage", [Stage.ASR, Stage.LLM, Stage.TTS])
def test_a_stage_that_hangs_meets_the_deadline(stage: Stage) -> None:
    stages = FakeStages(hangs=stage)
    with pytest.raises(DeadlineExceeded):
        collect(stages, turn(Output.VOICE, audio=(sound(),)), deadline_s=0.05)
    assert stages.running == 0


def test_a_model_that_ends_without_saying_why_is_an_error() -> None:
    class Mute(FakeStages):
        async def chat(
            self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
        ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
            yield TextDelta("So")

    with pytest.raises(EngineUnavailable):
        collect(Mute(), turn())


@pytest.mark.parametrize("until", [TranscriptReady, TextChunk, AudioChunk])
def test_closing_the_run_stops_every_stage(until: type[Event]) -> None:
    stages = FakeStages(deltas=STORY * 1000, step_s=0.001, voice_s=0.001)

    async def leave_early() -> None:
        events = events_of(stages, turn(Output.VOICE, audio=(sound(),)))
        async for event in events:
            if isinstance(event, until):
                break
        await events.aclose()
        assert stages.running == 0
        said = len(stages.log)
        await asyncio.sleep(0.01)
        assert len(stages.log) == said

    asyncio.run(leave_early())


@pytest.mark.parametrize("stage", [Stage.ASR, Stage.LLM, Stage.TTS])
def test_cancelling_the_reader_stops_a_stage_that_is_waiting(stage: Stage) -> None:
    stages = FakeStages(hangs=stage)

    async def read(events: AsyncIterator[Event]) -> None:
        async for _ in events:
            pass

    async def cancel() -> None:
        reader = asyncio.create_task(read(events_of(stages, turn(Output.VOICE, audio=(sound(),)))))
        await asyncio.sleep(0.02)
        assert stages.running > 0
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert stages.running == 0

    asyncio.run(cancel())


def test_a_slow_reader_holds_the_model_back() -> None:
    stages = FakeStages(deltas=["word "] * 1000)

    async def read_one() -> None:
        events = events_of(stages, turn())
        await anext(events)
        await asyncio.sleep(0.02)
        assert len(stages.log) < 100
        await events.aclose()

    asyncio.run(read_one())
