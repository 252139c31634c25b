"""The bundled voice in Coqui's Synthesizer."""

from pathlib import Path

import numpy as np
import torch

WEIGHTS = Path(__file__).parent / "weights"


class Voice:
    """The exported models in `folder`, on the CPU."""

    def __init__(self, folder: Path = WEIGHTS) -> None:
        from TTS.utils.synthesizer import Synthesizer

        self.coqui = Synthesizer(
            tts_checkpoint=folder / "acoustic.pth",
            tts_config_path=folder / "acoustic.json",
            vocoder_checkpoint=folder / "vocoder.pth",
            vocoder_config=folder / "vocoder.json",
        )
        self.coqui.tts_model.eval()
        self.rate_hz: int = self.coqui.output_sample_rate

    @torch.inference_mode()
    def speak(self, text: str) -> np.ndarray:
        """Return float32 samples (-1..1) of one sentence with at least one alphanumeric character."""
        mel = self.coqui.tts_model.synthesize(text)["outputs"]["model_outputs"]
        return self.coqui.vocoder_model.inference(mel.transpose(1, 2))[0, 0].numpy()
