"""The exported file in llama.cpp is equivalent to the model in PyTorch."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
llama_cpp = pytest.importorskip("llama_cpp")

from pocket.llm.batches import LLAVA_SYSTEM, conversation_row  # noqa: E402
from pocket.llm.dialogues import dialogue  # noqa: E402
from pocket.llm.export import read_gguf, write_gguf  # noqa: E402
from pocket.llm.model import TINY, Llama  # noqa: E402
from pocket.llm.out_of_scope import code, gibberish, marked  # noqa: E402
from pocket.llm.tokenizer import BOS, encode, render  # noqa: E402


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = Llama(TINY).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3.0)
    return made


@pytest.fixture(scope="module")
def engine(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path, model.state_dict(), TINY, "F16")
    loaded = llama_cpp.Llama(str(path), n_ctx=1024, n_threads=1, logits_all=True, verbose=False)
    yield loaded
    loaded.close()


def test_logits_are_equal(model, engine):
    ids = conversation_row(dialogue(random.Random(11))).ids[:300]
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0].numpy()
    engine.reset()
    engine.eval(ids)
    found = np.array(engine.scores[: len(ids)])
    assert np.abs(found - expected).max() < 0.05 * expected.std()


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_quantised_files_generate(model, tmp_path, kind):
    path = tmp_path / f"{kind}.gguf"
    write_gguf(path, model.state_dict(), TINY, kind)
    loaded = llama_cpp.Llama(str(path), n_ctx=128, n_threads=1, verbose=False)
    answer = loaded.create_completion("Hello", max_tokens=4, temperature=0.0)
    assert answer["usage"]["prompt_tokens"] >= 2
    loaded.close()


def test_reads_weights_back_from_a_file(model, tmp_path):
    write_gguf(tmp_path / "whole.gguf", model.state_dict(), TINY, "F32")
    read = read_gguf(tmp_path / "whole.gguf", TINY)
    assert read.keys() == model.state_dict().keys()
    assert all(torch.equal(read[name], weights) for name, weights in model.state_dict().items())


def test_text_encodes_to_the_same_ids(engine):
    rng = random.Random(5)
    texts = [m["content"] for _ in range(60) for m in dialogue(rng)]
    texts += [make(rng) for make in (code, gibberish, marked) for _ in range(30)]
    texts += ["", " ", "\n\n  x", "I'm 20, it's 17+4?", "naïve 你好 🙂\t!", LLAVA_SYSTEM + "\nUSER: ", "?\nASSISTANT: "]
    for text in texts:
        found = engine.tokenize(text.encode(), add_bos=False, special=False)
        assert found == encode(text), text


def test_chat_template_gives_the_ids_of_training(engine):
    formatter = llama_cpp.llama_chat_format.Jinja2ChatFormatter(
        template=engine.metadata["tokenizer.chat_template"],
        bos_token="<|bos|>",
        eos_token="<|end|>",
    )
    rng = random.Random(6)
    for _ in range(40):
        messages = dialogue(rng)[:-1]
        text = formatter(messages=messages).prompt
        if any("<|" in m["content"] for m in messages):
            continue
        assert engine.tokenize(text.encode(), add_bos=False, special=True) == render(messages, answer=True)


def test_file_has_its_own_template_and_adds_one_bos(engine):
    assert "mistral" not in (engine.chat_format or "")
    assert engine.tokenize(b"x")[0] == BOS
    assert engine.token_eos() == engine.tokenize(b"<|end|>", add_bos=False, special=True)[0]
