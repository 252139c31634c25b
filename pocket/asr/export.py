"""Convert the weights of a training to the folder that faster-whisper loads (CTranslate2, int8).

python -m pocket.asr.export DIR/final.pt pocket/asr/weights/
"""

import argparse
import tempfile
from itertools import product
from pathlib import Path

from ctranslate2.converters import TransformersConverter
from transformers import GenerationConfig, PreTrainedTokenizerFast, WhisperFeatureExtractor

from pocket.asr.tokens import CONTROLS
from pocket.asr.train import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="file written by pocket.asr.train")
    parser.add_argument("folder", type=Path, help="output folder; an existing model is replaced")
    parser.add_argument("--quantization", default="int8")
    args = parser.parse_args()
    export(args.weights, args.folder, args.quantization)


def export(weights: Path, folder: Path, quantization: str = "int8") -> None:
    """Write model.bin, config.json, vocabulary.json, tokenizer.json and preprocessor_config.json to `folder`."""
    model, tokens = load(weights)
    whisper = model.whisper.eval()
    generation = GenerationConfig()
    generation.suppress_tokens = []
    # No transcript starts with a single space. The end token is allowed first: it makes the empty transcript.
    generation.begin_suppress_tokens = [tokens.tokenizer.token_to_id("Ġ")]
    layers, heads = whisper.config.decoder_layers, whisper.config.decoder_attention_heads
    generation.alignment_heads = [list(pair) for pair in product(range(layers // 2, layers), range(heads))]
    generation.lang_to_id = {}
    whisper.generation_config = generation
    with tempfile.TemporaryDirectory() as scratch:
        whisper.save_pretrained(scratch)
        named = {"bos_token": CONTROLS[0], "eos_token": CONTROLS[0], "unk_token": CONTROLS[0], "pad_token": CONTROLS[0]}
        PreTrainedTokenizerFast(tokenizer_object=tokens.tokenizer, **named).save_pretrained(scratch)
        # The tokenizer of the training replaces the file from Transformers, which adds tokens.
        tokens.tokenizer.save(str(Path(scratch) / "tokenizer.json"))
        WhisperFeatureExtractor().save_pretrained(scratch)
        converter = TransformersConverter(scratch, copy_files=["tokenizer.json", "preprocessor_config.json"])
        converter.convert(str(folder), quantization=quantization, force=folder.is_dir() and not any(folder.iterdir()))


if __name__ == "__main__":
    main()
