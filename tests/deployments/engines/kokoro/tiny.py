"""A model with the inputs and the output of Kokoro, and two voices with random vectors."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from deployments.engines.kokoro.settings import KokoroArgs

SAMPLES_PER_TOKEN = 1200
ITERATIONS = 60
VOICES = ("af_test", "bm_test")


def voice(folder: Path) -> KokoroArgs:
    """Write a model that hums for 50 ms per token, divided by the speed. The style decides the frequency.

    The sine of the sine, and so on, makes a sentence take some 10 ms, so that a test can cancel requests in the queue.
    """
    waves = ["phases", *(f"wave{i}" for i in range(ITERATIONS)), "audio"]
    nodes = [
        ("Shape", ["tokens"], ["shape"]),
        ("Gather", ["shape", "one"], ["count"]),
        ("Cast", ["count"], ["count_float"], {"to": TensorProto.FLOAT}),
        ("Squeeze", ["speed"], ["speed_scalar"]),
        ("Mul", ["count_float", "samples_per_token"], ["samples"]),
        ("Div", ["samples", "speed_scalar"], ["limit"]),
        ("Range", ["zero", "limit", "step"], ["times"]),
        ("ReduceMax", ["style"], ["pitch"], {"keepdims": 0}),
        ("Mul", ["times", "pitch"], ["phases"]),
        *(("Sin", [before], [after]) for before, after in pairwise(waves)),
    ]
    constants = {
        "samples_per_token": np.float32(SAMPLES_PER_TOKEN),
        "zero": np.float32(0),
        "step": np.float32(1),
        "one": np.int64(1),
    }
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, outputs, **dict(*more)) for kind, inputs, outputs, *more in nodes],
        "tiny",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "kokoro.onnx")
    rng = np.random.default_rng(0)
    styles = {name: rng.uniform(0, 0.2, (510, 1, 256)).astype(np.float32) for name in VOICES}
    styles[VOICES[1]] *= 2
    np.savez(folder / "voices.npz", **styles)
    return KokoroArgs(model=str(folder / "kokoro.onnx"), voices=str(folder / "voices.npz"))
