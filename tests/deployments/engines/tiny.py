"""Models of random weights, a few hundred kilobytes each, in the formats that the real engines load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType

from deployments.messages import Audio, Image
from deployments.settings import CoquiArgs, LlamaArgs

CONTROL = ("<s>", "</s>", "[INST]", "[/INST]", "<|user|>", "<|assistant|>", "<|system|>")
MERGES = ("Ġ t", "h e", "Ġt he", "i n", "r e", "o n", "Ġ a", "Ġ s", "e r", "Ġ w", "o u", "Ġ [", "I N", "S T")
WHISPER = ("endoftext", "startoftranscript", "translate", "transcribe", "startoflm", "startofprev", "nospeech")
WHISPER += ("notimestamps",)
WIDTH, LAYERS, HEADS, FEED, CONTEXT = 64, 2, 4, 128, 512

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# As Mistral's own files have it: it knows no system message.
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)


def chat_model(
    path: Path, kind: str = "Q8_0", template: str | None = TEMPLATE, spm: bool = False, control: Sequence[str] = CONTROL
) -> Path:
    """A Llama in GGUF, its matrices stored as ``kind``; byte-level BPE, or (``spm``) SentencePiece's way."""
    tokens, types = _spm_vocabulary() if spm else _bpe_vocabulary(control)
    writer = GGUFWriter(path, "llama")
    writer.add_vocab_size(len(tokens))
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama" if spm else "gpt2")
    writer.add_tokenizer_pre("default" if spm else "gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if spm:
        writer.add_token_scores([-float(i) for i in range(len(tokens))])
        writer.add_add_space_prefix(True)
    else:
        writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(tokens.index("<s>"))
    writer.add_eos_token_id(tokens.index("</s>"))
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    rng = np.random.default_rng(0)
    type_ = GGMLQuantizationType[kind]

    def matrix(name: str, rows: int, columns: int) -> None:
        values = rng.normal(0, 0.3, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(values, type_), raw_dtype=type_)

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    matrix("token_embd.weight", len(tokens), WIDTH)
    ones("output_norm.weight")
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        ones(block + "ffn_norm.weight")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{block}{name}.weight", WIDTH, WIDTH)
        matrix(block + "ffn_gate.weight", FEED, WIDTH)
        matrix(block + "ffn_up.weight", FEED, WIDTH)
        matrix(block + "ffn_down.weight", WIDTH, FEED)
    _finish(writer)
    return path


def projector(path: Path, image: int = 28, patch: int = 14, width: int = 32, seed: int = 0) -> Path:
    """A LLaVA 1.5 projector over a ViT of one layer; a picture becomes ``(image / patch) ** 2`` tokens."""
    rng = np.random.default_rng(seed)
    feed = 2 * width
    writer = GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", False)
    for name, value in {
        "block_count": 1,
        "image_size": image,
        "patch_size": patch,
        "embedding_length": width,
        "feed_forward_length": feed,
        "projection_dim": WIDTH,
        "attention.head_count": 2,
    }.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.25, 0.25, 0.25])
    writer.add_array("clip.vision.feature_layer", [1])

    def weights(name: str, *shape: int) -> None:
        writer.add_tensor(name, rng.normal(0, 0.3, shape).astype(np.float32))

    weights("v.patch_embd.weight", width, 3, patch, patch)
    weights("v.position_embd.weight", (image // patch) ** 2, width)
    norms = ["v.pre_ln", "v.blk.0.ln1", "v.blk.0.ln2"]
    linears = [("v.blk.0.ffn_up", feed, width), ("v.blk.0.ffn_down", width, feed)]
    linears += [(f"v.blk.0.{name}", width, width) for name in ("attn_q", "attn_k", "attn_v", "attn_out")]
    linears += [("mm.0", WIDTH, width), ("mm.2", WIDTH, WIDTH)]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))
    for name, rows, columns in linears:
        weights(f"{name}.weight", rows, columns)
        weights(f"{name}.bias", rows)
    _finish(writer)
    return path


def llava(folder: Path, chat_handler: str = "mtmd") -> LlamaArgs:
    """A chat model and a projector that fits it."""
    model, eye = chat_model(folder / "llm.gguf"), projector(folder / "mmproj.gguf")
    return LlamaArgs(model=str(model), mmproj=str(eye), chat_handler=chat_handler, context_length=CONTEXT)


def picture(seed: int = 0, height: int = 60, width: int = 90) -> Image:
    """Coloured noise."""
    return Image(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def sound(seed: int = 0, seconds: float = 2.0) -> Audio:
    """Loud noise."""
    samples = np.random.default_rng(seed).normal(0, 0.3, int(seconds * 16_000))
    return Audio(samples.clip(-1, 1).astype(np.float32), 16_000)


def _bpe_vocabulary(control: Sequence[str]) -> tuple[list[str], list[TokenType]]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    tokens = [*control, *letters, *(merge.replace(" ", "") for merge in MERGES)]
    return tokens, [TokenType.CONTROL if token in control else TokenType.NORMAL for token in tokens]


def _spm_vocabulary() -> tuple[list[str], list[TokenType]]:
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [
        "▁",
        *map(chr, range(33, 127)),
        "▁the",
        "he",
        "▁t",
        "▁hello",
        "hello",
        "▁h",
        "el",
        "ell",
        "ello",
        "[/",
        "[I",
    ]
    tokens = ["<unk>", *CONTROL, *bytes_, *words]
    kinds = [TokenType.UNKNOWN, *[TokenType.CONTROL] * len(CONTROL), *[TokenType.BYTE] * 256]
    return tokens, kinds + [TokenType.NORMAL] * len(words)


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def recognizer(folder: Path, width: int = 32, seed: int = 0) -> Path:
    """An English-only Whisper of one layer each in CTranslate2's format; it hears gibberish."""
    from ctranslate2.specs.whisper_spec import WhisperSpec
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True, normalized=False) for name in WHISPER])
    tokenizer.add_tokens([AddedToken(f"<|{i * 0.02:.2f}|>", special=False, normalized=False) for i in range(1501)])
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()

    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.1, shape).astype(np.float32)

    def dense(spec: Any, rows: int, columns: int) -> None:
        spec.weight, spec.bias = weights(rows, columns), weights(rows)

    def norm(spec: Any) -> None:
        spec.gamma, spec.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def attention(spec: Any, sizes: tuple[int, ...]) -> None:
        norm(spec.layer_norm)
        for linear, rows in zip(spec.linear, sizes, strict=True):
            dense(linear, rows * width, width)

    def feed_forward(spec: Any) -> None:
        norm(spec.layer_norm)
        dense(spec.linear_0, 2 * width, width)
        dense(spec.linear_1, width, 2 * width)

    spec = WhisperSpec(1, 2, 1, 2)
    spec.encoder.conv1.weight, spec.encoder.conv1.bias = weights(width, 80, 3), weights(width)
    spec.encoder.conv2.weight, spec.encoder.conv2.bias = weights(width, width, 3), weights(width)
    spec.encoder.position_encodings.encodings = weights(1500, width)
    spec.decoder.position_encodings.encodings = weights(448, width)
    spec.decoder.embeddings.weight = weights(size, width)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    norm(spec.encoder.layer_norm)
    norm(spec.decoder.layer_norm)
    attention(spec.encoder.layer[0].self_attention, (3, 1))
    feed_forward(spec.encoder.layer[0].ffn)
    attention(spec.decoder.layer[0].self_attention, (3, 1))
    attention(spec.decoder.layer[0].attention, (1, 2, 1))
    feed_forward(spec.decoder.layer[0].ffn)
    end = tokenizer.token_to_id("<|endoftext|>")
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [end]
    spec.config.lang_ids, spec.config.alignment_heads = [], [(0, 0)]
    spec.register_vocabulary([tokenizer.id_to_token(i) for i in range(size)])
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))
    return folder


def voice(folder: Path, rate_hz: int = 16_000, seed: int = 0) -> CoquiArgs:
    """FastPitch with a HiFi-GAN, as Coqui saves them. It hums."""
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
    torch.nn.init.constant_(last.bias, float(np.log(6)))  # five frames a letter
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
