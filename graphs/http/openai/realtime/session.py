"""One session of the Realtime API as a state machine: events of the client and of the service in, effects out. Pure.

It has no clock, no task and no socket; every input has the time at which it came. An input for something that is over,
such as audio of a cancelled response, is ignored, so that the code around it may be late.

A turn of a person who talks: ``speech_started`` begins recognition, and cuts off an answer. ``speech_stopped`` makes an
item of the audio. ``transcribed`` adds its words, and then the response is created. Its run reports ``text``,
``sentence`` and ``audio``, and ends with ``run_done``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from deployments.errors import (
    ContextOverflow,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ParleyError,
    RateLimited,
    TooLarge,
)
from deployments.messages import Audio, Image
from graphs.http.openai.realtime import client_events, server_events
from graphs.http.openai.realtime.client_events import (
    AudioAppend,
    AudioClear,
    AudioCommit,
    ClientEvent,
    EventError,
    ItemCreate,
    ItemDelete,
    ItemReference,
    ItemRetrieve,
    ItemTruncate,
    OutputAudioClear,
    ResponseCancel,
    ResponseCreate,
    ResponseFields,
    SessionUpdate,
)
from graphs.http.openai.realtime.configuration import (
    AudioInput,
    Configuration,
    Kind,
    RealtimeConfiguration,
    RetentionRatio,
    ServerVad,
    default,
    described,
    updated,
)
from graphs.http.openai.realtime.conversation import ROOT, Conversation, Heard, Item, Spoken
from graphs.http.openai.realtime.effects import (
    AppendAudio,
    CancelRun,
    CancelTranscription,
    ClearAudio,
    Close,
    ConfigureInput,
    DiscardAudio,
    Effect,
    Respond,
    Send,
    StopPlayback,
    Transcribe,
    TranscribeAudio,
)
from graphs.http.openai.realtime.input_buffer import InputBuffer, Speech
from graphs.http.openai.realtime.item_fields import Decoding, NewItem, new_item
from graphs.http.openai.realtime.response import Response, ResponseOptions
from graphs.http.openai.realtime.server_events import JsonObject
from graphs.http.openai.realtime.session_limits import SessionLimits
from graphs.http.openai.realtime.silence import Silence
from graphs.pipeline.events import Done
from graphs.pipeline.turn import TurnMessage

MAX_WAITING_EVENTS = 1000  # while a picture is decoded; of all together max_message_bytes
KEPT_ON_OVERFLOW = 0.5  # of the conversation, when it is longer than the model's context
GOING_AWAY = 1001  # of RFC 6455
NO_ITEM_TO_RETRIEVE = "item_retrieve_invalid_item_id"  # code of an error, as OpenAI's
RESTARTING = "The service is restarting: the session ends after its current response. Connect again."

BREAK_SILENCE = "(The user has been silent. Ask in one short sentence whether they are still there.)"


class Session:
    """A conversation, or with kind "transcription" a stream of speech to transcribe.

    ``model`` is the name that the client connected with. A ``configuration``, for example of a client secret, replaces
    the default one. ``require`` raises ``InvalidRequest`` for a configuration that this service cannot do.
    ``new_id("event")`` returns a new id that begins with ``event_``.
    """

    def __init__(
        self,
        *,
        session_id: str,
        model: str,
        kind: Kind,
        limits: SessionLimits,
        new_id: Callable[[str], str],
        now_s: float,
        require: Callable[[Configuration], None],
        configuration: Configuration | None = None,
    ) -> None:
        self._id = session_id
        self._limits = limits
        self._new_id = new_id
        self._require = require
        self._now_s = self._started_s = self._last_activity_s = now_s
        self._configured = configuration is not None
        self._configuration = configuration or default(kind, model)
        self._conversation = Conversation()
        self._conversation_id = new_id("conv")
        self._responses: dict[str, Response] = {}  # those in progress
        self._buffer = InputBuffer(limits.max_buffer_s)
        self._silence = Silence()
        self._awaited_turns: set[str] = set()  # turns that are to be answered when their words are known
        self._answer_due = False  # the user has said something that no response answers yet
        self._decoding: Decoding | None = None
        self._waiting: deque[ClientEvent | EventError] = deque()  # for the decoding to end
        self._leaving: str | None = None  # why the session closes after its current responses and transcripts
        self._leave_by_s: float | None = None  # when it closes without them
        self._closed = False
        self._effects: list[Effect] = []

    @property
    def next_deadline_s(self) -> float:
        """When ``tick`` is to be called at the latest."""
        session_end_s = self._started_s + self._limits.session_s
        deadlines_s = (session_end_s, self._idle_end_s, self._silence_end_s, self._leave_by_s)
        return min(deadline_s for deadline_s in deadlines_s if deadline_s is not None)

    def start(self) -> list[Effect]:
        """Begin: the configuration of the input, and session.created."""
        self._configure_input()
        self._send(server_events.session_created(described(self._configuration, self._id)))
        return self._result()

    # Messages of the client

    def receive(self, message: str | bytes, now_s: float) -> list[Effect]:
        """Handle a message of the client. Never raises: what is wrong with it is sent as an error event."""
        return self.handle(self.parse(message), now_s)

    def parse(self, message: str | bytes) -> ClientEvent | EventError:
        """Validate a message. It may be called from another thread: a large message takes milliseconds."""
        limits = self._limits
        try:
            return client_events.parse(message, max_bytes=limits.max_message_bytes, max_items=limits.max_json_items)
        except EventError as error:
            return error

    def handle(self, event: ClientEvent | EventError, now_s: float) -> list[Effect]:
        """Handle a message that ``parse`` has returned; ``receive`` does both.

        While an earlier event's picture or recording is decoded, further events wait in their order.
        """
        if not self._is_open_at(now_s):
            return []
        self._last_activity_s = now_s
        if self._decoding is None:
            self._apply(event)
        elif self._may_wait(event):
            self._waiting.append(event)
        else:
            message = "Too many events wait for a picture or a recording to be decoded. Send fewer."
            self._refuse(RateLimited(message), event.event_id)
        return self._result()

    def _may_wait(self, event: ClientEvent | EventError) -> bool:
        size = sum(waiting.size for waiting in self._waiting) + event.size
        return len(self._waiting) < MAX_WAITING_EVENTS and size <= self._limits.max_message_bytes

    def _apply(self, event: ClientEvent | EventError) -> None:
        try:
            if isinstance(event, EventError):
                raise event
            self._dispatch(event)
        except (EventError, ParleyError) as error:
            self._refuse(error, event.event_id)

    def _refuse(self, error: EventError | ParleyError, event_id: str | None) -> None:
        error = error if isinstance(error, EventError) else EventError(error)
        self._send(server_events.error(error, event_id))

    def _dispatch(self, event: ClientEvent) -> None:
        """Carry out one event. Raises ``EventError`` or ``ParleyError``, before anything has changed."""
        match event:
            case SessionUpdate():
                self._update(event)
            case AudioAppend():
                self._append(event.audio)
            case AudioCommit():
                self._commit()
            case AudioClear():
                self._clear()
            case OutputAudioClear():
                message = "The audio is with the client. Send response.cancel and conversation.item.truncate."
                raise InvalidRequest(message, param="type")
            case ItemCreate():
                self._create_item(event)
            case ItemRetrieve():
                self._send(server_events.item_retrieved(self._item(event.item_id, NO_ITEM_TO_RETRIEVE).described()))
            case ItemTruncate():
                self._truncate(event)
            case ItemDelete():
                self._delete(self._item(event.item_id, "item_delete_invalid_item_id"))
            case ResponseCreate():
                self._create_response(event)
            case ResponseCancel():
                self._cancel_response(event.response_id)

    def _update(self, event: SessionUpdate) -> None:
        before = self._input
        configuration = updated(self._configuration, event.session)
        self._require(configuration)
        self._configuration, self._configured = configuration, True
        if (self._input.wire, self._input.turn_detection) != (before.wire, before.turn_detection):
            self._configure_input()
        self._send(server_events.session_updated(described(self._configuration, self._id)))

    # The input buffer

    def _append(self, data: bytes) -> None:
        if not self._configured:
            message = "Send session.update first: it agrees on the format of the audio."
            raise EventError(InvalidRequest(message), code="session_not_configured")
        detects_turns = self._input.turn_detection is not None
        self._buffer.append(self._input.wire.duration_ms(len(data)), detects_turns=detects_turns)
        if data:
            self._do(AppendAudio(data))

    def _commit(self) -> None:
        """Make an item of the buffered audio; the client says where it ends, and when it is answered."""
        speech = self._buffer.commit(self._new_id("item"))
        self._commit_speech(speech, self._buffer.end_ms)
        if self._input.turn_detection is not None:
            self._configure_input()  # what is committed is no turn any more, also where it is not processed yet

    def _clear(self) -> None:
        self._forget_speech()
        self._buffer.end(self._buffer.end_ms)
        self._do(ClearAudio())
        self._send(server_events.cleared())

    def _configure_input(self) -> None:
        self._forget_speech()
        self._do(ConfigureInput(self._input.wire, self._input.turn_detection))

    def _forget_speech(self) -> None:
        """Forget a turn in progress; its audio stays in the buffer."""
        if self._buffer.speech is not None:
            self._do(CancelTranscription(self._buffer.speech.item_id))
            self._buffer.speech = None
            self._silence.begin_again(self._now_s)

    # Turns that are detected

    def speech_started(self, start_ms: int, now_s: float) -> list[Effect]:
        """A turn was detected in the input; it begins at ``start_ms``, prefix included."""
        detection = self._input.turn_detection
        if not self._is_open_at(now_s) or detection is None or self._buffer.speech is not None:
            return []
        speech = self._buffer.begin_speech(self._new_id("item"), start_ms)
        interrupted = self._own_response if detection.interrupt_response else None
        if interrupted is not None and interrupted.running:
            self._do(CancelRun(interrupted.id))
        self._send(server_events.speech_started(speech.item_id, speech.start_ms))
        self._transcribe(speech, None)
        if detection.interrupt_response:
            self._stop_playback()
        if interrupted is not None:
            # Somebody who goes on before the answer has begun is to be answered on both.
            self._answer_due |= interrupted.automatic and interrupted.item is None
            self._end(interrupted, interrupted.cancelled("turn_detected"))
        self._silence.begin_again(now_s)
        return self._result()

    def speech_stopped(self, end_ms: int, now_s: float) -> list[Effect]:
        """The turn ended; its audio ends at ``end_ms``."""
        detection, speech = self._input.turn_detection, self._buffer.speech
        if not self._is_open_at(now_s) or detection is None or speech is None:
            return []
        end_ms = max(end_ms, speech.start_ms)
        self._send(server_events.speech_stopped(speech.item_id, end_ms))
        if detection.create_response and self._converses:
            self._awaited_turns.add(speech.item_id)
        self._commit_speech(speech, end_ms)
        return self._result()

    def _commit_speech(self, speech: Speech, end_ms: int) -> None:
        """Make an item of a stretch of the input, and have its words recognized."""
        busy = self._is_busy
        self._buffer.end(end_ms)
        item = Item(speech.item_id, "user", [Heard()], awaits_words=True, start_ms=speech.start_ms)
        self._add_committed(item)
        if busy:
            self._do(CancelTranscription(item.id))
            self._fail_words(item, _busy())
        else:
            self._transcribe(speech, end_ms)

    def _add_committed(self, item: Item) -> None:
        self._send(server_events.committed(item.id, self._conversation.last_id))
        self._add(item)

    def _transcribe(self, speech: Speech, end_ms: int | None) -> None:
        self._do(Transcribe(speech.item_id, speech.start_ms, end_ms, self._input.options, self._reports))

    # Words

    def transcript_delta(self, item_id: str, text: str, now_s: float) -> list[Effect]:
        """More words of an item are known. They may come before the turn has ended."""
        item, speech = self._awaiting(item_id), self._buffer.speech
        is_known = item is not None or (speech is not None and speech.item_id == item_id)
        if self._is_open_at(now_s) and is_known and self._reports and text:
            self._send(server_events.transcription_delta(item_id, item.heard_index if item else 0, text))
        return self._result()

    def transcribed(
        self, item_id: str, transcript: str, seconds: float, language: str | None, now_s: float
    ) -> list[Effect]:
        """All words of an item are known; none if it was a noise. ``seconds`` is the length of its audio."""
        if self._is_open_at(now_s) and (item := self._awaiting(item_id)) is not None:
            transcript = transcript.strip()
            if self._reports:
                index = item.heard_index
                self._send(server_events.transcription_completed(item.id, index, transcript, seconds, language))
            self._answer_due |= item.id in self._awaited_turns and transcript != ""
            self._set_words(item, transcript)
        return self._result()

    def transcription_failed(self, item_id: str, error: ParleyError, now_s: float) -> list[Effect]:
        """The words of an item could not be recognized."""
        if self._is_open_at(now_s) and (item := self._awaiting(item_id)) is not None:
            self._fail_words(item, error)
        return self._result()

    def _fail_words(self, item: Item, error: ParleyError) -> None:
        """Go on without the words of an item. A turn gets a response all the same, which fails or answers the rest."""
        item.error = error
        if self._reports:
            self._send(server_events.transcription_failed(item.id, item.heard_index, error))
        self._answer_due |= item.id in self._awaited_turns
        self._set_words(item, "")

    def _set_words(self, item: Item, transcript: str) -> None:
        item.awaits_words = False
        item.content[item.heard_index] = Heard(transcript)
        self._awaited_turns.discard(item.id)
        if item.start_ms is not None:
            self._discard_audio()
        self._silence.begin_again(self._now_s)
        self._enforce_limits()

    def _discard_audio(self) -> None:
        """Let go of the audio that neither an item nor the buffer needs."""
        starts = [item.start_ms for item in self._conversation if item.awaits_words and item.start_ms is not None]
        self._do(DiscardAudio(min(*starts, self._buffer.needed_from_ms, self._buffer.end_ms)))

    def _awaiting(self, item_id: str) -> Item | None:
        """Return the item, if its words are still being recognized."""
        item = self._conversation.get(item_id)
        return item if item is not None and item.awaits_words else None

    @property
    def _awaits_words(self) -> bool:
        return any(item.awaits_words for item in self._conversation)

    @property
    def _is_busy(self) -> bool:
        """Whether as many recordings are being transcribed as may be."""
        return sum(item.awaits_words for item in self._conversation) >= self._limits.max_transcriptions

    # Items and responses that a client creates, whose media are decoded first

    def _create_item(self, event: ItemCreate) -> None:
        if not self._converses:
            raise InvalidRequest("A transcription session has no conversation. Append audio instead.", param="type")
        item_id = event.item.id or self._new_id("item")
        self._decode(event, [new_item(event.item, item_id, self._input.wire, self._limits, "item")])

    def _create_response(self, event: ResponseCreate) -> None:
        items: list[NewItem] = []
        for index, fields in enumerate(event.response.input or ()):
            param = f"response.input.{index}"
            if isinstance(fields, ItemReference):
                items.append(NewItem(self._item(fields.id, NO_ITEM_TO_RETRIEVE, f"{param}.id")))
            else:
                items.append(new_item(fields, self._new_id("item"), self._input.wire, self._limits, param))
        if any(decode.kind == "audio" for item in items for decode in item.decodes):
            message = "Audio is not supported in the input of a response. Create an item, and refer to it."
            raise InvalidRequest(message, param="response.input")
        self._require_small(items)
        self._decode(event, items)

    def _require_small(self, items: Sequence[NewItem]) -> None:
        """Refuse an input of a response whose items, repeated references included, are together beyond the limits."""
        limits = self._limits
        pictures = sum(len(item.decodes) + item.item.pictures for item in items)
        if pictures > limits.max_images:
            message = f"The input has {pictures} pictures; the limit is {limits.max_images}."
            raise InvalidRequest(message, param="response.input")
        chars = sum(item.item.chars for item in items)
        if chars > limits.max_chars:
            message = f"The input has {chars:,} characters; the limit is {limits.max_chars:,}."
            raise TooLarge(message, param="response.input")

    def _decode(self, event: ItemCreate | ResponseCreate, items: Sequence[NewItem]) -> None:
        """Have media decoded, then finish the event."""
        self._decoding = Decoding(event, items)
        for item in items:
            for decode in item.decodes:
                self._do(decode)
        self._finish_decoding()

    def media_decoded(self, item_id: str, part_index: int, media: Image | Audio, now_s: float) -> list[Effect]:
        """A ``Decode`` has succeeded. Audio is of any rate."""
        if self._is_open_at(now_s) and self._decoding is not None:
            self._decoding.succeed(item_id, part_index, media)
            self._finish_decoding()
        return self._result()

    def media_failed(self, item_id: str, part_index: int, error: ParleyError, now_s: float) -> list[Effect]:
        """A ``Decode`` has failed: the event is refused when its other media have been decoded."""
        if self._is_open_at(now_s) and self._decoding is not None:
            self._decoding.fail(item_id, part_index, error)
            self._finish_decoding()
        return self._result()

    def _finish_decoding(self) -> None:
        """Carry out an event whose media are all decoded, then those that waited for it."""
        if self._decoding is None or not self._decoding.is_complete:
            return
        decoding, self._decoding = self._decoding, None
        event = decoding.event
        try:
            if decoding.error is not None:
                raise decoding.error
            if isinstance(event, ItemCreate):
                self._finish_item(event, decoding.items[0], decoding.recording)
            elif event.response.input is not None:
                self._begin_response(event.response, decoding.items)
            else:
                self._begin_response(event.response)
        except (EventError, ParleyError) as error:
            self._refuse(error, event.event_id)
        while self._waiting and self._decoding is None:
            self._apply(self._waiting.popleft())

    def _finish_item(self, event: ItemCreate, item: Item, recording: Audio | None) -> None:
        if item.id == ROOT or item.id in self._used_ids:
            message = f"The id '{item.id}' is taken. Choose another one, or leave it out."
            raise EventError(InvalidRequest(message, param="item.id"), code="item_create_invalid_item_id")
        if event.previous_item_id not in (None, ROOT):
            self._item(event.previous_item_id or "", "item_create_invalid_previous_item_id", "previous_item_id")
        busy = self._is_busy
        item.awaits_words = recording is not None
        self._add(item, event.previous_item_id)
        if recording is None or not item.awaits_words:
            return
        if busy:
            self._fail_words(item, _busy())
        else:
            self._do(TranscribeAudio(item.id, recording, self._input.options))

    # Items

    def _add(self, item: Item, previous_item_id: str | None = None) -> None:
        previous_id = self._conversation.add(item, previous_item_id)
        self._send(server_events.item_added(item.described(), previous_id))
        self._send(server_events.item_done(item.described(), previous_id))
        self._enforce_limits()

    def _enforce_limits(self) -> None:
        self._conversation.keep_pictures(self._limits.max_images)
        while (item := self._conversation.excess(self._limits.max_items, self._limits.max_chars)) is not None:
            self._delete(item)

    def _delete(self, item: Item) -> None:
        self._cancel_response_of(item)
        if item.awaits_words:
            item.awaits_words = False
            self._do(CancelTranscription(item.id))
        self._awaited_turns.discard(item.id)
        self._conversation.remove(item)
        self._send(server_events.item_deleted(item.id))

    def _truncate(self, event: ItemTruncate) -> None:
        """Remove the part of a spoken answer that was not heard.

        A client that is late, or truncates twice, is told what is there: some take an error for the end.
        """
        item = self._item(event.item_id, "item_truncate_invalid_item_id")
        if item.role != "assistant":
            message = "Only an answer can be truncated."
            raise EventError(InvalidRequest(message, param="item_id"), code="item_truncate_invalid_item_id")
        if event.content_index >= len(item.content):
            raise InvalidRequest(f"The item has no content {event.content_index}.", param="content_index")
        self._cancel_response_of(item)  # who has not heard this part will not hear the rest
        part = item.content[event.content_index]
        audio_end_ms = 0
        if item is self._conversation.last_spoken:
            self._stop_playback()
        if isinstance(part, Spoken):
            if part.truncate(event.audio_end_ms):
                item.status = "incomplete"
            audio_end_ms = int(part.audio_ms)
        self._send(server_events.item_truncated(item.id, event.content_index, audio_end_ms))

    def _cancel_response_of(self, item: Item) -> None:
        response = self._own_response
        if response is not None and response.item is item:
            self._cancel(response)

    def _item(self, item_id: str, code: str, param: str = "item_id") -> Item:
        """Return an item. Raise ``EventError`` with ``code`` if it does not exist."""
        item = self._conversation.get(item_id)
        if item is None:
            message = f"The conversation has no item '{item_id}'."
            raise EventError(InvalidRequest(message, param=param), code=code)
        return item

    @property
    def _used_ids(self) -> set[str]:
        ids = {item.id for item in self._conversation} | {response.item_id for response in self._responses.values()}
        return ids | ({self._buffer.speech.item_id} if self._buffer.speech is not None else set())

    # Responses

    def _begin_response(
        self,
        fields: ResponseFields,
        given: Sequence[Item] | None = None,
        *,
        automatic: bool = False,
        added: TurnMessage | None = None,
    ) -> None:
        """Create a response; ``_proceed`` runs it as soon as all words of its context are known.

        The context is the conversation, or the items ``given`` instead, and the message ``added``.
        """
        in_conversation = fields.conversation == "auto"
        self._require_room(in_conversation)
        context = tuple(self._conversation if given is None else given)
        if in_conversation:
            self._answer_due = False
            self._awaited_turns.difference_update(item.id for item in context)
        response = Response(
            self._new_id("resp"),
            self._new_id("item"),
            ResponseOptions.of(self._realtime, fields),
            context,
            conversation=self._conversation if in_conversation else None,
            conversation_id=self._conversation_id,
            answers_speech=fields.instructions is None and added is None,
            automatic=automatic,
            can_shorten=given is None,
            added=added,
        )
        self._responses[response.id] = response
        self._send(response.created())

    def _require_room(self, in_conversation: bool) -> None:
        if not self._converses:
            raise InvalidRequest("A transcription session has no responses.", param="type")
        if self._leaving is not None:
            raise EventError(Overloaded(self._leaving), code="session_draining")
        if in_conversation and self._own_response is not None:
            message = f"The response '{self._own_response.id}' is in progress. Cancel it, or wait for its end."
            raise EventError(InvalidRequest(message), code="conversation_already_has_active_response")
        if len(self._responses) >= self._limits.max_responses:
            raise RateLimited(f"The session has {len(self._responses)} responses in progress, the limit.")

    def _run(self, response: Response) -> None:
        """Ask for the run of a response; without anything to answer it fails."""
        try:
            turn = response.turn()
        except ParleyError as error:
            self._end(response, response.failed(error))
            return
        response.running = True
        self._do(Respond(response.id, turn, self._realtime.model, response.options.wire))

    def _proceed(self) -> None:
        """Run the responses whose words have come, answer the user if it is time, or close."""
        for response in list(self._responses.values()):
            if not response.running and not response.waits:
                self._run(response)
        if (
            self._answer_due
            and self._buffer.speech is None
            and not self._awaited_turns
            and self._own_response is None
            and len(self._responses) < self._limits.max_responses
            and self._leaving is None
        ):
            self._begin_response(ResponseFields(), automatic=True)
            self._proceed()  # once more: no answer is due now
        if self._leaving is not None and not self._closed and not self._responses and not self._awaits_words:
            self._close(self._leaving)

    def text(self, response_id: str, delta: str, now_s: float) -> list[Effect]:
        """A ``TextChunk`` of the run of a response."""
        if self._is_open_at(now_s) and (response := self._running(response_id)) is not None:
            self._send(*response.text(delta))
        return self._result()

    def sentence(self, response_id: str, text: str, now_s: float) -> list[Effect]:
        """A ``SentenceReady`` of the run: the audio that follows speaks ``text``."""
        if self._is_open_at(now_s) and (response := self._running(response_id)) is not None:
            response.sentence(text)
        return self._result()

    def audio(self, response_id: str, data_base64: str, duration_ms: float, now_s: float) -> list[Effect]:
        """Audio of the run, in the format of its ``Respond``, at the moment at which it is to be sent."""
        if self._is_open_at(now_s) and (response := self._running(response_id)) is not None:
            self._silence.play(duration_ms / 1000, now_s)
            self._send(*response.audio(data_base64, duration_ms))
        return self._result()

    def run_done(self, response_id: str, done: Done, now_s: float, extension: JsonObject | None = None) -> list[Effect]:
        """The run is complete, and all its audio was reported. ``extension`` has fields that OpenAI does not have."""
        if self._is_open_at(now_s) and (response := self._running(response_id)) is not None:
            self._end(response, response.done(done, extension or {}))
        return self._result()

    def run_failed(self, response_id: str, error: ParleyError, now_s: float) -> list[Effect]:
        """The run ended with an error.

        If the conversation was too long for the model, the response is tried again without its oldest items.
        """
        if self._is_open_at(now_s) and (response := self._running(response_id)) is not None:
            if isinstance(error, ContextOverflow) and response.can_shorten and self._shorten_prompt():
                self._run(response)
            else:
                self._end(response, response.failed(error))
        return self._result()

    def _running(self, response_id: str) -> Response | None:
        response = self._responses.get(response_id)
        return response if response is not None and response.running else None

    def _shorten_prompt(self) -> bool:
        truncation = self._realtime.truncation
        kept = truncation.retention_ratio if isinstance(truncation, RetentionRatio) else KEPT_ON_OVERFLOW
        return truncation != "disabled" and self._conversation.shorten_prompt(kept)

    def _cancel_response(self, response_id: str | None) -> None:
        response = self._own_response if response_id is None else self._responses.get(response_id)
        if response is None:
            message = "There is no such response in progress."
            raise EventError(InvalidRequest(message, param="response_id"), code="response_cancel_not_active")
        self._cancel(response)

    def _cancel(self, response: Response) -> None:
        if response.running:
            self._do(CancelRun(response.id))
        if response.options.modality == "audio" and self._own_response in (response, None):
            self._stop_playback()  # what is cancelled beside it leaves the answer of the conversation to be heard
        self._end(response, response.cancelled("client_cancelled"))

    def _stop_playback(self) -> None:
        """The client stops what it plays, as clients do on an interruption and after a cancellation."""
        self._silence.stop_playback(self._now_s)
        self._do(StopPlayback())

    def _end(self, response: Response, events: Iterable[JsonObject]) -> None:
        """Send the last events of a response."""
        del self._responses[response.id]
        self._send(*events)
        self._last_activity_s = self._now_s
        if response.in_conversation:
            self._silence.begin(self._now_s)
        self._enforce_limits()

    # Time

    def tick(self, now_s: float) -> list[Effect]:
        """End the session or break a silence, where the time for it has come."""
        if not self._is_open_at(now_s):
            return []
        limits, idle_end_s, silence_end_s = self._limits, self._idle_end_s, self._silence_end_s
        if now_s >= self._started_s + limits.session_s:
            message = f"The session has lasted {limits.session_s / 60:g} minutes, the limit. Connect again."
            self._expire(message, "session_expired")
        elif idle_end_s is not None and now_s >= idle_end_s:
            self._expire(f"Nothing was sent for {limits.idle_s:g} s, the limit. Connect again.", "session_idle")
        elif self._leave_by_s is not None and now_s >= self._leave_by_s:
            self._stop(RESTARTING)
        elif silence_end_s is not None and now_s >= silence_end_s:
            self._break_silence()
        return self._result()

    def drain(self, end_s: float, now_s: float) -> list[Effect]:
        """The replica stops: tell the client, and close after the current responses and transcripts, at the latest at
        ``end_s``."""
        if self._is_open_at(now_s) and self._leaving is None:
            self._leave_by_s = end_s
            self._leave(RESTARTING, "session_draining")
        return self._result()

    @property
    def _idle_end_s(self) -> float | None:
        """When the session ends because nobody sends anything; ``None`` while a response is in progress."""
        return None if self._responses else self._last_activity_s + self._limits.idle_s

    @property
    def _silence_end_s(self) -> float | None:
        """When a silence of the user is to be broken; ``None`` if there is none, or if it never is."""
        deadline_s = self._silence.deadline_s(self._idle_timeout_ms)
        if deadline_s is None or self._buffer.speech is not None or self._own_response is not None or self._leaving:
            return None
        return None if self._awaits_words else deadline_s

    @property
    def _idle_timeout_ms(self) -> int | None:
        detection = self._input.turn_detection
        return detection.idle_timeout_ms if isinstance(detection, ServerVad) else None

    def _break_silence(self) -> None:
        """Make an item of the silence, and a response that speaks to the user."""
        self._silence.begin_again(self._now_s)
        item = Item(self._new_id("item"), "user", [Heard("")])
        end_ms = self._buffer.end_ms
        self._buffer.end(end_ms)
        start_ms = max(0, end_ms - (self._idle_timeout_ms or 0))
        self._send(server_events.timeout_triggered(item.id, start_ms, end_ms))
        self._add_committed(item)
        if len(self._responses) < self._limits.max_responses:
            self._begin_response(ResponseFields(), automatic=True, added=TurnMessage("user", BREAK_SILENCE))

    def _leave(self, message: str, code: str) -> None:
        """Tell the client that the session ends with its current responses and transcripts; without any it ends now."""
        self._leaving = message
        self._refuse(EventError(Overloaded(message), code=code), None)

    def _expire(self, message: str, code: str) -> None:
        """Tell the client that the session ends, and end it."""
        self._leave(message, code)
        self._stop(message)

    def _stop(self, message: str) -> None:
        """End the current responses and the session."""
        for response in list(self._responses.values()):
            if response.running:
                self._do(CancelRun(response.id))
            self._end(response, response.failed(DeadlineExceeded(message)))
        self._close(message)

    def end(self, error: ParleyError, code: int, now_s: float) -> list[Effect]:
        """End the session at once because of an error, with a code of RFC 6455."""
        if self._is_open_at(now_s):
            self._refuse(error, None)
            self._close(error.message, code)
        return self._result()

    def _close(self, reason: str, code: int = GOING_AWAY) -> None:
        self._do(Close(code, reason))
        self._closed = True
        self._waiting.clear()
        self._decoding = None

    # What the rest reads and calls

    def _is_open_at(self, now_s: float) -> bool:
        """Set the time of an input. A session that is closed ignores it."""
        self._now_s = now_s
        return not self._closed

    @property
    def _realtime(self) -> RealtimeConfiguration:
        """The configuration of a session that has responses."""
        assert isinstance(self._configuration, RealtimeConfiguration)
        return self._configuration

    @property
    def _converses(self) -> bool:
        return isinstance(self._configuration, RealtimeConfiguration)

    @property
    def _input(self) -> AudioInput:
        return self._configuration.audio.input

    @property
    def _reports(self) -> bool:
        """Whether transcripts are sent."""
        return self._input.transcription is not None or not self._converses

    @property
    def _own_response(self) -> Response | None:
        """The response in progress whose answer becomes part of the conversation; there is at most one."""
        return next((response for response in self._responses.values() if response.in_conversation), None)

    def _send(self, *events: JsonObject) -> None:
        for event in events:
            self._do(Send({**event, "event_id": self._new_id("event")}))

    def _do(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _result(self) -> list[Effect]:
        """Do what an input has made possible, and return its effects, in their order."""
        self._proceed()
        effects, self._effects = self._effects, []
        return effects


def _busy() -> Overloaded:
    return Overloaded("Too many recordings wait to be transcribed. Try again later.")
