"""The tokenizer (a byte-level BPE; no text encodes to a control token) and the chat template.

`python -m pocket.llm.tokenizer` trains a new tokenizer on generated conversations and writes tokenizer.json.
"""

import json
import random
from functools import cache
from importlib.resources import files
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pocket.llm.dialogues import Message, dialogue
from pocket.llm.words import WORDS

CONTROL = ("<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|unk|>", "<|spare|>")
"""Control tokens, in the order of their ids."""
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
"""No white space separates control tokens and content, so they can be tokenized separately; images precede text."""

_FILE = "tokenizer.json"


@cache
def vocabulary_json() -> dict:
    """Return the bundled `{"vocab": {token: id}, "merges": [[left, right], ...]}`."""
    return json.loads(files("pocket.llm").joinpath(_FILE).read_text("utf-8"))


@cache
def tokenizer() -> Tokenizer:
    """Return the bundled tokenizer, without added tokens, so no text encodes to a control token."""
    stored = vocabulary_json()
    bpe = Tokenizer(models.BPE(stored["vocab"], [tuple(merge) for merge in stored["merges"]]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bpe.decoder = decoders.ByteLevel()
    return bpe


def encode(text: str) -> list[int]:
    """Return the ids of a text; they never contain a control token."""
    return tokenizer().encode(text, add_special_tokens=False).ids


def render(messages: list[Message], answer: bool = False) -> list[int]:
    """Return the ids of a conversation in the chat template; with `answer`, with the start of the next answer."""
    ids = [BOS]
    for message in messages:
        ids += [ROLES[message["role"]], *encode(message["content"]), END]
    return [*ids, ASSISTANT] if answer else ids


def train(seed: int = 0, conversations: int = 30_000, pictures: int = 3_000) -> str:
    """Learn the merges from generated conversations, also about pictures, and the word list.

    Return the JSON of `vocabulary_json`.
    """
    from pocket.vision import scenes  # only training requires Pillow

    rng = random.Random(seed)
    texts = [message["content"] for _ in range(conversations) for message in dialogue(rng)]
    picture_texts = [message["content"] for _ in range(pictures) for message in scenes.sample(rng).messages]
    texts += picture_texts * 4 + ["A chat.\nUSER: Hello\nASSISTANT: Hello."] * 2_000
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
    """Train the tokenizer and write it to the folder of this module."""
    Path(str(files("pocket.llm").joinpath(_FILE))).write_text(train(), "utf-8")


if __name__ == "__main__":
    main()
