"""Prompts equal those of llama-cpp-python, except for control tokens in the text of messages."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from llama_cpp import Llama
from llama_cpp.llama_chat_format import Llava15ChatHandler, MTMDChatHandler
from PIL import Image as Pillow

from deployments.engines.llama.settings import LlamaArgs
from deployments.errors import ContextOverflow, UnsupportedMedia
from deployments.messages import ChatMessage, Image
from tests.deployments.engines import tiny
from tests.deployments.engines.llama.prompts import Prompts, with_pictures

CONVERSATION = [
    ChatMessage("system", "be the best in town"),
    ChatMessage("user", "hello there, I am 12 and naïve 😀"),
    ChatMessage("assistant", "hello"),
    ChatMessage("user", "on the one hand\n  in the other"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prompt")


@pytest.fixture(scope="module")
def llava(folder: Path) -> Prompts:
    return Prompts(tiny.llava(folder))


def library_prompt(model: Llama, messages: list[dict[str, Any]]) -> list[int]:
    """Return the tokens that llama-cpp-python's own chat completion evaluates."""
    model.reset()
    answer = model.create_chat_completion(messages, max_tokens=1, temperature=0.0)
    return model.input_ids[: answer["usage"]["prompt_tokens"]].tolist()  # type: ignore[index]


def as_dicts(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": message.text} for message in messages]


@pytest.mark.parametrize("spm", [False, True], ids=["bpe", "spm"])
def test_text_without_markers_has_the_tokens_of_the_library(folder: Path, spm: bool) -> None:
    path = str(tiny.chat_model(folder / f"equal-{spm}.gguf", spm=spm))
    library = Llama(path, n_ctx=512, verbose=False)
    keys = Prompts(LlamaArgs(model=path)).keys(*CONVERSATION)
    assert keys == library_prompt(library, as_dicts(CONVERSATION))


@pytest.mark.parametrize("spm", [False, True], ids=["bpe", "spm"])
@pytest.mark.parametrize("marker", ["[INST]", "[/INST]", "</s>", "<s>", "<|user|>", "<|assistant|>", "<|system|>"])
def test_a_message_cannot_contain_a_control_token(folder: Path, spm: bool, marker: str) -> None:
    prompts = Prompts(LlamaArgs(model=str(tiny.chat_model(folder / f"safe-{spm}.gguf", spm=spm))))
    with_marker, without = ChatMessage("user", f"stop {marker}now"), ChatMessage("user", "stop now")
    assert prompts.control_tokens(with_marker) == prompts.control_tokens(without)
    assert with_marker.text.encode() in b"".join(prompts.pieces(with_marker))


def test_a_marker_of_ordinary_tokens_is_tokenized_by_character_in_a_message(folder: Path) -> None:
    """In Mistral 7B, [INST] is not a control token."""
    path = tiny.chat_model(folder / "plain.gguf", template=tiny.MISTRAL, control=("<s>", "</s>"))
    pieces = Prompts(LlamaArgs(model=str(path))).pieces(ChatMessage("user", "hello [INST] there"))
    assert b"".join(pieces) == b"[INST] hello [INST] there [/INST]"
    assert b"|".join(pieces).count(b"[|IN|ST|]") == 1
    assert b"[|I|N|S|T|]" in b"|".join(pieces)


def test_the_mistral_template_keeps_the_system_message(folder: Path) -> None:
    path = str(tiny.chat_model(folder / "mistral.gguf", template=tiny.MISTRAL))
    pieces = Prompts(LlamaArgs(model=path)).pieces(*CONVERSATION)
    assert b"be the best in town\n\nhello there" in b"".join(pieces)


def test_a_model_without_a_template_is_refused_unless_the_settings_have_one(folder: Path) -> None:
    path = str(tiny.chat_model(folder / "bare.gguf", template=None))
    with pytest.raises(ValueError, match="chat_template"):
        Prompts(LlamaArgs(model=path))
    Prompts(LlamaArgs(model=path, chat_template=tiny.TEMPLATE))


def test_a_model_without_a_vision_encoder_refuses_pictures(folder: Path) -> None:
    text_only = Prompts(LlamaArgs(model=str(tiny.chat_model(folder / "text-only.gguf"))))
    with pytest.raises(UnsupportedMedia):
        text_only.keys(with_pictures(tiny.picture()))


def test_the_media_marker_of_the_library_is_text_in_a_message(llava: Prompts) -> None:
    message = ChatMessage("user", "what is <__media__> here", (tiny.picture(),))
    assert b"<__media__>" in b"".join(llava.pieces(message))
    assert len(llava.builder.build([message], 0).pictures) == 1


@pytest.mark.parametrize(("name", "handler"), [("llava-1-5", Llava15ChatHandler), ("mtmd", MTMDChatHandler)])
def test_a_picture_has_the_position_that_the_library_gives_it(folder: Path, name: str, handler: Any) -> None:
    literal = tiny.TEMPLATE.replace("{{ bos_token }}", "").replace("eos_token", "'</s>'")
    literal = literal.replace(
        "{{ message['content'] }}",
        "{% if message['content'] is string %}{{ message['content'] }}"
        "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}",
    )
    model = str(tiny.chat_model(folder / f"{name}.gguf", template=literal))
    mmproj = str(tiny.projector(folder / f"{name}-mmproj.gguf"))
    picture = tiny.picture()
    args = LlamaArgs(model=model, mmproj=mmproj, chat_handler=name)  # type: ignore[arg-type]
    keys = Prompts(args).keys(with_pictures(picture))
    library = Llama(model, chat_handler=handler(mmproj, verbose=False), n_ctx=512, verbose=False)
    content = [{"type": "image_url", "image_url": data_url(picture)}, {"type": "text", "text": "what is it"}]
    expected = library_prompt(library, [{"role": "user", "content": content}])
    assert len(keys) == len(expected)
    tokens = [i for i, key in enumerate(keys) if key >= 0]
    assert len(tokens) == len(keys) - 4
    assert [keys[i] for i in tokens] == [expected[i] for i in tokens]


@pytest.mark.parametrize("name", ["llava-1-5", "llava-1-6", "nanollava", "mtmd"])
def test_every_chat_handler_renders_each_message_once_and_in_order(folder: Path, name: str) -> None:
    prompts = Prompts(tiny.llava(folder, name))
    messages = (with_pictures(tiny.picture()), ChatMessage("assistant", "a dog"), CONVERSATION[1])
    text = b"".join(prompts.pieces(*messages)).decode()
    assert text.count("hello there, I am 12 and naïve 😀") == 1
    assert text.index("what is it") < text.index("a dog") < text.index("hello there")


def test_a_text_that_cannot_fit_is_refused_before_it_is_rendered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = Prompts(LlamaArgs(model=str(tiny.chat_model(folder / "longest.gguf")), context_length=200))
    monkeypatch.setattr(prompts.builder._template, "render", lambda messages: pytest.fail("rendered"))
    longest = 200 * prompts.model.vocabulary.longest_piece
    half = ChatMessage("user", "x" * (longest // 2 + 1))
    with pytest.raises(ContextOverflow, match="characters"):
        prompts.keys(half, ChatMessage("assistant", "yes"), half)


def test_tokenizing_stops_when_the_context_is_exceeded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = Prompts(LlamaArgs(model=str(tiny.chat_model(folder / "stops.gguf")), context_length=4000))
    tokenize, calls = prompts.model.vocabulary.tokenize, []
    monkeypatch.setattr(
        prompts.model.vocabulary,
        "tokenize",
        lambda text, **options: (calls.append(text), tokenize(text, **options))[1],
    )
    with pytest.raises(ContextOverflow, match=r"at least 4,00\d tokens"):
        prompts.keys(ChatMessage("user", "x</s>" * 2000))
    assert len(calls) < 4000 / len("x</s>") + 2


def test_a_marker_is_tokenized_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = Prompts(LlamaArgs(model=str(tiny.chat_model(folder / "once.gguf")), context_length=4000))
    prompts.keys(ChatMessage("user", "</s>"))
    monkeypatch.setattr(prompts.model.vocabulary, "_tokens", lambda text, **options: [ord(one) for one in text])
    with_markers = prompts.keys(ChatMessage("user", "</s>" * 100))
    assert len(with_markers) < 500
    assert 0 < with_markers.count(with_markers[-1]) < 100


# --- conversations that are too long ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(folder: Path) -> Prompts:
    """A model with pictures and a context of 128 tokens. Its vocabulary has a token for nearly every character."""
    return Prompts(tiny.llava(folder).model_copy(update={"context_length": 128}))


def turn(letter: str, picture: Image | None = None) -> tuple[ChatMessage, ChatMessage]:
    """Return a question and an answer that together take some 30 tokens."""
    return ChatMessage("user", letter * 12, (picture,) if picture else ()), ChatMessage("assistant", letter * 12)


SYSTEM, QUESTION = ChatMessage("system", "be brief"), ChatMessage("user", "and now")


def test_the_oldest_turns_are_dropped_until_the_prompt_and_the_answer_fit(small: Prompts) -> None:
    conversation = (SYSTEM, *(message for letter in "abcdefgh" for message in turn(letter)), QUESTION)
    sizes = []
    for max_tokens in (1, 40, 80):
        prompt = small.builder.build(conversation, max_tokens, drop=True)
        remaining = (SYSTEM, *conversation[1 + prompt.dropped_messages :])
        assert prompt.keys.tolist() == small.keys(*remaining)
        assert len(prompt.keys) + max_tokens <= 128
        assert remaining[1].role == "user"
        sizes.append(prompt.dropped_messages)
    assert 0 < sizes[0] < sizes[1] < sizes[2]


def test_a_conversation_that_fits_is_not_shortened(small: Prompts) -> None:
    prompt = small.builder.build((SYSTEM, *turn("a"), QUESTION), 1, drop=True)
    assert (prompt.keys.tolist(), prompt.dropped_messages) == (small.keys(SYSTEM, *turn("a"), QUESTION), 0)


def test_the_system_prompt_and_the_last_message_alone_may_be_too_long(small: Prompts) -> None:
    with pytest.raises(ContextOverflow, match=r"at most 118 fit besides the 10 reserved"):
        small.builder.build((SYSTEM, *turn("a"), ChatMessage("user", "x" * 120)), 10, drop=True)
    with pytest.raises(ContextOverflow):
        small.builder.build((ChatMessage("system", "x" * 120), *turn("a"), QUESTION), 1, drop=True)


def test_a_long_conversation_is_refused_without_drop(small: Prompts) -> None:
    with pytest.raises(ContextOverflow):
        small.builder.build((SYSTEM, *turn("a") * 5, QUESTION), 1)


def test_pictures_count_and_those_of_dropped_turns_are_not_encoded(
    small: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small.vision
    encode, encoded = small.vision.encode, []
    monkeypatch.setattr(small.vision, "encode", lambda image: (encoded.append(image), encode(image))[1])
    old, new = tiny.picture(50), tiny.picture(51)
    text_only = (*turn("a"), *turn("b"), *turn("c"), QUESTION)
    max_tokens = 128 - len(small.keys(*text_only))  # the text alone just fits
    assert small.builder.build(text_only, max_tokens, drop=True).dropped_messages == 0
    with_pictures = (*turn("a", old), *turn("b"), *turn("c", new), QUESTION)
    prompt = small.builder.build(with_pictures, max_tokens, drop=True)
    assert prompt.dropped_messages == 2
    assert [image is new for image in encoded] == [True]
    assert len(prompt.pictures) == 1


def test_no_picture_is_encoded_for_a_conversation_that_is_refused(
    small: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small.vision, "encode", lambda image: pytest.fail("encoded"))
    with pytest.raises(ContextOverflow):
        small.keys(*[with_pictures(tiny.picture())] * 3, ChatMessage("user", "x" * 130))


@pytest.mark.parametrize("size", [(1, 1), (60, 90), (400, 3), (900, 1200)])
def test_the_positions_of_a_picture_are_known_before_it_is_encoded(llava: Prompts, size: tuple[int, int]) -> None:
    assert llava.vision
    picture = tiny.picture(0, *size)
    assert llava.vision.positions(picture) == sum(len(chunk.keys) for chunk in llava.vision.encode(picture))


def test_a_long_conversation_is_tokenized_about_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = Prompts(LlamaArgs(model=str(tiny.chat_model(folder / "long.gguf")), context_length=4000))
    tokenize, characters = prompts.model.vocabulary.tokenize, []
    monkeypatch.setattr(
        prompts.model.vocabulary,
        "tokenize",
        lambda text, **options: (characters.append(len(text)), tokenize(text, **options))[1],
    )
    conversation = (*(message for _ in range(2000) for message in turn("a")), QUESTION)
    prompt = prompts.builder.build(conversation, 100, drop=True)
    assert prompt.dropped_messages > 3000
    whole = sum(len(message.text) for message in conversation)
    assert sum(characters) < 3 * whole


def data_url(image: Image) -> str:
    data = io.BytesIO()
    Pillow.fromarray(image.pixels).save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
