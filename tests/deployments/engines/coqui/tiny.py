"""A Coqui voice with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deployments.engines.coqui.settings import CoquiArgs


def voice(folder: Path, rate_hz: int = 16_000, seed: int = 0) -> CoquiArgs:
    """Write a FastPitch and a HiFi-GAN as Coqui saves them; the voice hums."""
    import torch
    from TTS.config.shared_configs import BaseAudioConfig
    from TTS.tts.configs.fast_pitch_config import FastPitchConfig
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.models.forward_tts import ForwardTTS
    from TTS.vocoder.configs import HifiganConfig
    from TTS.vocoder.models.gan import GAN

    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    audio = BaseAudioConfig(
        sample_rate=rate_hz, num_mels=20, mel_fmax=rate_hz // 2, signal_norm=False, do_trim_silence=False
    )
    characters = CharactersConfig(
        characters_class="TTS.tts.utils.text.characters.Graphemes",
        pad="<PAD>",
        eos="<EOS>",
        bos="<BOS>",
        blank="<BLNK>",
        characters="abcdefghijklmnopqrstuvwxyz",
        punctuations="!',.? ",
    )
    config = FastPitchConfig(
        audio=audio, use_phonemes=False, text_cleaner="english_cleaners", characters=characters, test_sentences=[]
    )
    arguments = config.model_args
    arguments.hidden_channels, arguments.out_channels = 16, 20
    arguments.pitch_predictor_hidden_channels = arguments.duration_predictor_hidden_channels = 16
    for name in ("encoder_params", "decoder_params"):
        small = {"hidden_channels_ffn": 16, "num_heads": 1, "num_layers": 1}
        setattr(arguments, name, {**getattr(arguments, name), **small})
    model = ForwardTTS.init_from_config(config)
    last = [layer for layer in model.duration_predictor.modules() if isinstance(layer, torch.nn.Conv1d)][-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, float(np.log(6)))  # five frames per character
    vocoder_config = HifiganConfig(
        audio=audio,
        generator_model_params={
            "upsample_factors": [8, 8, 2, 2],
            "upsample_kernel_sizes": [16, 16, 4, 4],
            "upsample_initial_channel": 32,
            "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 3, 5]],
            "resblock_type": "1",
            "in_channels": 20,
        },
    )
    vocoder = GAN.init_from_config(vocoder_config)
    paths = {
        "model": folder / "model.pth",
        "config": folder / "config.json",
        "vocoder": folder / "vocoder.pth",
        "vocoder_config": folder / "vocoder_config.json",
    }
    torch.save({"model": model.state_dict()}, paths["model"])
    config.save_json(paths["config"])
    torch.save({"model": vocoder.state_dict()}, paths["vocoder"])
    vocoder_config.save_json(paths["vocoder_config"])
    return CoquiArgs(**{name: str(path) for name, path in paths.items()})
