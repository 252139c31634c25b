"""The two Coqui models and their configurations: a FastPitch-like ForwardTTS without pitch, and a small HiFi-GAN.

The teacher is deterministic, so its pitch depends on the text only and needs no predictor.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from pocket.tts import features, text

HIDDEN, FFN, HEADS, LAYERS = 256, 384, 2, 4
VOCODER: dict[str, Any] = {
    "upsample_factors": [8, 8, 4],
    "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 192,
    "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]],
    "resblock_type": "2",
    "inference_padding": 2,  # frames at both ends; without them the first sound is cut
}


def audio_config() -> Any:
    """Return Coqui's configuration of features.LogMel; without signal_norm, Coqui passes mels on unchanged."""
    from TTS.config.shared_configs import BaseAudioConfig

    return BaseAudioConfig(
        sample_rate=features.RATE_HZ,
        fft_size=features.FFT,
        win_length=features.WINDOW,
        hop_length=features.HOP,
        num_mels=features.MELS,
        mel_fmin=0,
        mel_fmax=features.RATE_HZ // 2,
        log_func="np.log",
        spec_gain=1.0,
        ref_level_db=0,
        preemphasis=0.0,
        signal_norm=False,
        do_trim_silence=False,
        do_sound_norm=False,
        do_amp_to_db_linear=False,
    )


def acoustic_config() -> Any:
    """Return Coqui's configuration of the acoustic model. Begin and end symbols allow texts of one character."""
    from TTS.tts.configs.fast_pitch_config import FastPitchConfig
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.models.forward_tts import ForwardTTSArgs

    stack = {"hidden_channels_ffn": FFN, "num_heads": HEADS, "num_layers": LAYERS, "dropout_p": 0.1}
    return FastPitchConfig(
        audio=audio_config(),
        use_phonemes=False,
        text_cleaner="english_cleaners",
        enable_eos_bos_chars=True,
        compute_f0=False,
        test_sentences=[],
        datasets=[],
        characters=CharactersConfig(
            characters_class="TTS.tts.utils.text.characters.Graphemes",
            pad="<PAD>",
            eos=text.END,
            bos=text.BEGIN,
            blank="<BLNK>",
            characters=text.ALPHABET,
            punctuations=text.PUNCTUATION,
            phonemes=None,
            is_unique=True,
            is_sorted=True,
        ),
        model_args=ForwardTTSArgs(
            hidden_channels=HIDDEN,
            use_aligner=False,
            use_pitch=False,
            encoder_params=dict(stack),
            decoder_params=dict(stack),
        ),
    )


def vocoder_config() -> Any:
    """Return Coqui's configuration of the vocoder.

    Coqui builds a discriminator for inference too. MelGAN's configuration allows a minimal one, HiFi-GAN's does not.
    """
    from TTS.vocoder.configs import MelganConfig

    return MelganConfig(
        audio=audio_config(),
        generator_model="hifigan_generator",
        generator_model_params=VOCODER,
        discriminator_model="melgan_multiscale_discriminator",
        discriminator_model_params={"base_channels": 4, "max_channels": 4, "downsample_factors": [2]},
    )


@cache
def tokenizer() -> Any:
    """Return Coqui's tokenizer of the acoustic model."""
    from TTS.tts.utils.text.tokenizer import TTSTokenizer

    return TTSTokenizer.init_from_config(acoustic_config())[0]


def new_acoustic() -> nn.Module:
    """Return an untrained acoustic model with its tokenizer."""
    from TTS.tts.models.forward_tts import ForwardTTS

    return ForwardTTS(acoustic_config())


def new_generator() -> nn.Module:
    """Return an untrained vocoder without Coqui's discriminators."""
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

    return HifiganGenerator(in_channels=features.MELS, out_channels=1, **VOCODER)


class TeacherForced(nn.Module):
    """The forward pass of an acoustic model with known durations, for batches.

    The output of ForwardTTS depends on the padding of a batch, and it expands symbols to frames by a product with an
    attention map. This class avoids both and gives the same output for a single text.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, symbols: Tensor, symbol_index: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return mel [B, MELS, T] and log(1 + duration) [B, N].

        `ids` [B, N]; `symbol_index` [B, T] is the index of the symbol of each frame; `symbols` [B] and `frames` [B] are
        the lengths without padding.
        """
        symbol_mask = mask_of(symbols, ids.shape[1])
        frame_mask = mask_of(frames, symbol_index.shape[1])
        encoded = self.model.emb(ids).transpose(1, 2)
        encoded = stack(self.model.encoder.encoder, encoded, symbol_mask) * symbol_mask[:, None]
        durations = self.model.duration_predictor(encoded, symbol_mask[:, None].float())
        expanded = encoded.gather(2, symbol_index[:, None].expand(-1, encoded.shape[1], -1)) * frame_mask[:, None]
        expanded = self.model.pos_encoder(expanded, frame_mask[:, None])
        decoder = self.model.decoder.decoder
        mel = decoder.postnet(stack(decoder.transformer_block, expanded, frame_mask))
        return mel * frame_mask[:, None], durations[:, 0]


def mask_of(lengths: Tensor, size: int) -> Tensor:
    """Return bool [B, size], true within each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def stack(block: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    """Run Coqui's FFTransformerBlock on x [B, C, T] with zeros outside mask [B, T] before each convolution.

    Coqui's own forward pass does not mask there, so its output depends on the padding.
    """
    inside = mask[:, None]
    for layer in block.fft_layers:
        x = x.permute(2, 0, 1)
        attended, _ = layer.self_attn(x, x, x, key_padding_mask=~mask)
        # Coqui's layer adds the attention twice, once without dropout.
        x = layer.norm1(x + layer.dropout1(attended) + attended).permute(1, 2, 0) * inside
        x = x + layer.dropout2(layer.conv2(layer.conv1(x).relu() * inside))
        x = layer.norm2(x.transpose(1, 2)).transpose(1, 2)
    return x
