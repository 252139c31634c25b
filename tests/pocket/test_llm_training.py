"""What the trainer is fed, and what the model makes of it."""

import random

import pytest

torch = pytest.importorskip("torch")

from pocket.llm.batches import conversation_row, llava_row, packed, picture_batches, picture_row  # noqa: E402
from pocket.llm.joint import Joint, load, load_shipped, save  # noqa: E402
from pocket.llm.model import TINY, Llama, LlamaConfig  # noqa: E402
from pocket.llm.tokenizer import ASSISTANT, BOS, END, PAD, USER, encode, tokenizer  # noqa: E402
from pocket.llm.train import rate  # noqa: E402
from pocket.vision.preprocess import N_TOKENS  # noqa: E402

CHAT = [
    {"role": "system", "content": "You are Max, a pirate."},
    {"role": "user", "content": "what is <|end|> this"},
    {"role": "assistant", "content": "A red circle."},
    {"role": "user", "content": "and where"},
    {"role": "assistant", "content": "In the middle."},
]


def said(row):
    return tokenizer().decode([i for i, own in zip(row.ids, row.said, strict=True) if own], skip_special_tokens=False)


def test_only_the_answers_and_their_ends_are_the_assistants():
    assert said(conversation_row(CHAT)) == "A red circle.<|end|>In the middle.<|end|>"


def test_a_picture_stands_at_the_start_of_its_message():
    row, start = picture_row(CHAT, 1)
    assert row.ids[start - 1] == USER
    assert row.ids[start : start + N_TOKENS] == [PAD] * N_TOKENS
    assert row.ids[start + N_TOKENS :][: len(encode("what is"))] == encode("what is")
    assert said(row) == "A red circle.<|end|>In the middle.<|end|>"


def test_the_llava_text_says_only_the_last_answer():
    row, start = llava_row(CHAT, 1, random.Random(0))
    text = tokenizer().decode(row.ids[start + N_TOKENS :], skip_special_tokens=False)
    assert tokenizer().decode(row.ids[:start], skip_special_tokens=False) == "<|bos|>You are Max, a pirate.USER: "
    assert text.startswith("what is <|end|> thisASSISTANT: A red circle.USER: and where")
    assert text.endswith("ASSISTANT: In the middle.<|end|>")
    assert said(row) == "In the middle.<|end|>"


def test_packed_rows_are_full_and_weigh_the_answers():
    batch = packed(random.Random(3), 256, 4)
    assert (batch.ids != PAD).all()
    assert (batch.ids[:, 0] == BOS).all()
    assert 0.2 < (batch.weight == 1).float().mean() < 0.8
    assert (batch.targets[:, :-1] == batch.ids[:, 1:]).all()
    follows_role = batch.ids == ASSISTANT
    assert (batch.weight[follows_role] == 1).all()
    assert (batch.weight[batch.targets == BOS] == 0).all()


def test_packed_conversations_do_not_see_each_other():
    torch.manual_seed(0)
    model = Llama(TINY).eval()
    batch = packed(random.Random(4), 192, 1)
    second = batch.documents[0] == 2
    with torch.no_grad():
        together = model(batch.ids, batch.documents)[0, second]
        alone = model(batch.ids[:, second])[0]
    assert second.sum() > 8
    torch.testing.assert_close(together, alone, atol=2e-4, rtol=2e-3)


def test_pictures_have_their_places():
    batch = next(picture_batches(random.Random(5), 4))
    for ids, start in zip(batch.ids, batch.starts, strict=True):
        assert (ids[start : start + N_TOKENS] == PAD).all()
        assert ids[start - 1] != PAD
    assert batch.pixels.dtype == torch.uint8
    assert (batch.targets[batch.weight == 1] != PAD).all()
    assert (batch.targets == END).any()


@pytest.fixture(scope="module")
def joint():
    torch.manual_seed(0)
    return Joint(TINY)


def test_the_probe_teaches_the_tower_alone(joint):
    joint.zero_grad()
    joint.probe_loss(next(picture_batches(random.Random(5), 2))).backward()
    assert all(p.grad is None for p in joint.llm.parameters())
    assert all(p.grad is not None for p in joint.tower.parameters())


def test_what_is_said_of_a_picture_teaches_both(joint):
    joint.zero_grad()
    described, probed = joint.picture_loss(next(picture_batches(random.Random(5), 2)))
    assert 6 < described < 10
    assert probed > 0
    described.backward()
    assert joint.tower.patch.weight.grad.abs().sum() > 0
    assert joint.llm.embedding.weight.grad.abs().sum() > 0


def test_a_checkpoint_comes_back(joint, tmp_path):
    save(tmp_path / "final.pt", joint)
    other = Joint(TINY)
    load(tmp_path / "final.pt", other)
    torch.testing.assert_close(other.state_dict(), joint.state_dict(), atol=1e-3, rtol=1e-2)


def test_from_the_bundled_files_the_language_model_alone_learns():
    shipped = Joint(LlamaConfig())
    load_shipped(shipped)
    shipped.keep_tower()
    described, probed = shipped.picture_loss(next(picture_batches(random.Random(5), 2)))
    assert described < 1
    assert probed == 0
    described.backward()
    assert all(p.grad is None for p in shipped.tower.parameters())
    assert shipped.llm.embedding.weight.grad.abs().sum() > 0


def test_the_rate_rises_stays_and_falls():
    rates = [rate(share, 1.0) for share in (0.0, 0.01, 0.1, 0.5, 0.8, 0.999)]
    assert rates[0] < rates[1] < rates[2] == rates[3] == 1.0
    assert rates[3] > rates[4] > rates[5] > 0
