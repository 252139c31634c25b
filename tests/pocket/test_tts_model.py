import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pocket.tts import data, export, features, model, schedule, teacher, text, vocoder
from pocket.tts.align import Aligner
from pocket.tts.train import bundled_weights
from pocket.tts.voice import Voice

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def acoustic() -> torch.nn.Module:
    torch.manual_seed(0)
    return model.new_acoustic().eval()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> data.Corpus:
    """Three clips of noise with made-up phones."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    clips = [
        data.Clip(line, rng.integers(-9000, 9000, size * features.HOP).astype(np.int16), ["pau"] + ["ae"] * (size - 1))
        for line, size in (("yes.", 40), ("a longer line, said slowly.", 90), ("no", 50))
    ]
    data.write_shard(folder / "shard-0000.npz", clips, Aligner())
    corpus = data.Corpus(folder, CPU)
    assert corpus.load()
    assert not corpus.load()
    return corpus


def test_each_frame_corresponds_to_hop_samples() -> None:
    tone = torch.sin(torch.arange(features.HOP * 20) * (2 * torch.pi * 1000 / features.RATE_HZ))
    mel = features.LogMel()(tone[None])
    assert mel.shape == (1, features.MELS, 20)
    assert mel[0, :, 5:15].argmax(0).unique().numel() == 1


@torch.no_grad()
def test_teacher_forced_pass_equals_coquis_inference(acoustic: torch.nn.Module) -> None:
    outputs = acoustic.synthesize("Seven sad snails.")["outputs"]
    ids = torch.tensor([model.tokenizer().text_to_ids("Seven sad snails.", language="en")])
    durations = acoustic.format_durations(outputs["durations_log"], torch.ones(1, 1, ids.shape[1]))[0, 0].long()
    symbol_index = torch.repeat_interleave(torch.arange(len(durations)), durations)[None]
    mel, log_durations = model.TeacherForced(acoustic)(
        ids, torch.tensor([ids.shape[1]]), symbol_index, torch.tensor([symbol_index.shape[1]])
    )
    torch.testing.assert_close(mel.transpose(1, 2), outputs["model_outputs"], atol=1e-4, rtol=0)
    torch.testing.assert_close(log_durations, outputs["durations_log"][:, 0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_padding_does_not_change_the_output(acoustic: torch.nn.Module, corpus: data.Corpus) -> None:
    net = model.TeacherForced(acoustic)
    together, alone = corpus.batch([0, 1]), corpus.batch([0])
    padded = net(together.ids, together.symbols, together.symbol_index, together.frames)
    single = net(alone.ids, alone.symbols, alone.symbol_index, alone.frames)
    torch.testing.assert_close(padded[0][:1, :, :40], single[0][:, :, :40], atol=1e-4, rtol=0)
    torch.testing.assert_close(padded[1][:1, :6], single[1], atol=1e-5, rtol=0)
    assert padded[1][0, 6:].abs().max() == 0


def test_batch_gives_the_symbol_of_each_frame(corpus: data.Corpus) -> None:
    batch = corpus.batch(corpus.by_length)
    assert batch.frames.tolist() == [40, 50, 90]
    assert batch.durations.sum(1).tolist() == [40, 50, 90]
    for row, frames in enumerate(batch.frames.tolist()):
        counted = torch.bincount(batch.symbol_index[row, :frames], minlength=batch.durations.shape[1])
        assert counted.tolist() == batch.durations[row].tolist()
        assert (batch.symbol_index[row, :frames].diff() >= 0).all()


def test_segments_are_within_their_clip(corpus: data.Corpus) -> None:
    segments = vocoder.Segments(corpus)
    assert len(segments.starts) == sum(size - vocoder.SEGMENT_FRAMES + 1 for size in (40, 90, 50))
    mel, wave = segments.draw(5)
    assert mel.shape == (5, features.MELS, vocoder.SEGMENT_FRAMES)
    assert wave.shape == (5, vocoder.SEGMENT_FRAMES * features.HOP)
    recomputed = features.LogMel()(wave)[:, :, 4:-4]
    torch.testing.assert_close(recomputed, mel[:, :, 4:-4], atol=0.02, rtol=0.01)


def test_vocoder_steps_update_all_weights_and_reduce_the_loss(corpus: data.Corpus) -> None:
    torch.manual_seed(0)
    trainer, (mel, wave) = vocoder.Trainer(CPU), vocoder.Segments(corpus).draw(2)
    trainer.set_rates(1.0)
    before = [weight.clone() for weight in (*trainer.generator.parameters(), *trainer.discriminators.parameters())]
    first = trainer.spectral(mel, wave)
    trainer.adversarial(mel, wave)
    assert trainer.spectral(mel, wave) < first
    after = [*trainer.generator.parameters(), *trainer.discriminators.parameters()]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_learning_rate_falls_to_the_floor_at_the_end() -> None:
    assert schedule.rate_factor(0.0, 0) < 0.01
    assert schedule.rate_factor(0.0, 1000) == 1.0
    assert schedule.rate_factor(1.0, 50_000) == pytest.approx(0.02)


def test_exported_weights_speak_texts_of_any_length(acoustic: torch.nn.Module, tmp_path: Path) -> None:
    schedule.save_weights(tmp_path / "a.pt", {k: v for k, v in acoustic.state_dict().items() if "pos_encoder" not in k})
    schedule.save_weights(tmp_path / "v.pt", model.new_generator().state_dict())
    parts = {"acoustic": torch.load(tmp_path / "a.pt"), "vocoder": torch.load(tmp_path / "v.pt")}
    torch.save(parts, tmp_path / "final.pt")
    export.export(tmp_path / "final.pt", tmp_path / "weights")
    voice = Voice(tmp_path / "weights")
    assert voice.rate_hz == features.RATE_HZ
    for line in ("a", "7", "Mr. Smith has 3.5 apples."):
        wave = voice.speak(line)
        assert wave.dtype == np.float32
        assert len(wave) >= len(text.symbols(text.clean(line))) * features.HOP
        assert np.isfinite(wave).all()


@pytest.mark.skipif(not shutil.which("flite"), reason="needs flite")
def test_teacher_returns_speech_with_phone_times() -> None:
    utterance = teacher.synthesize("two red circles.")
    assert utterance.phones[:3] == ("pau", "t", "uw")
    assert list(utterance.ends_s) == sorted(utterance.ends_s)
    assert utterance.ends_s[-1] == pytest.approx(len(utterance.pcm) / teacher.RATE_HZ, abs=0.01)
    assert abs(int(utterance.pcm[0])) < 30
    assert abs(int(utterance.pcm[-1])) < 30
    assert utterance.phone_at(np.array([0.0, 1e9])) == ["pau", "pau"]
    with pytest.raises(ValueError, match="nothing"):
        teacher.synthesize(".")


@pytest.mark.parametrize(("name", "new_model"), [("acoustic", model.new_acoustic), ("vocoder", model.new_generator)])
def test_loads_the_bundled_weights_to_continue_a_training(name: str, new_model: Callable[[], torch.nn.Module]) -> None:
    missing, unexpected = new_model().load_state_dict(bundled_weights(name), strict=False)
    assert not unexpected
    assert set(missing) <= {"pos_encoder.pe"}
