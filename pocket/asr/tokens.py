"""The vocabulary (byte-level BPE, Whisper's control tokens and timestamps) and the training targets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

TEXT_TOKENS = 1_000
TIMESTAMPS = 1_501
SECONDS_PER_TIMESTAMP = 0.02
LATEST_FIRST_TIMESTAMP_S = 1.0
"""The default limit of faster-whisper for the first timestamp; training targets obey it."""

CONTROLS = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
IGNORED = -100
"""The label of a position without a loss."""

_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Sentence:
    """The tokens of a spoken sentence (with a leading space) and its times in the clip; `end_s` is None if cut off."""

    ids: Sequence[int]
    start_s: float
    end_s: float | None


class Tokens:
    """A tokenizer and the ids of its control tokens.

    It has no token for the empty string, by which faster-whisper recognizes an English-only model.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        first = tokenizer.get_vocab_size() - TIMESTAMPS - len(CONTROLS)
        self.end = CONTROLS.index("<|endoftext|>") + first
        self.start = CONTROLS.index("<|startoftranscript|>") + first
        self.previous = CONTROLS.index("<|startofprev|>") + first
        self.no_speech = CONTROLS.index("<|nospeech|>") + first
        self.no_timestamps = CONTROLS.index("<|notimestamps|>") + first
        self.first_timestamp = self.no_timestamps + 1

    @classmethod
    def learn(cls, texts: Iterable[str]) -> "Tokens":
        """Learn the merges from sentences; each gets a leading space."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        # Whisper's decoders suppress the token of a single space, so each character of the alphabet requires a merge
        # with its leading space.
        spaced_characters = [" " + " ".join(_ALPHABET)] * 5_000
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=TEXT_TOKENS, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator([*(f" {text}" for text in texts), *spaced_characters], trainer)
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROLS])
        stamps = [f"<|{index * SECONDS_PER_TIMESTAMP:.2f}|>" for index in range(TIMESTAMPS)]
        tokenizer.add_tokens([AddedToken(stamp, special=False, normalized=False) for stamp in stamps])
        return cls(tokenizer)

    @property
    def size(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a sentence with a leading space."""
        return self.tokenizer.encode(f" {text}", add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids` without control tokens and timestamps."""
        return self.tokenizer.decode([token for token in ids if token < self.end]).strip()

    def timestamp(self, seconds: float) -> int:
        return self.first_timestamp + min(TIMESTAMPS - 1, max(0, round(seconds / SECONDS_PER_TIMESTAMP)))

    def transcript(self, sentences: Sequence[Sentence], timestamps: bool) -> list[int]:
        """Return the tokens after the start token, up to and including the end token."""
        if not timestamps:
            return [self.no_timestamps, *(token for s in sentences for token in s.ids), self.end]
        if not sentences:
            return [self.timestamp(0.0), self.end]
        ids: list[int] = []
        for sentence in sentences:
            start_s = sentence.start_s if ids else min(sentence.start_s, LATEST_FIRST_TIMESTAMP_S)
            ids.append(self.timestamp(start_s))
            if sentence.end_s is not None:
                ids += [*sentence.ids, self.timestamp(sentence.end_s)]
        return [*ids, self.end]

    def target(
        self, sentences: Sequence[Sentence], timestamps: bool, prompt: Sequence[int] = ()
    ) -> tuple[list[int], list[int]]:
        """Return decoder inputs and labels of one clip.

        Without sentences, the label of the start token is the no-speech token.
        """
        before = [self.previous, *prompt] if prompt else []
        sequence = [*before, self.start, *self.transcript(sentences, timestamps)]
        labels = [IGNORED] * len(before) + sequence[len(before) + 1 :]
        if not sentences:
            labels[len(before)] = self.no_speech
        return sequence[:-1], labels
