"""What a model is given to read: as llama-cpp-python would give it, but for control tokens that a speaker wrote."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_cpp import Llama
from llama_cpp.llama_chat_format import Llava15ChatHandler, MTMDChatHandler
from PIL import Image as Pillow

from deployments.engines.llama.context import Model
from deployments.engines.llama.vision import Eye
from deployments.engines.llama.prompt import Reader
from deployments.errors import BrokenMedia, UnsupportedMedia
from deployments.messages import ChatMessage, Image
from deployments.settings import LlamaArgs
from tests.deployments.engines import tiny

TALK = [
    ChatMessage("system", "be the best in town"),
    ChatMessage("user", "hello there, I am 12 and naïve 😀"),
    ChatMessage("assistant", "hello"),
    ChatMessage("user", "on the one hand\n  in the other"),
]


class Desk:
    """A model, its eye and its reader."""

    def __init__(self, args: LlamaArgs) -> None:
        self.model = Model(Path(args.model), 0)
        self.eye = (
            Eye(Path(args.mmproj), self.model.handle, self.model.width, threads=1, use_gpu=False, flash_attention=True)
            if args.mmproj
            else None
        )
        self.reader = Reader(args, self.model, self.eye)

    def keys(self, *messages: ChatMessage) -> list[int]:
        return self.reader.read(messages).keys.tolist()

    def pieces(self, *messages: ChatMessage) -> list[bytes]:
        """The text of each token; nothing for control tokens and the places of a picture."""
        return [self.model.vocabulary.text(key) if key >= 0 else b"" for key in self.keys(*messages)]

    def control(self, *messages: ChatMessage) -> list[int]:
        return [key for key in self.keys(*messages) if key >= 0 and not self.model.vocabulary.text(key)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def llava(folder: Path) -> Desk:
    return Desk(tiny.llava(folder))


def library_prompt(model: Llama, messages: list[dict[str, Any]]) -> list[int]:
    """What llama-cpp-python itself feeds its model."""
    model.reset()
    answer = model.create_chat_completion(messages, max_tokens=1, temperature=0.0)
    return model.input_ids[: answer["usage"]["prompt_tokens"]].tolist()  # type: ignore[index]


def plain(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": message.text} for message in messages]


@pytest.mark.parametrize("spm", [False, True], ids=["bpe", "spm"])
def test_ordinary_text_reads_as_the_library_would_read_it(folder: Path, spm: bool) -> None:
    path = str(tiny.chat_model(folder / f"equal-{spm}.gguf", spm=spm))
    theirs = Llama(path, n_ctx=512, verbose=False)
    assert Desk(LlamaArgs(model=path)).keys(*TALK) == library_prompt(theirs, plain(TALK))


@pytest.mark.parametrize("spm", [False, True], ids=["bpe", "spm"])
@pytest.mark.parametrize("marker", ["[INST]", "[/INST]", "</s>", "<s>", "<|user|>", "<|assistant|>", "<|system|>"])
def test_a_speaker_cannot_say_a_control_token(folder: Path, spm: bool, marker: str) -> None:
    desk = Desk(LlamaArgs(model=str(tiny.chat_model(folder / f"safe-{spm}.gguf", spm=spm))))
    said, honest = ChatMessage("user", f"stop {marker}now"), ChatMessage("user", "stop now")
    assert desk.control(said) == desk.control(honest)
    assert said.text.encode() in b"".join(desk.pieces(said))


def test_a_templates_plain_markers_read_otherwise_when_a_speaker_says_them(folder: Path) -> None:
    """As with Mistral 7B, whose [INST] is no token of its own."""
    path = tiny.chat_model(folder / "plain.gguf", template=tiny.MISTRAL, control=("<s>", "</s>"))
    pieces = Desk(LlamaArgs(model=str(path))).pieces(ChatMessage("user", "hello [INST] there"))
    assert b"".join(pieces) == b"[INST] hello [INST] there [/INST]"
    assert b"|".join(pieces).count(b"[|IN|ST|]") == 1
    assert b"[|I|N|S|T|]" in b"|".join(pieces)


def test_the_mistral_template_keeps_the_system_message(folder: Path) -> None:
    path = str(tiny.chat_model(folder / "mistral.gguf", template=tiny.MISTRAL))
    pieces = Desk(LlamaArgs(model=path)).pieces(*TALK)
    assert b"be the best in town\n\nhello there" in b"".join(pieces)


def test_a_model_without_a_template_is_refused_unless_the_settings_have_one(folder: Path) -> None:
    path = str(tiny.chat_model(folder / "bare.gguf", template=None))
    with pytest.raises(ValueError, match="chat_template"):
        Desk(LlamaArgs(model=path))
    Desk(LlamaArgs(model=path, chat_template=tiny.TEMPLATE))


def about(*pictures: Image) -> ChatMessage:
    return ChatMessage("user", "what is it", pictures)


def test_places_of_pictures_tell_them_apart(llava: Desk) -> None:
    one, other = tiny.picture(1), tiny.picture(2)
    assert llava.keys(about(one)) == llava.keys(about(one)) != llava.keys(about(other))
    assert llava.keys(about(one, other)) != llava.keys(about(other, one))


def test_a_picture_is_looked_at_once(llava: Desk) -> None:
    assert llava.eye
    first, again, other = (llava.eye.look(tiny.picture(seed))[0].rows for seed in (7, 7, 8))
    assert first is again
    assert first is not None
    assert other is not None
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (400, 3), (28, 28), (900, 1200)])
def test_any_shape_of_picture_is_read(llava: Desk, size: tuple[int, int]) -> None:
    prompt = llava.reader.read([about(tiny.picture(0, *size))])
    assert [rows.shape for _, rows in prompt.pictures] == [(4, tiny.WIDTH)]


def test_a_picture_without_pixels_is_the_clients_error(llava: Desk) -> None:
    with pytest.raises(BrokenMedia, match="5 by 0"):
        llava.keys(about(Image(np.zeros((0, 5, 3), np.uint8))))


def test_a_model_without_a_projector_reads_no_pictures(folder: Path) -> None:
    blind = Desk(LlamaArgs(model=str(tiny.chat_model(folder / "blind.gguf"))))
    with pytest.raises(UnsupportedMedia):
        blind.keys(about(tiny.picture()))


def test_the_media_marker_in_a_speakers_text_is_text(llava: Desk) -> None:
    said = ChatMessage("user", "what is <__media__> here", (tiny.picture(),))
    assert b"<__media__>" in b"".join(llava.pieces(said))
    assert len(llava.reader.read([said]).pictures) == 1


@pytest.mark.parametrize(("name", "handler"), [("llava-1-5", Llava15ChatHandler), ("mtmd", MTMDChatHandler)])
def test_a_picture_stands_where_the_librarys_handler_puts_it(folder: Path, name: str, handler: Any) -> None:
    literal = tiny.TEMPLATE.replace("{{ bos_token }}", "").replace("eos_token", "'</s>'")
    literal = literal.replace(
        "{{ message['content'] }}",
        "{% if message['content'] is string %}{{ message['content'] }}"
        "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}",
    )
    model = str(tiny.chat_model(folder / f"{name}.gguf", template=literal))
    eye = str(tiny.projector(folder / f"{name}-mmproj.gguf"))
    seen = tiny.picture()
    args = LlamaArgs(model=model, mmproj=eye, chat_handler=name)  # type: ignore[arg-type]
    ours = Desk(args).keys(about(seen))
    library = Llama(model, chat_handler=handler(eye, verbose=False), n_ctx=512, verbose=False)
    content = [{"type": "image_url", "image_url": uri(seen)}, {"type": "text", "text": "what is it"}]
    theirs = library_prompt(library, [{"role": "user", "content": content}])
    assert len(ours) == len(theirs)
    words = [i for i, entry in enumerate(ours) if entry >= 0]
    assert len(words) == len(ours) - 4
    assert [ours[i] for i in words] == [theirs[i] for i in words]


@pytest.mark.parametrize("name", ["llava-1-5", "llava-1-6", "nanollava", "mtmd"])
def test_every_chat_handler_keeps_what_was_said(folder: Path, name: str) -> None:
    desk = Desk(tiny.llava(folder, name))
    read = b"".join(desk.pieces(about(tiny.picture()), ChatMessage("assistant", "a dog"), TALK[1])).decode()
    assert read.count("hello there, I am 12 and naïve 😀") == 1
    assert read.index("what is it") < read.index("a dog") < read.index("hello there")


def uri(image: Image) -> str:
    data = io.BytesIO()
    Pillow.fromarray(image.pixels).save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
