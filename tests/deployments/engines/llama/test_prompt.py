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
    assert len(llava.builder.build([message]).pictures) == 1


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


def test_no_picture_is_encoded_after_the_context_is_exceeded(
    llava: Prompts, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Prompts(tiny.llava(folder).model_copy(update={"context_length": 128}))
    encoded: list[Image] = []
    encode = small.builder._encode
    monkeypatch.setattr(small.builder, "_encode", lambda image: (encoded.append(image), encode(image))[1])
    with pytest.raises(ContextOverflow):
        small.keys(ChatMessage("user", "x" * 130), *[with_pictures(tiny.picture())] * 3)
    assert not encoded


def data_url(image: Image) -> str:
    data = io.BytesIO()
    Pillow.fromarray(image.pixels).save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
