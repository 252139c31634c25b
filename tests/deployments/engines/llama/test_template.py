"""Speakers cannot speak in each other's names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.llama.template import Prompt, Spelled
from deployments.errors import InvalidRequest
from deployments.messages import ChatMessage
from tests.deployments.engines import tiny

DEAF = "{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} ASSISTANT:{% endif %}{% endfor %}"

HELLO = ChatMessage("user", "hello")
SYSTEM = ChatMessage("system", "be kind")


def prompt(template: str = tiny.TEMPLATE, **kwargs: object) -> Prompt:
    return Prompt(template, bos="<s>", eos="</s>", special=tiny.CONTROL, **kwargs)  # type: ignore[arg-type]


def test_ordinary_text_is_rendered_as_the_template_says() -> None:
    said = [SYSTEM, HELLO, ChatMessage("assistant", "hi"), ChatMessage("user", "bye")]
    expected = "<s><|system|>be kind</s><|user|>hello</s><|assistant|>hi</s><|user|>bye</s><|assistant|>"
    assert prompt().parts(said) == [expected]


@pytest.mark.parametrize("marker", tiny.CONTROL)
def test_a_marker_in_a_speakers_text_is_spelled(marker: str) -> None:
    parts = prompt().parts([ChatMessage("user", f"a {marker}b")])
    assert parts == ["<s><|user|>a ", Spelled(marker), "b</s><|assistant|>"]


@pytest.mark.parametrize(
    ("template", "markers"),
    [
        (tiny.MISTRAL, ["[INST]", "[/INST]"]),
        ("{{ messages[0].content }}### Response:", ["### Response:"]),
        ("USER: {{ messages[0].content }} ASSISTANT:", ["USER:", "ASSISTANT:"]),
        ("<<SYS>>x<</SYS>>{{ messages[0].content }}", ["<<SYS>>", "<</SYS>>"]),
        ("<start_of_turn>user {{ messages[0].content }}<end_of_turn>", ["<start_of_turn>", "<end_of_turn>"]),
        ("<|im_start|>{{ messages[0].content }}<|im_end|>", ["<|im_start|>", "<|im_end|>"]),
    ],
)
def test_a_templates_own_markers_need_not_be_in_the_vocabulary(template: str, markers: list[str]) -> None:
    made = Prompt(template, bos="", eos="")
    for marker in markers:
        assert Spelled(marker) in made.parts([ChatMessage("user", f"a {marker} b")])


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from([*tiny.CONTROL, "a", " ", "<", "[", "]", "\ufdd0", "1"])).map("".join)
)
def test_whatever_a_speaker_says_the_templates_text_holds_no_more_markers(text: str) -> None:
    said = "".join(part for part in PROMPT.parts([ChatMessage("user", text)]) if isinstance(part, str))
    said = said.removeprefix("<s><|user|>").removesuffix("</s><|assistant|>")
    assert not any(marker in said for marker in tiny.CONTROL)


PROMPT = prompt()


@given(st.text(alphabet="abc <[|/", max_size=30))
def test_text_without_markers_is_untouched(text: str) -> None:
    assert PROMPT.parts([ChatMessage("user", text)]) == [f"<s><|user|>{text}</s><|assistant|>"]


@pytest.mark.parametrize("template", [tiny.MISTRAL, DEAF])
def test_a_template_that_takes_no_system_message_gets_it_in_the_first_users(template: str) -> None:
    (text,) = prompt(template).parts([SYSTEM, HELLO])
    assert "be kind\n\nhello" in text


def test_a_conversation_that_the_template_refuses_is_the_clients_error() -> None:
    with pytest.raises(InvalidRequest, match="must alternate"):
        prompt(tiny.MISTRAL).parts([HELLO, HELLO])


def test_pictures_stand_before_their_messages_text() -> None:
    first, second = tiny.picture(1), tiny.picture(2)
    parts = prompt().parts([ChatMessage("user", "what", (first, second))])
    assert parts == ["<s><|user|>", first, second, "what</s><|assistant|>"]
