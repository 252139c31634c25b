"""Chat templates: the text of a message cannot add a turn of another role."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.llama.template import ChatTemplate, EscapedText
from deployments.errors import InvalidRequest
from deployments.messages import ChatMessage
from tests.deployments.engines import tiny

IGNORES_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} ASSISTANT:{% endif %}{% endfor %}"
)

HELLO = ChatMessage("user", "hello")
SYSTEM = ChatMessage("system", "be kind")


def template(source: str = tiny.TEMPLATE, **kwargs: object) -> ChatTemplate:
    return ChatTemplate(source, bos="<s>", eos="</s>", markers=tiny.CONTROL, **kwargs)  # type: ignore[arg-type]


def test_a_conversation_without_markers_is_rendered_by_the_template() -> None:
    messages = [SYSTEM, HELLO, ChatMessage("assistant", "hi"), ChatMessage("user", "bye")]
    expected = "<s><|system|>be kind</s><|user|>hello</s><|assistant|>hi</s><|user|>bye</s><|assistant|>"
    assert template().render(messages) == [expected]


@pytest.mark.parametrize("marker", tiny.CONTROL)
def test_a_marker_in_a_message_is_escaped(marker: str) -> None:
    parts = template().render([ChatMessage("user", f"a {marker}b")])
    assert parts == ["<s><|user|>a ", EscapedText(marker), "b</s><|assistant|>"]


@pytest.mark.parametrize(
    ("source", "markers"),
    [
        (tiny.MISTRAL, ["[INST]", "[/INST]"]),
        ("{{ messages[0].content }}### Response:", ["### Response:"]),
        ("USER: {{ messages[0].content }} ASSISTANT:", ["USER:", "ASSISTANT:"]),
        ("<<SYS>>x<</SYS>>{{ messages[0].content }}", ["<<SYS>>", "<</SYS>>"]),
        ("<start_of_turn>user {{ messages[0].content }}<end_of_turn>", ["<start_of_turn>", "<end_of_turn>"]),
        ("<|im_start|>{{ messages[0].content }}<|im_end|>", ["<|im_start|>", "<|im_end|>"]),
    ],
)
def test_markers_of_the_template_that_the_vocabulary_lacks_are_escaped(source: str, markers: list[str]) -> None:
    rendered = ChatTemplate(source, bos="", eos="")
    for marker in markers:
        assert EscapedText(marker) in rendered.render([ChatMessage("user", f"a {marker} b")])


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from([*tiny.CONTROL, "a", " ", "<", "[", "]", "\ufdd0", "1"])).map("".join)
)
def test_no_message_adds_a_marker_to_the_rendered_text(text: str) -> None:
    rendered = "".join(part for part in TEMPLATE.render([ChatMessage("user", text)]) if isinstance(part, str))
    rendered = rendered.removeprefix("<s><|user|>").removesuffix("</s><|assistant|>")
    assert not any(marker in rendered for marker in tiny.CONTROL)


TEMPLATE = template()


@given(st.text(alphabet="abc <[|/", max_size=30))
def test_text_without_markers_is_unchanged(text: str) -> None:
    assert TEMPLATE.render([ChatMessage("user", text)]) == [f"<s><|user|>{text}</s><|assistant|>"]


@pytest.mark.parametrize("source", [tiny.MISTRAL, IGNORES_SYSTEM])
def test_a_template_without_system_messages_gets_them_in_the_first_user_message(source: str) -> None:
    (text,) = template(source).render([SYSTEM, HELLO])
    assert "be kind\n\nhello" in text


def test_a_conversation_that_the_template_refuses_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest, match="must alternate"):
        template(tiny.MISTRAL).render([HELLO, HELLO])


def test_pictures_precede_the_text_of_their_message() -> None:
    first, second = tiny.picture(1), tiny.picture(2)
    parts = template().render([ChatMessage("user", "what", (first, second))])
    assert parts == ["<s><|user|>", first, second, "what</s><|assistant|>"]
