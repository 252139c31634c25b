import random

import pytest

from pocket.asr import text
from pocket.asr.tokens import IGNORED, Sentence, Tokens


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    rng = random.Random(3)
    return Tokens.learn(text.sentence(rng) for _ in range(2_000))


def test_decode_restores_encoded_text(tokens: Tokens) -> None:
    for sentence in ("What is the capital of France?", "Zoë's x-ray: 12 % 猫", "A, B, C."):
        assert tokens.decode(tokens.encode(sentence)) == sentence


def test_no_sentence_uses_the_single_space_token_that_decoders_suppress(tokens: Tokens) -> None:
    space = tokens.tokenizer.token_to_id("Ġ")
    rng = random.Random(4)
    assert not any(space in tokens.encode(text.sentence(rng)) for _ in range(1_000))


def test_control_tokens_are_between_text_and_timestamps(tokens: Tokens) -> None:
    assert tokens.end < tokens.start < tokens.no_timestamps < tokens.first_timestamp
    assert tokens.tokenizer.id_to_token(tokens.first_timestamp) == "<|0.00|>"
    assert tokens.tokenizer.id_to_token(tokens.size - 1) == "<|30.00|>"
    assert tokens.tokenizer.token_to_id("") is None


def test_target_without_timestamps(tokens: Tokens) -> None:
    inputs, labels = tokens.target([Sentence([5, 6], 0.1, 1.0)], timestamps=False)
    assert inputs == [tokens.start, tokens.no_timestamps, 5, 6]
    assert labels == [tokens.no_timestamps, 5, 6, tokens.end]


def test_target_with_timestamps_has_no_loss_on_its_prompt(tokens: Tokens) -> None:
    sentences = [Sentence([5], 3.0, 4.0), Sentence([6], 4.5, None)]
    inputs, labels = tokens.target(sentences, timestamps=True, prompt=[7, 8])
    timestamps = [tokens.first_timestamp + index for index in (50, 200, 225)]
    assert inputs == [tokens.previous, 7, 8, tokens.start, timestamps[0], 5, timestamps[1], timestamps[2]]
    assert labels == [IGNORED, IGNORED, IGNORED, timestamps[0], 5, timestamps[1], timestamps[2], tokens.end]


@pytest.mark.parametrize("timestamps", [False, True])
def test_target_without_speech_has_the_no_speech_token_and_the_end(tokens: Tokens, timestamps: bool) -> None:
    inputs, labels = tokens.target([], timestamps)
    first = tokens.first_timestamp if timestamps else tokens.no_timestamps
    assert inputs == [tokens.start, first]
    assert labels == [tokens.no_speech, tokens.end]
