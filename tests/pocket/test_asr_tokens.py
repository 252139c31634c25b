import random

import pytest

from pocket.asr import text
from pocket.asr.tokens import IGNORED, Sentence, Tokens


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    rng = random.Random(3)
    return Tokens.learn(text.sentence(rng) for _ in range(2_000))


def test_text_survives(tokens: Tokens) -> None:
    for said in ("What is the capital of France?", "Zoë's x-ray: 12 % 猫", "A, B, C."):
        assert tokens.decode(tokens.encode(said)) == said


def test_no_word_needs_the_lone_space_that_decoders_suppress(tokens: Tokens) -> None:
    space = tokens.tokenizer.token_to_id("Ġ")
    rng = random.Random(4)
    assert not any(space in tokens.encode(text.sentence(rng)) for _ in range(1_000))


def test_controls_lie_between_text_and_timestamps_as_decoders_expect(tokens: Tokens) -> None:
    assert tokens.end < tokens.start < tokens.no_timestamps < tokens.first_timestamp
    assert tokens.tokenizer.id_to_token(tokens.first_timestamp) == "<|0.00|>"
    assert tokens.tokenizer.id_to_token(tokens.size - 1) == "<|30.00|>"
    assert tokens.tokenizer.token_to_id("") is None


def test_a_plain_target(tokens: Tokens) -> None:
    inputs, labels = tokens.target([Sentence([5, 6], 0.1, 1.0)], timestamps=False)
    assert inputs == [tokens.start, tokens.no_timestamps, 5, 6]
    assert labels == [tokens.no_timestamps, 5, 6, tokens.end]


def test_a_stamped_target_after_a_prompt_that_is_not_learned(tokens: Tokens) -> None:
    spoken = [Sentence([5], 3.0, 4.0), Sentence([6], 4.5, None)]
    inputs, labels = tokens.target(spoken, timestamps=True, prompt=[7, 8])
    stamps = [tokens.first_timestamp + index for index in (50, 200, 225)]
    assert inputs == [tokens.previous, 7, 8, tokens.start, stamps[0], 5, stamps[1], stamps[2]]
    assert labels == [IGNORED, IGNORED, IGNORED, stamps[0], 5, stamps[1], stamps[2], tokens.end]


@pytest.mark.parametrize("timestamps", [False, True])
def test_no_speech_is_said_at_the_start_token_and_ends_at_once(tokens: Tokens, timestamps: bool) -> None:
    inputs, labels = tokens.target([], timestamps)
    first = tokens.first_timestamp if timestamps else tokens.no_timestamps
    assert inputs == [tokens.start, first]
    assert labels == [tokens.no_speech, tokens.end]
