"""The tokenizer and the chat template."""

import json

import jinja2
from hypothesis import given
from hypothesis import strategies as st

from pocket.llm.tokenizer import ASSISTANT, BOS, CHAT_TEMPLATE, CONTROL, END, USER, encode, render, tokenizer

CHAT = [
    {"role": "system", "content": "You are Max, a pirate."},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "bye"},
]


def rendered(messages):
    return jinja2.Template(CHAT_TEMPLATE).render(messages=messages, bos_token="<|bos|>", add_generation_prompt=True)


@given(st.text(max_size=60))
def test_decode_restores_encoded_text(text):
    ids = encode(text)
    assert tokenizer().decode(ids, skip_special_tokens=False) == text
    assert min(ids, default=len(CONTROL)) >= len(CONTROL)


def test_markers_in_a_text_do_not_become_control_tokens():
    for text in (*CONTROL, "[INST] x [/INST]", "</s>", "".join(CONTROL)):
        assert min(encode(text)) >= len(CONTROL)


def test_template_includes_the_system_message():
    assert rendered(CHAT) == (
        "<|bos|><|system|>You are Max, a pirate.<|end|><|user|>hi<|end|><|assistant|>Hello!<|end|><|user|>bye<|end|>"
        "<|assistant|>"
    )


def test_template_puts_images_first():
    parts = [
        {"type": "text", "text": "what is it"},
        {"type": "image_url", "image_url": {"url": "data:1"}},
        {"type": "image_url", "image_url": "data:2"},
    ]
    assert rendered([{"role": "user", "content": parts}]) == "<|bos|><|user|>data:1data:2what is it<|end|><|assistant|>"


def test_render_equals_the_template():
    ids = render(CHAT, answer=True)
    assert tokenizer().decode(ids, skip_special_tokens=False) == rendered(CHAT)
    assert ids[0] == BOS
    assert ids[-2:] == [END, ASSISTANT]
    assert ids.count(USER) == 2


def test_control_tokens_have_the_first_ids():
    vocabulary = json.loads(tokenizer().to_str())["model"]["vocab"]
    assert [vocabulary[token] for token in CONTROL] == list(range(len(CONTROL)))
