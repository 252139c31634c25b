import random

import numpy as np
import pytest
import torch

from pocket.asr import text
from pocket.asr.features import FRAMES, HOP, N_MELS, SAMPLES
from pocket.asr.mixture import LENGTH, Mixer, Row
from pocket.asr.model import Recognizer, config
from pocket.asr.pool import Pool
from pocket.asr.speech import NOISE_SECONDS, Pack
from pocket.asr.tokens import IGNORED, Tokens
from pocket.asr.voices import RATE_HZ


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    rng = random.Random(3)
    return Tokens.learn(text.sentence(rng) for _ in range(500))


@pytest.fixture(scope="module")
def pool(tokens: Tokens) -> Pool:
    pool = Pool(tokens, torch.device("cpu"), 40 * RATE_HZ, 2)
    rng = np.random.default_rng(1)
    texts = ["How many cats are there?", "I've two.", "The picture shows a red circle."]
    lengths = [RATE_HZ, RATE_HZ // 2, 3 * RATE_HZ]
    samples = (rng.standard_normal(sum(lengths)) * 3000).astype(np.int16)
    sound = (rng.standard_normal(NOISE_SECONDS * RATE_HZ) * 3000).astype(np.int16)
    pool.add(Pack(samples, lengths, texts, [True, False, False], sound))
    return pool


def test_pool_drops_a_pack_that_exceeds_its_capacity(tokens: Tokens) -> None:
    small = Pool(tokens, torch.device("cpu"), 1_000, 1)
    pack = Pack(np.ones(600, np.int16), [600], ["Yes."], [False])
    small.add(pack)
    small.add(pack)
    assert [(clip.offset, clip.count) for clip in small.clips] == [(0, 600)]
    assert small.noises == 0


def test_renders_clips_at_their_positions(pool: Pool, tokens: Tokens) -> None:
    mixer = Mixer(pool, tokens, 1, 2)
    clip = pool.clips[1]
    rows = [Row(sentences=[(clip, 5_000, 1.0)]), Row(sentences=[(clip, 100, 1.0), (clip, 20_000, 2.0)])]
    audio = mixer._speech(rows)
    count = clip.count - 2
    source = pool.samples[clip.offset : clip.offset + count].float()
    cosine = torch.nn.functional.cosine_similarity(audio[0, 5_000 : 5_000 + count], source, 0)
    assert cosine > 0.9999
    assert not audio[0, :5_000].any()
    assert not audio[0, 5_000 + count :].any()
    assert audio[1, 20_000 : 20_000 + count // 2].any()
    assert not audio[1, 20_000 + count // 2 :].any()


@pytest.mark.parametrize("window", [1, 3])
def test_batch_has_consistent_shapes_and_finite_values(pool: Pool, tokens: Tokens, window: int) -> None:
    mixer = Mixer(pool, tokens, 2, 6)
    batch = mixer.draw(window=window)
    assert batch.features.shape == (6 * window, N_MELS, FRAMES // window)
    assert torch.isfinite(batch.features).all()
    assert batch.inputs.shape == batch.labels.shape == (6 * window, LENGTH // window)
    assert batch.targets.numel() == batch.target_lengths.sum()
    for features, frames, length in zip(batch.features, batch.frames, batch.target_lengths, strict=True):
        assert 0 < frames <= FRAMES // window
        if frames > 1:
            assert not features[:, int(frames) :].any()
            assert length < frames / 2
    learned = batch.labels != IGNORED
    assert (batch.labels[learned] < tokens.size).all()
    assert ((batch.labels == tokens.end).sum(1) == 1).all()


def test_rows_end_inside_the_window_unless_cut(pool: Pool, tokens: Tokens) -> None:
    mixer = Mixer(pool, tokens, 3, 1)
    rows = [mixer._plan() for _ in range(300)]
    assert {bool(row.sentences) for row in rows} == {True, False}
    assert any(row.cut for row in rows)
    for row in rows:
        assert HOP < row.count <= SAMPLES
        ends = [start + clip.count / speed for clip, start, speed in row.sentences]
        assert row.cut == any(end > SAMPLES for end in ends)


def test_encodes_like_whisper_and_accepts_a_short_window(tokens: Tokens) -> None:
    torch.manual_seed(0)
    model = Recognizer(config(tokens, tiny=True)).eval()
    features = torch.randn(1, N_MELS, FRAMES)
    with torch.no_grad():
        whole = model.whisper.model.encoder(features).last_hidden_state
        torch.testing.assert_close(model.encode(features), whole)
        assert model.encode(features[..., :1_000]).shape == (1, 500, whole.shape[2])


def test_training_on_a_batch_reduces_the_loss(pool: Pool, tokens: Tokens) -> None:
    torch.manual_seed(0)
    model = Recognizer(config(tokens, tiny=True))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch = Mixer(pool, tokens, 4, 1).draw(window=3)
    losses = []
    for _ in range(8):
        decoder_loss, ctc_loss = model(
            batch.features, batch.inputs, batch.labels, batch.frames, batch.targets, batch.target_lengths
        )
        optimizer.zero_grad()
        (decoder_loss + ctc_loss).backward()
        optimizer.step()
        losses.append(decoder_loss.item() + ctc_loss.item())
    assert losses[-1] < 0.8 * losses[0]
