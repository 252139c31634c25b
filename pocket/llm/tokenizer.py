"""Text to token ids: a byte-level BPE whose control tokens no text can produce, and the chat template.

`python -m pocket.llm.tokenizer` trains it anew on made-up conversations and writes tokenizer.json.
"""

import json
import random
from functools import cache
from importlib.resources import files
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pocket.llm.talk import Message, dialogue
from pocket.llm.words import WORDS

CONTROL = ("<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|unk|>", "<|spare|>")
"""Control tokens; a token's id is its place here."""
PAD, BOS, END, SYSTEM, USER, ASSISTANT, UNKNOWN, _ = range(len(CONTROL))
ROLES = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}
VOCABULARY = 3072

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image_url' %}"
    "{{ part['image_url'] if part['image_url'] is string else part['image_url']['url'] }}{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}"
    "{{ '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""Content touches its control tokens, so that control tokens and text may be tokenised apart; pictures come first."""

_FILE = "tokenizer.json"


@cache
def vocabulary_json() -> dict:
    """The shipped `{"vocab": {token: id}, "merges": [[left, right], ...]}`."""
    return json.loads(files("pocket.llm").joinpath(_FILE).read_text("utf-8"))


@cache
def tokenizer() -> Tokenizer:
    """The shipped tokenizer. It knows no added tokens, so that no text gives a control token."""
    made = vocabulary_json()
    bpe = Tokenizer(models.BPE(made["vocab"], [tuple(merge) for merge in made["merges"]]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bpe.decoder = decoders.ByteLevel()
    return bpe


def encode(text: str) -> list[int]:
    """The ids of a text; never a control token, whatever the text says."""
    return tokenizer().encode(text, add_special_tokens=False).ids


def render(messages: list[Message], answer: bool = False) -> list[int]:
    """The ids of a conversation as the chat template gives them; with `answer`, open for the assistant's next one."""
    ids = [BOS]
    for message in messages:
        ids += [ROLES[message["role"]], *encode(message["content"]), END]
    return [*ids, ASSISTANT] if answer else ids


def train(seed: int = 0, conversations: int = 30_000, pictures: int = 3_000) -> str:
    """Learns the merges from made-up conversations, also about pictures, and the word list; returns the JSON of
    `vocabulary_json`."""
    from pocket.vision import scenes  # only the trainer needs Pillow

    rng = random.Random(seed)
    texts = [message["content"] for _ in range(conversations) for message in dialogue(rng)]
    shown = [message["content"] for _ in range(pictures) for message in scenes.sample(rng).messages]
    texts += shown * 4 + ["A chat.\nUSER: Hello\nASSISTANT: Hello."] * 2_000
    texts += [f" {word} {word.capitalize()}" for word in WORDS] * 5
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(CONTROL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    model = json.loads(bpe.to_str())["model"]
    return json.dumps({"vocab": model["vocab"], "merges": model["merges"]}, ensure_ascii=False)


def main() -> None:
    """Trains and writes the tokenizer beside this module."""
    Path(str(files("pocket.llm").joinpath(_FILE))).write_text(train(), "utf-8")


if __name__ == "__main__":
    main()
