"""Training batches, losses and checkpoints."""

import random

import pytest

torch = pytest.importorskip("torch")

from pocket.llm.batches import conversation_row, llava_row, packed_batch, picture_batches, picture_row  # noqa: E402
from pocket.llm.joint import Joint, load, load_bundled, save  # noqa: E402
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


def answer_text(row):
    return tokenizer().decode(
        [i for i, is_answer in zip(row.ids, row.is_answer, strict=True) if is_answer], skip_special_tokens=False
    )


def test_answers_include_their_end_token():
    assert answer_text(conversation_row(CHAT)) == "A red circle.<|end|>In the middle.<|end|>"


def test_picture_is_at_the_start_of_its_message():
    row, start = picture_row(CHAT, 1)
    assert row.ids[start - 1] == USER
    assert row.ids[start : start + N_TOKENS] == [PAD] * N_TOKENS
    assert row.ids[start + N_TOKENS :][: len(encode("what is"))] == encode("what is")
    assert answer_text(row) == "A red circle.<|end|>In the middle.<|end|>"


def test_llava_row_counts_only_the_last_answer():
    row, start = llava_row(CHAT, 1, random.Random(0))
    text = tokenizer().decode(row.ids[start + N_TOKENS :], skip_special_tokens=False)
    assert tokenizer().decode(row.ids[:start], skip_special_tokens=False) == "<|bos|>You are Max, a pirate.USER: "
    assert text.startswith("what is <|end|> thisASSISTANT: A red circle.USER: and where")
    assert text.endswith("ASSISTANT: In the middle.<|end|>")
    assert answer_text(row) == "In the middle.<|end|>"


def test_packed_rows_are_full_and_weight_the_answers():
    batch = packed_batch(random.Random(3), 256, 4)
    assert (batch.ids != PAD).all()
    assert (batch.ids[:, 0] == BOS).all()
    assert 0.2 < (batch.weight == 1).float().mean() < 0.8
    assert (batch.targets[:, :-1] == batch.ids[:, 1:]).all()
    follows_role = batch.ids == ASSISTANT
    assert (batch.weight[follows_role] == 1).all()
    assert (batch.weight[batch.targets == BOS] == 0).all()


def test_attention_stays_within_a_packed_conversation():
    torch.manual_seed(0)
    model = Llama(TINY).eval()
    batch = packed_batch(random.Random(4), 192, 1)
    second = batch.documents[0] == 2
    with torch.no_grad():
        together = model(batch.ids, batch.documents)[0, second]
        alone = model(batch.ids[:, second])[0]
    assert second.sum() > 8
    torch.testing.assert_close(together, alone, atol=2e-4, rtol=2e-3)


def test_picture_batches_reserve_positions_for_the_picture():
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


def test_probe_loss_trains_the_tower_only(joint):
    joint.zero_grad()
    joint.probe_loss(next(picture_batches(random.Random(5), 2))).backward()
    assert all(p.grad is None for p in joint.llm.parameters())
    assert all(p.grad is not None for p in joint.tower.parameters())


def test_picture_loss_trains_both_models(joint):
    joint.zero_grad()
    answer_loss, probe_loss = joint.picture_loss(next(picture_batches(random.Random(5), 2)))
    assert 6 < answer_loss < 10
    assert probe_loss > 0
    answer_loss.backward()
    assert joint.tower.patch.weight.grad.abs().sum() > 0
    assert joint.llm.embedding.weight.grad.abs().sum() > 0


def test_loads_a_saved_checkpoint(joint, tmp_path):
    save(tmp_path / "final.pt", joint)
    other = Joint(TINY)
    load(tmp_path / "final.pt", other)
    torch.testing.assert_close(other.state_dict(), joint.state_dict(), atol=1e-3, rtol=1e-2)


def test_frozen_tower_gets_no_gradients():
    model = Joint(LlamaConfig())
    load_bundled(model)
    model.freeze_tower()
    answer_loss, probe_loss = model.picture_loss(next(picture_batches(random.Random(5), 2)))
    assert answer_loss < 1
    assert probe_loss == 0
    answer_loss.backward()
    assert all(p.grad is None for p in model.tower.parameters())
    assert model.llm.embedding.weight.grad.abs().sum() > 0


def test_learning_rate_rises_is_constant_and_falls():
    rates = [rate(share, 1.0) for share in (0.0, 0.01, 0.1, 0.5, 0.8, 0.999)]
    assert rates[0] < rates[1] < rates[2] == rates[3] == 1.0
    assert rates[3] > rates[4] > rates[5] > 0
