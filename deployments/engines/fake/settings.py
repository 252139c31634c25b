"""Settings of the fake engines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from deployments.settings import ModelArgs


class FakeArgs(ModelArgs):
    """An engine without a model: its timing and its failures are settings."""

    engine: Literal["fake"] = "fake"
    first_s: NonNegativeFloat = Field(default=0, description="Seconds before the first value.")
    step_s: NonNegativeFloat = Field(default=0, description="Seconds between values.")
    steps: PositiveInt = Field(default=3, description="Values of one answer, where the input does not decide.")
    fail_after: NonNegativeInt | None = Field(default=None, description="Fail after this many values of each answer.")
    fail_with: Literal["unavailable", "crash"] = Field(
        default="unavailable", description="The failure: a typed error, or an unexpected exception."
    )
    healthy: bool = Field(default=True, description="Whether health checks pass.")


class FakeRecognizerArgs(FakeArgs):
    """A fake recognizer: every recording that is not silent has the same transcript."""

    transcript: str = Field(
        default="hello there", description="The transcript; {seconds} becomes the duration of the recording."
    )


class FakeChatArgs(FakeArgs):
    """A fake chat model: it repeats the last message or gives a fixed answer. A word counts as a token."""

    vision: bool = Field(default=False, description="Whether messages may contain pictures.")
    answer: str | None = Field(
        default=None,
        description="The answer; null repeats the last message. {clock} becomes the machine's monotonic clock, in "
        "seconds, when the word is generated.",
    )
    context_length: PositiveInt = Field(default=2048, description="Words of a conversation and its answer.")


class FakeSynthesizerArgs(FakeArgs):
    """A fake voice: one tone per word."""

    rate_hz: PositiveInt = Field(default=16_000, description="Sample rate.")
    word_s: PositiveFloat = Field(default=0.1, description="Seconds of audio per word.")
