"""The one place where the contents of a request become messages of a turn, within the limits of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deployments.errors import InvalidRequest, NothingToAnswer, TooLarge
from deployments.messages import Audio, Image
from graphs.http.media.sandbox import Sandbox
from graphs.pipeline.turn import TurnMessage
from graphs.settings import GatewayConfig

MAX_RECORDINGS = 64


@dataclass(frozen=True, slots=True)
class TurnReader:
    """Decodes media and checks turns against the limits of ``config``. ``param`` names a field of the request."""

    config: GatewayConfig
    sandbox: Sandbox

    def check_counts(self, *, images: int, recordings: int, param: str) -> None:
        """Raise ``InvalidRequest`` for too many media; called before any is fetched or decoded."""
        for count, limit, name in (
            (images, self.config.max_images, "pictures"),
            (recordings, MAX_RECORDINGS, "recordings"),
        ):
            if count > limit:
                raise InvalidRequest(f"The request has {count} {name}; the limit is {limit}.", param=param)

    async def audio(self, data: bytes, param: str, earlier_s: float = 0) -> Audio:
        """Decode a recording; see ``decode_audio`` for what it raises.

        ``earlier_s`` is the duration of the conversation's recordings before it.
        """
        left_s = max(0, self.config.max_conversation_audio_s - earlier_s)
        if left_s >= self.config.max_audio_s:
            return await self.sandbox.audio(data, max_s=self.config.max_audio_s, param=param)
        try:
            return await self.sandbox.audio(data, max_s=left_s, param=param)
        except TooLarge as error:
            message = (
                f"{error.message} The conversation has {earlier_s:g} s of other audio; the limit is "
                f"{self.config.max_conversation_audio_s:g} s."
            )
            raise TooLarge(message, param=param) from None

    async def image(self, data: bytes, param: str) -> Image:
        """Decode a picture; see ``decode_image`` for what it raises."""
        return await self.sandbox.image(
            data, max_pixels=self.config.max_image_pixels, side_px=self.config.image_side_px, param=param
        )

    def conversation(self, messages: Sequence[TurnMessage], param: str) -> tuple[TurnMessage, ...]:
        """Return the messages of a turn. A last message that has only pictures gets the settings' prompt.

        Raises ``NothingToAnswer`` for an empty last message, ``TooLarge`` for a long text.
        """
        *earlier, last = messages
        if not last.text and not last.audio:
            if not last.images:
                raise NothingToAnswer("The last message is empty. Send text, audio or a picture.", param=param)
            last = replace(last, text=self.config.image_prompt)
        if len(messages) > self.config.max_messages:
            raise TooLarge(
                f"The conversation has {len(messages):,} messages; the limit is {self.config.max_messages:,}.",
                param=param,
            )
        total = sum(len(message.text) for message in messages)
        if total > self.config.max_conversation_chars:
            raise TooLarge(
                f"The conversation has {total:,} characters; the limit is {self.config.max_conversation_chars:,}.",
                param=param,
            )
        limit = self.config.max_text_chars
        for message in (*earlier, last):
            if len(message.text) > limit:
                raise TooLarge(f"A message has {len(message.text):,} characters; the limit is {limit:,}.", param=param)
        return (*earlier, last)
