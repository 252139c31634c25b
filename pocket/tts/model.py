"""The two Coqui models and their configurations: a FastPitch-like ForwardTTS without pitch, and a small HiFi-GAN.

The teacher is deterministic, so its melody follows from the text; no pitch predictor is needed.
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
    "inference_padding": 2,  # frames at both ends; none would cut into the first sound
}


def audio_config() -> Any:
    """Coqui's description of features.LogMel; signal_norm off means that mels pass between the models untouched."""
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
    """Coqui's configuration of the acoustic model. Begin and end marks keep one-letter texts speakable."""
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
            characters=text.LETTERS,
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
    """Coqui's configuration of the vocoder.

    Coqui builds a discriminator even to speak. MelGAN's configuration lets it be next to nothing, HiFi-GAN's does not.
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
    """Coqui's tokenizer of the acoustic model."""
    from TTS.tts.utils.text.tokenizer import TTSTokenizer

    return TTSTokenizer.init_from_config(acoustic_config())[0]


def new_acoustic() -> nn.Module:
    """An untrained acoustic model, with its tokenizer."""
    from TTS.tts.models.forward_tts import ForwardTTS

    return ForwardTTS(acoustic_config())


def new_generator() -> nn.Module:
    """An untrained vocoder, without the discriminators of Coqui's training."""
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

    return HifiganGenerator(in_channels=features.MELS, out_channels=1, **VOCODER)


class TeacherForced(nn.Module):
    """The forward pass of an acoustic model with known durations, written for batches.

    ForwardTTS sees the padding of a batch and expands letters by a product with an attention map; this does neither,
    and agrees with it on a single text.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, letters: Tensor, owner: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """ids [B, N] and owner [B, T] (which letter each frame belongs to), true lengths letters [B] and frames [B]
        -> mel [B, MELS, T], log(1 + duration) [B, N]."""
        letter_mask = mask_of(letters, ids.shape[1])
        frame_mask = mask_of(frames, owner.shape[1])
        encoded = self.model.emb(ids).transpose(1, 2)
        encoded = stack(self.model.encoder.encoder, encoded, letter_mask) * letter_mask[:, None]
        durations = self.model.duration_predictor(encoded, letter_mask[:, None].float())
        spread = encoded.gather(2, owner[:, None].expand(-1, encoded.shape[1], -1)) * frame_mask[:, None]
        spread = self.model.pos_encoder(spread, frame_mask[:, None])
        decoder = self.model.decoder.decoder
        mel = decoder.postnet(stack(decoder.transformer_block, spread, frame_mask))
        return mel * frame_mask[:, None], durations[:, 0]


def mask_of(lengths: Tensor, size: int) -> Tensor:
    """bool [B, size], true within each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def stack(block: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    """Coqui's FFTransformerBlock on x [B, C, T], blind to what lies outside mask [B, T]: its own layers let
    convolutions look into the padding, where a text spoken alone has zeros."""
    inside = mask[:, None]
    for layer in block.fft_layers:
        x = x.permute(2, 0, 1)
        heard, _ = layer.self_attn(x, x, x, key_padding_mask=~mask)
        # The attention is added twice, once without dropout: so it is in Coqui's layer.
        x = layer.norm1(x + layer.dropout1(heard) + heard).permute(1, 2, 0) * inside
        x = x + layer.dropout2(layer.conv2(layer.conv1(x).relu() * inside))
        x = layer.norm2(x.transpose(1, 2)).transpose(1, 2)
    return x
