"""Convert trained weights to the files that Coqui's classes load.

`python -m pocket.tts.export final.pt pocket/tts/weights` writes acoustic.pth, acoustic.json, vocoder.pth, vocoder.json.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from pocket.tts import model


def export(final: Path, folder: Path) -> None:
    """Write the four files from a final.pt of pocket.tts.train. Raise RuntimeError if a weight is missing."""
    parts = torch.load(final, weights_only=True, map_location="cpu")
    folder.mkdir(parents=True, exist_ok=True)
    acoustic, generator = model.new_acoustic(), model.new_generator()
    parts["acoustic"]["pos_encoder.pe"] = acoustic.pos_encoder.pe
    acoustic.load_state_dict(parts["acoustic"])
    generator.load_state_dict(parts["vocoder"])
    torch.save({"model": _half(acoustic)}, folder / "acoustic.pth")
    # With a key `model_disc`, Coqui loads `model` into the generator only.
    torch.save({"model": _half(generator), "model_disc": {}}, folder / "vocoder.pth")
    model.acoustic_config().save_json(folder / "acoustic.json")
    model.vocoder_config().save_json(folder / "vocoder.json")


def _half(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.half() if value.is_floating_point() else value for name, value in net.state_dict().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("final", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    export(args.final, args.folder)


if __name__ == "__main__":
    main()
