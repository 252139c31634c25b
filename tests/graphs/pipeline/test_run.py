"""``run`` over fake stages: the order of events, the overlap of stages, cancellation, and failures at each stage."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
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
    ChatValue,
    MessagesDropped,
    Omitted,
    Segment,
    SpeakOptions,
    TextDelta,
    TranscribeOptions,
    Word,
)
from graphs.pipeline.events import (
    AudioChunk,
    Done,
    Event,
    SegmentReady,
    StageDone,
    TextChunk,
    TextOmitted,
    TranscriptReady,
)
from graphs.pipeline.plan import Plan, Stage, plan
from graphs.pipeline.run import run
from graphs.pipeline.turn import Output, Turn, TurnMessage

STORY = ("A fox ", "slept. ", "A bird ", "sang. ", "A bear ", "woke. ")
SENTENCES = ["A fox slept.", "A bird sang.", "A bear woke."]
LEVELS = [0.1, 0.11, 0.2, 0.21, 0.3, 0.31]  # of the audio of SENTENCES


def audio(value: float = 0.1) -> Audio:
    return Audio(np.full(1600, value, np.float32), 16_000)


@dataclass
class FakeStages:
    """Records the calls and the number of those in progress. ``wait_s`` is the queue wait of each call.

    A sentence becomes two chunks, whose levels identify it.
    """

    deltas: Sequence[str] = STORY
    transcript: str = "hello"
    step_s: float = 0.0
    chunk_s: float = 0.0
    wait_s: float = 0.0
    dropped: int = 0
    omits: str = ""  # of each sentence
    fails: dict[Stage, ParleyError] = field(default_factory=dict)
    hangs: Stage | None = None
    log: list[str] = field(default_factory=list)
    messages: Sequence[ChatMessage] = ()
    transcriptions: list[TranscribeOptions] = field(default_factory=list)
    sentences: list[int] = field(default_factory=list)
    active: int = 0
    synthesizing: int = 0
    most_synthesizing: int = 0
    queued_s: dict[Stage, float] = field(default_factory=lambda: defaultdict(float))

    async def _step(self, stage: Stage, seconds: float) -> None:
        if stage in self.fails:
            raise self.fails[stage]
        if self.hangs is stage:
            await asyncio.Event().wait()
        await asyncio.sleep(seconds)

    async def transcribe(self, audio: Audio, options: TranscribeOptions) -> AsyncGenerator[Segment, None]:
        self.transcriptions.append(options)
        self.active += 1
        try:
            self.queued_s[Stage.ASR] += self.wait_s
            await self._step(Stage.ASR, self.step_s)
            for text in self.transcript.split():
                yield Segment(text, 0, 1, (Word(text, 0.25, 0.75),))
        finally:
            self.active -= 1

    async def chat(
        self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> AsyncGenerator[ChatValue, None]:
        self.messages = messages
        self.active += 1
        try:
            self.queued_s[stage] += self.wait_s
            if self.dropped:
                yield MessagesDropped(self.dropped)
            for delta in self.deltas:
                await self._step(stage, self.step_s)
                self.log.append(f"generate {delta.strip()}")
                yield TextDelta(delta)
            yield ChatEnd("stop", 7, len(self.deltas))
        finally:
            self.active -= 1

    async def speak(self, sentence: str, options: SpeakOptions) -> AsyncGenerator[Omitted | Audio, None]:
        self.log.append(f"speak {sentence}")
        self.sentences.append(options.sentence)
        self.active += 1
        self.synthesizing += 1
        self.most_synthesizing = max(self.most_synthesizing, self.synthesizing)
        try:
            self.queued_s[Stage.TTS] += self.wait_s
            if self.omits:
                yield Omitted(self.omits)
            for chunk in range(2):
                await self._step(Stage.TTS, self.chunk_s)
                yield audio((SENTENCES.index(sentence) + 1) / 10 + chunk / 100 if sentence in SENTENCES else 0.9)
        finally:
            self.active -= 1
            self.synthesizing -= 1


def turn(output: Output = Output.TEXT, **content: object) -> Turn:
    return Turn("t", (TurnMessage("user", **(content or {"text": "hi"})),), output)  # type: ignore[arg-type]


def transcription(
    recording: AsyncGenerator[tuple[float, Audio], None], options: TranscribeOptions | None = None
) -> Turn:
    return Turn("t", transcription=options or TranscribeOptions(), recording=recording)


async def pieces(number: int = 3) -> AsyncGenerator[tuple[float, Audio], None]:
    for index in range(number):
        yield index * 30.0, audio()


def events_of(
    stages: FakeStages, turn: Turn, *, deadline_s: float = 10, model: Stage | None = None
) -> AsyncGenerator[Event, None]:
    return run(plan(turn.inputs, turn.output, model), turn, stages, deadline_s=deadline_s)


def collect(stages: FakeStages, turn: Turn, *, deadline_s: float = 10, model: Stage | None = None) -> list[Event]:
    async def all_of() -> list[Event]:
        return [event async for event in events_of(stages, turn, deadline_s=deadline_s, model=model)]

    return asyncio.run(all_of())


def levels(events: list[Event]) -> list[float]:
    return [round(float(event.audio.samples[0]), 2) for event in events if isinstance(event, AudioChunk)]


def ended_stages(events: list[Event]) -> list[str]:
    return [event.stage for event in events if isinstance(event, StageDone)]


# --- chat -------------------------------------------------------------------------------------------------------------


def test_what_the_voice_leaves_out_comes_before_the_audio_of_its_sentence_and_once_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(logging.getLogger("ray.serve"), "warning", lambda text, *values: logged.append(text % values))
    events = collect(FakeStages(omits="Привет мир"), turn(Output.VOICE))
    spoken = [event for event in events if isinstance(event, TextOmitted | AudioChunk)]
    assert [type(event) for event in spoken] == [TextOmitted, AudioChunk, AudioChunk] * 3
    assert spoken[0] == TextOmitted("Привет мир")
    assert logged == ["the voice left out 27 characters of a text, which it cannot read"]


def test_a_text_answer_is_its_deltas_and_ends_with_done() -> None:
    events = collect(FakeStages(), turn())
    assert [e.text for e in events if isinstance(e, TextChunk)] == list(STORY)
    assert events[-1] == Done("stop", 7, 6)
    assert ended_stages(events) == ["llm"]


def test_dropped_messages_are_an_event_before_the_text() -> None:
    stages = FakeStages(dropped=4)
    events = collect(stages, turn(Output.VOICE))
    assert events[0] == MessagesDropped(4)
    assert all(not isinstance(event, MessagesDropped) for event in events[1:])


def test_each_stage_reports_the_summed_queue_wait_of_its_calls() -> None:
    events = collect(FakeStages(wait_s=0.25), turn(Output.VOICE, audio=(audio(), audio())))
    waits = {e.stage: e.queue_ms for e in events if isinstance(e, StageDone)}
    assert waits == {"asr": 2 * 250, "llm": 250, "tts": 3 * 250}  # recordings, conversations, sentences
    assert levels(events) == LEVELS


def test_the_transcript_of_the_last_message_is_an_event_and_follows_the_text_of_that_message() -> None:
    stages = FakeStages(transcript="what is this")
    events = collect(stages, turn(text="Look:", audio=(audio(),)))
    assert events[0] == TranscriptReady("what is this")
    assert stages.messages == [ChatMessage("user", "Look:\nwhat is this")]


def test_all_recordings_of_a_conversation_are_transcribed_and_only_the_last_messages_transcript_is_an_event() -> None:
    stages = FakeStages(transcript="spoken")
    earlier = TurnMessage("user", audio=(audio(), audio()))
    events = collect(stages, Turn("t", (earlier, TurnMessage("assistant", "aha"), TurnMessage("user", "written"))))
    assert [m.text for m in stages.messages] == ["spoken spoken", "aha", "written"]
    assert not [e for e in events if isinstance(e, TranscriptReady)]


def test_speech_without_words_is_an_error_only_if_the_message_has_no_text() -> None:
    with pytest.raises(NoSpeech):
        collect(FakeStages(transcript=""), turn(audio=(audio(),)))
    stages = FakeStages(transcript="")
    assert collect(stages, turn(text="hi", audio=(audio(),)))[0] == TranscriptReady("")
    assert stages.messages[0].text == "hi"


@pytest.mark.parametrize(("peak", "advice"), [(0.0, "closer"), (0.1, "closer"), (0.5, "Record again")])
def test_the_error_for_no_speech_mentions_the_microphone_only_for_quiet_audio(peak: float, advice: str) -> None:
    recording = Audio(np.array([0, -peak, 0], np.float32), 16_000)
    with pytest.raises(NoSpeech, match=advice) as caught:
        collect(FakeStages(transcript=""), turn(audio=(recording,)))
    assert ("closer" in caught.value.message) == (advice == "closer")


def test_audio_is_in_the_order_of_the_text() -> None:
    events = collect(FakeStages(step_s=0.001, chunk_s=0.003), turn(Output.VOICE))
    assert levels(events) == LEVELS
    assert ended_stages(events) == ["llm", "tts"]


def test_the_first_sentence_is_synthesized_while_the_rest_is_generated() -> None:
    stages = FakeStages(step_s=0.005)
    collect(stages, turn(Output.VOICE))
    assert stages.log.index("speak A fox slept.") < stages.log.index("generate A bear")


def test_each_synthesis_has_the_index_of_its_sentence() -> None:
    stages = FakeStages()
    collect(stages, turn(Output.VOICE))
    assert stages.sentences == [0, 1, 2]


def test_at_most_one_sentence_is_synthesized_ahead() -> None:
    stages = FakeStages(chunk_s=0.005, deltas=[f"{s} " for s in SENTENCES * 4])
    collect(stages, turn(Output.VOICE))
    assert stages.most_synthesizing == 2


def test_an_answer_without_a_word_has_no_audio() -> None:
    events = collect(FakeStages(deltas=["😀 ", "..."]), turn(Output.VOICE))
    assert levels(events) == []
    assert isinstance(events[-1], Done)


def test_a_generation_without_a_finish_reason_is_an_error() -> None:
    class WithoutEnd(FakeStages):
        async def chat(
            self, stage: Stage, messages: Sequence[ChatMessage], options: ChatOptions
        ) -> AsyncGenerator[ChatValue, None]:
            yield TextDelta("So")

    with pytest.raises(EngineUnavailable):
        collect(WithoutEnd(), turn())


# --- speech: the plan (TTS,) ------------------------------------------------------------------------------------------


def test_a_text_is_read_aloud_sentence_by_sentence_without_the_chat_model() -> None:
    stages = FakeStages(wait_s=0.25)
    story = turn(Output.VOICE, text="".join(STORY))
    assert plan(story.inputs, story.output, Stage.TTS) == Plan((Stage.TTS,))
    events = collect(stages, story, model=Stage.TTS)
    assert levels(events) == LEVELS
    assert stages.log == [f"speak {sentence}" for sentence in SENTENCES]
    assert stages.sentences == [0, 1, 2]
    assert not [e for e in events if isinstance(e, TextChunk)]
    assert [(e.stage, e.queue_ms) for e in events if isinstance(e, StageDone)] == [("tts", 3 * 250)]
    assert events[-1] == Done("stop", 0, 0)


def test_a_text_without_a_word_has_no_audio() -> None:
    stages = FakeStages()
    assert collect(stages, turn(Output.VOICE, text="😀 ..."), model=Stage.TTS) == [Done("stop", 0, 0)]
    assert stages.log == []


# --- transcription: the plan (ASR,) -----------------------------------------------------------------------------------


def test_the_segments_of_a_recording_have_times_from_its_start() -> None:
    stages = FakeStages(transcript="one two", wait_s=0.25)
    recorded = transcription(pieces(2))
    assert plan(recorded.inputs, recorded.output, Stage.ASR) == Plan((Stage.ASR,))
    events = collect(stages, recorded, model=Stage.ASR)
    assert [e.segment for e in events if isinstance(e, SegmentReady)] == [
        Segment(text, start_s, start_s + 1, (Word(text, start_s + 0.25, start_s + 0.75),))
        for start_s in (0.0, 30.0)
        for text in ("one", "two")
    ]
    assert not [e for e in events if isinstance(e, TranscriptReady | TextChunk)]
    assert [(e.stage, e.queue_ms) for e in events if isinstance(e, StageDone)] == [("asr", 2 * 250)]
    assert events[-1] == Done("stop", 0, 0)


def test_each_piece_of_a_recording_is_transcribed_with_the_turns_options_and_its_index() -> None:
    stages = FakeStages()
    collect(stages, transcription(pieces(), TranscribeOptions(language="en", words=True)), model=Stage.ASR)
    assert stages.transcriptions == [TranscribeOptions(language="en", words=True, piece=index) for index in range(3)]


def test_a_recording_without_speech_has_no_segments() -> None:
    events = collect(FakeStages(transcript=""), transcription(pieces()), model=Stage.ASR)
    assert ended_stages(events) == ["asr"]
    assert [type(e) for e in events] == [StageDone, Done]


def test_the_deadline_of_a_recording_holds_for_each_of_its_pieces() -> None:
    stages = FakeStages(step_s=0.06)
    events = collect(stages, transcription(pieces(5)), model=Stage.ASR, deadline_s=0.2)
    assert len([e for e in events if isinstance(e, SegmentReady)]) == 5  # 0.3 s altogether
    with pytest.raises(DeadlineExceeded):
        collect(FakeStages(step_s=0.06), transcription(pieces(5)), model=Stage.ASR, deadline_s=0.02)


def test_at_most_two_pieces_are_decoded_ahead_of_the_transcription() -> None:
    """One is in the queue and one waits until it can be put there."""
    stages = FakeStages(step_s=0.005)
    ahead: list[int] = []  # at each piece that is decoded

    async def watched() -> AsyncGenerator[tuple[float, Audio], None]:
        async for piece in pieces(6):
            ahead.append(len(ahead) + 1 - len(stages.transcriptions))
            yield piece

    collect(stages, transcription(watched()), model=Stage.ASR)
    assert len(stages.transcriptions) == 6
    assert max(ahead) <= 2


def test_an_error_while_a_recording_is_decoded_ends_the_run() -> None:
    async def broken() -> AsyncGenerator[tuple[float, Audio], None]:
        yield 0.0, audio()
        raise Overloaded("broken")

    stages = FakeStages(step_s=0.005)
    with pytest.raises(Overloaded, match="broken"):
        collect(stages, transcription(broken()), model=Stage.ASR)
    assert stages.active == 0


def test_closing_the_run_of_a_recording_stops_the_transcription_and_closes_the_recording() -> None:
    stages = FakeStages(transcript="word " * 1000, step_s=0.001)
    closed: list[bool] = []

    async def recording() -> AsyncGenerator[tuple[float, Audio], None]:
        try:
            async for piece in pieces(100):
                yield piece
        finally:
            closed.append(True)

    async def close_early() -> None:
        events = events_of(stages, transcription(recording()), model=Stage.ASR)
        async for _ in events:
            break
        await events.aclose()
        assert stages.active == 0
        assert closed == [True]

    asyncio.run(close_early())


# --- failures, deadlines, cancellation --------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [Stage.ASR, Stage.LLM, Stage.TTS])
def test_a_failing_stage_ends_the_run_with_its_error_and_stops_the_others(stage: Stage) -> None:
    stages = FakeStages(fails={stage: Overloaded("full", retry_after_s=3)}, step_s=0.001)
    with pytest.raises(Overloaded, match="full"):
        collect(stages, turn(Output.VOICE, audio=(audio(),)))
    assert stages.active == 0


@pytest.mark.parametrize("stage", [Stage.ASR, Stage.LLM, Stage.TTS])
def test_a_stage_that_hangs_exceeds_the_deadline(stage: Stage) -> None:
    stages = FakeStages(hangs=stage)
    with pytest.raises(DeadlineExceeded):
        collect(stages, turn(Output.VOICE, audio=(audio(),)), deadline_s=0.05)
    assert stages.active == 0


@pytest.mark.parametrize("until", [TranscriptReady, TextChunk, AudioChunk])
def test_closing_the_run_stops_every_stage(until: type[Event]) -> None:
    stages = FakeStages(deltas=STORY * 1000, step_s=0.001, chunk_s=0.001)

    async def close_early() -> None:
        events = events_of(stages, turn(Output.VOICE, audio=(audio(),)))
        async for event in events:
            if isinstance(event, until):
                break
        await events.aclose()
        assert stages.active == 0
        logged = len(stages.log)
        await asyncio.sleep(0.01)
        assert len(stages.log) == logged

    asyncio.run(close_early())


@pytest.mark.parametrize("stage", [Stage.ASR, Stage.LLM, Stage.TTS])
def test_cancelling_the_consumer_stops_a_stage_that_is_waiting(stage: Stage) -> None:
    stages = FakeStages(hangs=stage)

    async def exhaust(events: AsyncIterator[Event]) -> None:
        async for _ in events:
            pass

    async def cancel() -> None:
        consumer = asyncio.create_task(exhaust(events_of(stages, turn(Output.VOICE, audio=(audio(),)))))
        await asyncio.sleep(0.02)
        assert stages.active > 0
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)
        assert stages.active == 0

    asyncio.run(cancel())


def test_a_slow_consumer_limits_how_far_the_model_generates_ahead() -> None:
    stages = FakeStages(deltas=["word "] * 1000)

    async def consume_one() -> None:
        events = events_of(stages, turn())
        await anext(events)
        await asyncio.sleep(0.02)
        assert len(stages.log) < 100
        await events.aclose()

    asyncio.run(consume_one())
