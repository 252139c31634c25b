from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_cpp import Llama
from llama_cpp.llama_chat_format import Llava15ChatHandler, MTMDChatHandler
from PIL import Image as Pillow

from deployments.engines.llama import LlamaChat
from deployments.errors import BrokenMedia, ContextOverflow, UnsupportedMedia
from deployments.messages import ChatEnd, ChatMessage, Image, TextDelta
from deployments.settings import ChatConfig, LlamaArgs
from tests.engines import tiny

Run = Callable[[Any], Any]

TALK = [
    ChatMessage("system", "be the best in town"),
    ChatMessage("user", "hello there, I am 12 and naïve 😀"),
    ChatMessage("assistant", "hello"),
    ChatMessage("user", "on the one hand\n  in the other"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("llama")


@pytest.fixture(scope="module")
def chat(folder: Path) -> LlamaChat:
    return LlamaChat(LlamaArgs(model=str(tiny.chat_model(folder / "chat.gguf")), context_length=512))


@pytest.fixture(scope="module")
def llava(folder: Path) -> LlamaChat:
    return LlamaChat(tiny.llava(folder))


async def ask(engine: LlamaChat, messages: Sequence[ChatMessage], **config: Any) -> tuple[str, ChatEnd]:
    settings = ChatConfig(**{"max_tokens": 8, "temperature": 0.0, **config})
    values = [value async for value in engine.chat(messages, settings)]
    end = values.pop()
    assert isinstance(end, ChatEnd)
    return "".join(value.text for value in values if isinstance(value, TextDelta)), end


def prompt_of(run: Run, engine: LlamaChat, messages: Sequence[ChatMessage]) -> list[Any]:
    """What the engine fed its model."""
    _, end = run(ask(engine, messages, max_tokens=1))
    return engine._read[: end.prompt_tokens]


def library_prompt(model: Llama, messages: list[dict[str, Any]]) -> list[int]:
    """What llama-cpp-python itself feeds its model."""
    model.reset()
    answer = model.create_chat_completion(messages, max_tokens=1, temperature=0.0)
    return model.input_ids[: answer["usage"]["prompt_tokens"]].tolist()  # type: ignore[index]


def plain(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": message.text} for message in messages]


@pytest.mark.parametrize("spm", [False, True], ids=["bpe", "spm"])
def test_ordinary_text_reads_as_the_library_would_read_it(run: Run, folder: Path, spm: bool) -> None:
    path = str(tiny.chat_model(folder / f"equal-{spm}.gguf", spm=spm))
    ours, theirs = LlamaChat(LlamaArgs(model=path, context_length=512)), Llama(path, n_ctx=512, verbose=False)
    assert prompt_of(run, ours, TALK) == library_prompt(theirs, plain(TALK))


@pytest.mark.parametrize("spm", [False, True], ids=["bpe", "spm"])
@pytest.mark.parametrize("marker", ["[INST]", "[/INST]", "</s>", "<s>", "<|user|>", "<|assistant|>", "<|system|>"])
def test_a_speaker_cannot_say_a_control_token(run: Run, folder: Path, spm: bool, marker: str) -> None:
    engine = LlamaChat(LlamaArgs(model=str(tiny.chat_model(folder / f"safe-{spm}.gguf", spm=spm))))
    said = f"stop {marker}now"
    tokens = prompt_of(run, engine, [ChatMessage("user", said)])
    control = [token for token in tokens if engine._vocab.text(token) == b""]
    honest = prompt_of(run, engine, [ChatMessage("user", "stop now")])
    assert control == [token for token in honest if engine._vocab.text(token) == b""]
    assert said.encode() in b"".join(map(engine._vocab.text, tokens))


def test_a_templates_plain_markers_read_otherwise_when_a_speaker_says_them(run: Run, folder: Path) -> None:
    """As with Mistral 7B, whose [INST] is no token of its own."""
    path = tiny.chat_model(folder / "plain.gguf", template=tiny.MISTRAL, control=("<s>", "</s>"))
    engine = LlamaChat(LlamaArgs(model=str(path)))
    tokens = prompt_of(run, engine, [ChatMessage("user", "hello [INST] there")])
    pieces = [engine._vocab.text(token) for token in tokens]
    assert b"".join(pieces) == b"[INST] hello [INST] there [/INST]"
    assert b"|".join(pieces).count(b"[|IN|ST|]") == 1
    assert b"[|I|N|S|T|]" in b"|".join(pieces)


def test_the_mistral_template_keeps_the_system_message(run: Run, folder: Path) -> None:
    path = str(tiny.chat_model(folder / "mistral.gguf", template=tiny.MISTRAL))
    tokens = prompt_of(run, engine := LlamaChat(LlamaArgs(model=path)), TALK)
    assert b"be the best in town\n\nhello there" in b"".join(map(engine._vocab.text, tokens))


def test_a_model_without_a_template_is_refused_unless_the_settings_have_one(folder: Path) -> None:
    path = str(tiny.chat_model(folder / "bare.gguf", template=None))
    with pytest.raises(ValueError, match="chat_template"):
        LlamaChat(LlamaArgs(model=path))
    LlamaChat(LlamaArgs(model=path, chat_template=tiny.TEMPLATE))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no-such-model\.gguf"):
        LlamaChat(LlamaArgs(model="no-such-model.gguf"))


def test_a_model_of_the_hub_is_fetched_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def fetch(repo_id: str, name: str) -> str:
        asked.append((repo_id, name))
        return str(tiny.projector(folder / name) if "mmproj" in name else tiny.chat_model(folder / name))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    LlamaChat(LlamaArgs(repo_id="someone/llava", model="hub.gguf", mmproj="hub-mmproj.gguf"))
    assert asked == [("someone/llava", "hub.gguf"), ("someone/llava", "hub-mmproj.gguf")]


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_0"])
def test_quantised_models_run(run: Run, folder: Path, kind: str) -> None:
    """On some processors a badly built llama.cpp dies on the quantised ones."""
    engine = LlamaChat(LlamaArgs(model=str(tiny.chat_model(folder / f"{kind}.gguf", kind))))
    _, end = run(ask(engine, TALK, max_tokens=16))
    assert 0 < end.completion_tokens <= 16


def test_a_conversation_over_the_context_says_how_long_it_was_and_what_fits(run: Run, chat: LlamaChat) -> None:
    before = chat.produced
    with pytest.raises(ContextOverflow, match=r"has 1,0\d\d tokens; at most 412 fit beside the 100 reserved"):
        run(ask(chat, [ChatMessage("user", "x y z " * 170)], max_tokens=100))
    with pytest.raises(ContextOverflow, match=r"none fit into a context of 512") as caught:
        run(ask(chat, TALK, max_tokens=10_000))
    assert caught.value.param == "max_tokens"
    assert chat.produced == before


def test_the_context_can_be_filled_to_the_last_token(run: Run, chat: LlamaChat) -> None:
    _, short = run(ask(chat, [ChatMessage("user", "")], max_tokens=1))
    said = [ChatMessage("user", "x" * (512 - 12 - short.prompt_tokens))]
    _, end = run(ask(chat, said, max_tokens=12, seed=3, temperature=2.0))
    assert end.prompt_tokens == 500
    run(chat.check())
    assert run(ask(chat, TALK)) == run(ask(chat, TALK))


def test_the_same_seed_gives_the_same_answer(run: Run, chat: LlamaChat) -> None:
    hot = {"temperature": 2.0, "max_tokens": 30, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    one, again, other = (run(ask(chat, TALK, seed=seed, **hot))[0] for seed in (1, 1, 2))
    assert one == again != other
    assert run(ask(chat, TALK, **hot))[0] != run(ask(chat, TALK, **hot))[0]


def test_an_answer_ends_at_a_stop_text(run: Run, chat: LlamaChat) -> None:
    whole, end = run(ask(chat, TALK, seed=5, temperature=1.0, max_tokens=40))
    stop = whole[10:12]
    cut, stopped = run(ask(chat, TALK, seed=5, temperature=1.0, max_tokens=40, stop=(stop,)))
    assert cut == whole[: whole.index(stop)]
    assert stopped.finish_reason == "stop"
    assert stopped.completion_tokens < end.completion_tokens


def test_characters_of_several_bytes_come_whole(run: Run, chat: LlamaChat) -> None:
    """The random model talks in single bytes; what is given out is what all its bytes together read as."""
    for seed in range(5):
        text, end = run(ask(chat, TALK, seed=seed, temperature=1.5, max_tokens=50))
        known = chat._read[end.prompt_tokens :]
        whole = b"".join(map(chat._vocab.text, known)).decode(errors="replace").lstrip()
        assert text[: len(whole) - 1] == whole[:-1]


def test_a_following_turn_reads_only_what_is_new(run: Run, chat: LlamaChat, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, first = run(ask(chat, TALK, seed=1, temperature=1.0))
    fed: list[int] = []
    feed = chat._llama.eval
    monkeypatch.setattr(chat._llama, "eval", lambda tokens: (fed.append(len(tokens)), feed(tokens))[1])
    more = [*TALK, ChatMessage("assistant", answer), ChatMessage("user", "and on")]
    cached, end = run(ask(chat, more, max_tokens=1))
    assert sum(fed) <= end.prompt_tokens - first.prompt_tokens + 1
    chat._llama.reset()
    chat._read = []
    assert run(ask(chat, more, max_tokens=1)) == (cached, end)


def test_one_who_leaves_while_his_prompt_is_read_stops_the_reading(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LlamaChat(LlamaArgs(model=str(tiny.chat_model(folder / "steps.gguf")), context_length=512, batch_size=8))
    said = [ChatMessage("user", "x" * 300)]
    fed: list[int] = []
    feed = engine._llama.eval
    monkeypatch.setattr(engine._llama, "eval", lambda tokens: (time.sleep(0.01), fed.append(len(tokens)), feed(tokens)))

    async def body() -> None:
        task = asyncio.create_task(ask(engine, said))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.check()

    run(body())
    assert 0 < len(fed) < 15
    _, end = run(ask(engine, said, max_tokens=1))
    assert engine._read[: end.prompt_tokens] == prompt_of(run, engine, said)


def test_pictures_in_a_row_are_answered_each_for_itself(run: Run, llava: LlamaChat, folder: Path) -> None:
    """Unlike llama-cpp-python#1458, where an answer is about an earlier picture."""

    def about(*pictures: Image) -> list[ChatMessage]:
        return [ChatMessage("user", "what is it", pictures)]

    fresh = {}
    for seed in range(3):
        engine = LlamaChat(tiny.llava(folder))
        fresh[seed] = run(ask(engine, about(tiny.picture(seed))))
        run(engine.close())
    assert len({text for text, _ in fresh.values()}) == 3
    for seed in (0, 1, 1, 2, 0):
        assert run(ask(llava, about(tiny.picture(seed)))) == fresh[seed]
    both = run(ask(llava, about(tiny.picture(0), tiny.picture(1))))
    assert run(ask(llava, about(tiny.picture(1), tiny.picture(0)))) != both


def test_a_question_about_the_same_picture_does_not_look_again(
    run: Run, llava: LlamaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tiny.picture(7)
    run(ask(llava, [ChatMessage("user", "what is it", (seen,))]))
    looks: list[Any] = []
    look = llava._projector.look  # type: ignore[union-attr]
    monkeypatch.setattr(llava._projector, "look", lambda picture: (looks.append(picture), look(picture)))
    run(ask(llava, [ChatMessage("user", "and where is it", (seen,))]))
    assert not looks
    run(ask(llava, [ChatMessage("user", "and where is it", (tiny.picture(8),))]))
    assert len(looks) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (400, 3), (28, 28), (900, 1200)])
def test_any_shape_of_picture_is_read(run: Run, llava: LlamaChat, size: tuple[int, int]) -> None:
    _, end = run(ask(llava, [ChatMessage("user", "what is it", (tiny.picture(0, *size),))]))
    assert end.completion_tokens > 0


def test_a_picture_without_pixels_is_the_clients_error(run: Run, llava: LlamaChat) -> None:
    empty = Image(np.zeros((0, 5, 3), np.uint8))
    with pytest.raises(BrokenMedia, match="5 by 0"):
        run(ask(llava, [ChatMessage("user", "what is it", (empty,))]))


def test_a_model_without_a_projector_reads_no_pictures(run: Run, chat: LlamaChat) -> None:
    assert not chat.vision
    with pytest.raises(UnsupportedMedia):
        run(ask(chat, [ChatMessage("user", "what is it", (tiny.picture(),))]))


def test_the_media_marker_in_a_speakers_text_is_text(run: Run, llava: LlamaChat) -> None:
    said = ChatMessage("user", "what is <__media__> here", (tiny.picture(),))
    _, end = run(ask(llava, [said]))
    assert end.completion_tokens > 0


@pytest.mark.parametrize(("name", "handler"), [("llava-1-5", Llava15ChatHandler), ("mtmd", MTMDChatHandler)])
def test_a_picture_stands_where_the_librarys_handler_puts_it(run: Run, folder: Path, name: str, handler: Any) -> None:
    literal = tiny.TEMPLATE.replace("{{ bos_token }}", "").replace("eos_token", "'</s>'")
    literal = literal.replace(
        "{{ message['content'] }}",
        "{% if message['content'] is string %}{{ message['content'] }}"
        "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}",
    )
    model = str(tiny.chat_model(folder / f"{name}.gguf", template=literal))
    eye = str(tiny.projector(folder / f"{name}-mmproj.gguf"))
    seen = tiny.picture()
    ours = prompt_of(
        run,
        LlamaChat(LlamaArgs(model=model, mmproj=eye, chat_handler=name, context_length=512)),  # type: ignore[arg-type]
        [ChatMessage("user", "what is it", (seen,))],
    )
    library = Llama(model, chat_handler=handler(eye, verbose=False), n_ctx=512, verbose=False)
    content = [{"type": "image_url", "image_url": uri(seen)}, {"type": "text", "text": "what is it"}]
    theirs = library_prompt(library, [{"role": "user", "content": content}])
    assert len(ours) == len(theirs)
    words = [i for i, entry in enumerate(ours) if not isinstance(entry, bytes)]
    assert len(words) == len(ours) - 4
    assert [ours[i] for i in words] == [theirs[i] for i in words]


@pytest.mark.parametrize("name", ["llava-1-5", "llava-1-6", "nanollava", "mtmd"])
def test_every_chat_handler_answers(run: Run, folder: Path, name: str) -> None:
    engine = LlamaChat(tiny.llava(folder, name))
    said = [ChatMessage("user", "what is it", (tiny.picture(),)), ChatMessage("assistant", "a dog"), TALK[1]]
    tokens = prompt_of(run, engine, said)
    read = b"".join(engine._vocab.text(token) for token in tokens if isinstance(token, int)).decode()
    assert read.count("hello there, I am 12 and naïve 😀") == 1
    assert read.index("what is it") < read.index("a dog") < read.index("hello there")


def uri(image: Image) -> str:
    data = io.BytesIO()
    Pillow.fromarray(image.pixels).save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
