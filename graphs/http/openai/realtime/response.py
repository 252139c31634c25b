"""One response: from its creation to response.done, as the events that it sends. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from deployments.errors import NoSpeech, NothingToAnswer, ParleyError
from deployments.messages import ChatOptions, SpeakOptions
from graphs.http.openai.realtime import server_events
from graphs.http.openai.realtime.client_events import ResponseFields
from graphs.http.openai.realtime.codecs import WireFormat
from graphs.http.openai.realtime.configuration import Format, RealtimeConfiguration
from graphs.http.openai.realtime.conversation import Conversation, Item, Spoken, Written, unanswered
from graphs.http.openai.realtime.server_events import JsonObject, without_nulls
from graphs.pipeline.events import Done
from graphs.pipeline.turn import Output, Turn, TurnMessage

CancelReason = Literal["turn_detected", "client_cancelled"]


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """How a response is made: the session's configuration, and what the response does differently."""

    modality: Literal["text", "audio"]
    instructions: str
    max_output_tokens: int | Literal["inf"]
    format: Format
    voice: str | None
    speed: float | None
    metadata: dict[str, str] | None

    @classmethod
    def of(cls, session: RealtimeConfiguration, fields: ResponseFields) -> ResponseOptions:
        """Return the options of a response with ``fields`` in a session."""
        output, given = session.audio.output, fields.audio.output
        return cls(
            modality=(fields.output_modalities or session.output_modalities or ["audio"])[0],
            instructions=(session.instructions or "") if fields.instructions is None else fields.instructions,
            max_output_tokens=fields.max_output_tokens or session.max_output_tokens or "inf",
            format=given.format or output.format,
            voice=given.voice or output.voice,
            speed=output.speed,
            metadata=fields.metadata,
        )

    @property
    def wire(self) -> WireFormat | None:
        """The format of its audio, if it is spoken."""
        return WireFormat(self.format.type) if self.modality == "audio" else None


class Response:
    """A response to ``context`` and the message ``added``; its answer becomes part of ``conversation``, if it has one.

    ``automatic`` marks one that the client did not ask for, ``can_shorten`` one whose context is the conversation. One
    that ``answers_speech`` fails if there were no words in it.

    Its item begins with the first text or audio that is sent, so a response that is cancelled before has none. In a
    spoken answer the transcript follows the audio: a sentence is sent with its first audio.
    """

    def __init__(
        self,
        response_id: str,
        item_id: str,
        options: ResponseOptions,
        context: Sequence[Item],
        *,
        conversation: Conversation | None,
        conversation_id: str,
        answers_speech: bool,
        automatic: bool,
        can_shorten: bool,
        added: TurnMessage | None,
    ) -> None:
        self.id = response_id
        self.options = options
        self.context = tuple(context)
        self.automatic = automatic
        self.can_shorten = can_shorten
        self.running = False  # a run was asked for
        self.item: Item | None = None
        self.item_id = item_id
        self._conversation = conversation
        self._conversation_id = conversation_id
        self._answers_speech = answers_speech
        self._added = added
        self._written = Written()
        self._spoken = Spoken()
        self._unspoken: list[str] = []  # sentences whose audio has not come
        self._place = server_events.place_of_part(response_id, item_id)

    @property
    def in_conversation(self) -> bool:
        return self._conversation is not None

    @property
    def waits(self) -> bool:
        """Whether words of its context are still being recognized."""
        return not self.running and any(item.awaits_words and item.in_prompt for item in self.context)

    def turn(self) -> Turn:
        """Return what is to be run. Raise ``NothingToAnswer``, or why the speech to answer was not recognized."""
        messages = [message for item in self.context if (message := item.message()) is not None]
        self._require_words()
        if self.options.instructions:
            messages.insert(0, TurnMessage("system", self.options.instructions))
        if self._added is not None:
            messages.append(self._added)
        if not messages:
            raise NothingToAnswer("The conversation has no message. Create an item, or send audio.")
        limit = self.options.max_output_tokens
        return Turn(
            self.id,
            tuple(_joined(messages)),
            Output.VOICE if self.options.modality == "audio" else Output.TEXT,
            ChatOptions(max_tokens=None if limit == "inf" else limit),
            SpeakOptions(voice=self.options.voice, speed=self.options.speed),
        )

    def _require_words(self) -> None:
        """Refuse to answer speech without words, if nothing else was said since the last answer."""
        if not self._answers_speech:
            return
        waiting = [item for item in unanswered(self.context) if item.in_prompt]
        if not waiting or any(item.message() for item in waiting):
            return
        error = next((item.error for item in waiting if item.error is not None), None)
        if error is not None:
            raise error
        if any(item.has_speech for item in waiting):
            raise NoSpeech("No speech was recognized in the audio. Speak closer to the microphone, or send text.")

    def created(self) -> JsonObject:
        return server_events.response_created(self._described("in_progress"))

    def text(self, delta: str) -> list[JsonObject]:
        """Add text. That of a spoken answer is sent by its sentences."""
        self._written.text += delta
        if self.options.modality == "audio" or not delta:
            return []
        return [*self._open(), server_events.text_delta(self._place, delta)]

    def sentence(self, text: str) -> None:
        """Keep a sentence until its audio comes."""
        self._unspoken.append(text)

    def audio(self, data_base64: str, duration_ms: float) -> list[JsonObject]:
        """Add audio of the sentences announced before it. A written answer has none."""
        if self.options.modality == "text":
            return []
        events = [*self._open(), *self._transcript()]
        self._spoken.add_audio(duration_ms)
        return [*events, server_events.audio_delta(self._place, data_base64)]

    def done(self, done: Done, extension: JsonObject) -> list[JsonObject]:
        """End as the run has ended. The response gets the fields of ``extension`` as well."""
        events: list[JsonObject] = []
        if self.options.modality == "audio":
            if not self._spoken.sentences and not self._unspoken and self._written.text.strip():
                self._unspoken.append(self._written.text.strip())  # nothing of it could be spoken, such as "🙂"
            if self._unspoken:
                events += [*self._open(), *self._transcript()]
        usage = server_events.usage(done.prompt_tokens, done.completion_tokens)
        if done.finish_reason == "length":
            return [*events, *self._close("incomplete", {"reason": "max_output_tokens"}, usage, extension)]
        return [*events, *self._close("completed", None, usage, extension)]

    def cancelled(self, reason: CancelReason) -> list[JsonObject]:
        """End before the run has ended. What was not sent does not become part of the conversation."""
        return self._close("cancelled", {"reason": reason}, server_events.usage(0, 0))

    def failed(self, error: ParleyError) -> list[JsonObject]:
        """End with an error."""
        details = {"error": {"type": error.type, "code": error.code, "message": error.message}}
        return self._close("failed", details, server_events.usage(0, 0))

    def _open(self) -> list[JsonObject]:
        """Begin the item, the first time."""
        if self.item is not None:
            return []
        spoken = self.options.modality == "audio"
        part = self._spoken if spoken else self._written
        begun = Spoken() if spoken else Written()
        self.item = item = Item(self.item_id, "assistant", [], "in_progress")
        place = server_events.place_of_item(self.id)
        events = [server_events.output_item_added(place, item.described())]
        if self._conversation is not None:
            previous_id = self._conversation.add(item)
            events.append(server_events.item_added(item.described(), previous_id))
        item.content.append(part)
        return [*events, server_events.content_part_added(self._place, _part(begun))]

    def _transcript(self) -> list[JsonObject]:
        """Send the sentences whose audio comes next."""
        deltas = [self._spoken.begin_sentence(text) for text in self._unspoken]
        self._unspoken.clear()
        return [server_events.transcript_delta(self._place, delta) for delta in deltas]

    def _close(
        self, status: str, details: JsonObject | None, usage: JsonObject, extension: JsonObject | None = None
    ) -> list[JsonObject]:
        """End the item, if it has begun, and the response."""
        events: list[JsonObject] = []
        if self.item is not None:
            self.item.status = "completed" if status == "completed" else "incomplete"
            events = self._close_item(self.item)
        response = self._described(status)
        if details is not None:
            response["status_details"] = {"type": status, **details}
        response["usage"] = usage
        response |= extension or {}
        return [*events, server_events.response_done(response)]

    def _close_item(self, item: Item) -> list[JsonObject]:
        if self.options.modality == "audio":
            part: Spoken | Written = self._spoken
            events = [
                server_events.audio_done(self._place),
                server_events.transcript_done(self._place, self._spoken.text),
            ]
        else:
            part = self._written
            events = [server_events.text_done(self._place, self._written.text)]
        events.append(server_events.content_part_done(self._place, _part(part)))
        if self._conversation is not None:
            events.append(server_events.item_done(item.described(), self._conversation.previous_id(item)))
        place = server_events.place_of_item(self.id)
        return [*events, server_events.output_item_done(place, item.described())]

    def _described(self, status: str) -> JsonObject:
        output: JsonObject = {"format": self.options.format.model_dump(mode="json"), "voice": self.options.voice}
        return without_nulls(
            {
                "id": self.id,
                "object": "realtime.response",
                "status": status,
                "output": [self.item.described()] if self.item is not None else [],
                "conversation_id": self._conversation_id if self.in_conversation else None,
                "output_modalities": [self.options.modality],
                "max_output_tokens": self.options.max_output_tokens,
                "audio": {"output": without_nulls(output)} if self.options.modality == "audio" else None,
                "metadata": self.options.metadata,
            }
        )


def _joined(messages: Sequence[TurnMessage]) -> list[TurnMessage]:
    """Join neighbours of one role to one message: some chat templates want the roles to alternate."""
    joined: list[TurnMessage] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            before = joined.pop()
            text = "\n".join(filter(None, (before.text, message.text)))
            message = TurnMessage(message.role, text, images=before.images + message.images)
        joined.append(message)
    return joined


def _part(part: Spoken | Written) -> dict[str, Any]:
    """Return the content of a response as the events of parts have it."""
    if isinstance(part, Spoken):
        return {"type": "audio", "transcript": part.text}
    return {"type": "text", "text": part.text}
