"""Settings of the Kokoro engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from deployments.settings import PooledArgs


class KokoroArgs(PooledArgs):
    """Kokoro-82M on a CPU through kokoro-onnx, an optional dependency.

    The speed may be 0.5 to 2. The first letter of a voice's name is its language, unless the language is set: a en-us,
    b en-gb, e es, f fr, h hi, i it, j ja, p pt-br, z zh. Text becomes phonemes through espeak-ng, which reads Japanese
    in kana only.
    """

    engine: Literal["kokoro"] = "kokoro"
    model: str = Field(min_length=1, description="A model of the catalogue, or the path of an .onnx file.")
    voices: str = Field(
        min_length=1,
        description="The same model of the catalogue; the path of a .bin or .npz file with all voices; or a folder "
        "with one .bin file for each voice (float32, 510 x 1 x 256).",
    )
    workers: PositiveInt = Field(
        default=1, description="Sentences synthesized concurrently; they share one pool of `threads` threads."
    )
