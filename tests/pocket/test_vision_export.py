"""The exported tower gives the same embeddings in llama.cpp as in torch, for pictures of any size."""

import ctypes
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pocket.vision import scenes
from pocket.vision.export import read_mmproj, write_mmproj
from pocket.vision.preprocess import N_TOKENS, preprocess
from pocket.vision.tower import TowerConfig, VisionTower

llama_cpp = pytest.importorskip("llama_cpp")
from llama_cpp import mtmd_cpp  # noqa: E402

LLM = Path("pocket/llm/weights/pocket-llm.gguf")


@pytest.fixture(scope="module")
def language_model() -> Iterator["llama_cpp.Llama"]:
    model = llama_cpp.Llama(str(LLM), n_ctx=512, n_threads=1, verbose=False)
    yield model
    model.close()


def embeddings(mmproj: Path, language_model: "llama_cpp.Llama", image: Image.Image) -> np.ndarray:
    """Return float32 (N_TOKENS, d_llm), computed by llama.cpp from the picture."""
    params = mtmd_cpp.mtmd_context_params_default()
    params.n_threads, params.print_timings = 1, False
    context = mtmd_cpp.mtmd_init_from_file(str(mmproj).encode(), language_model.model, params)
    assert context
    pixels = (ctypes.c_uint8 * (3 * image.width * image.height)).from_buffer_copy(image.tobytes())
    bitmap = mtmd_cpp.mtmd_bitmap_init(image.width, image.height, pixels)
    chunks = mtmd_cpp.mtmd_input_chunks_init()
    try:
        marker = mtmd_cpp.mtmd_default_marker()
        text = mtmd_cpp.mtmd_input_text(text=marker, text_len=len(marker), add_special=False, parse_special=True)
        bitmaps = (mtmd_cpp.mtmd_bitmap_p_ctypes * 1)(bitmap)
        assert mtmd_cpp.mtmd_tokenize(context, chunks, ctypes.byref(text), bitmaps, 1) == 0
        assert mtmd_cpp.mtmd_input_chunks_size(chunks) == 1
        chunk = mtmd_cpp.mtmd_input_chunks_get(chunks, 0)
        assert mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk) == N_TOKENS
        assert mtmd_cpp.mtmd_encode_chunk(context, chunk) == 0
        values = mtmd_cpp.mtmd_get_output_embd(context)
        return np.ctypeslib.as_array(values, (N_TOKENS, language_model.n_embd())).copy()
    finally:
        mtmd_cpp.mtmd_input_chunks_free(chunks)
        mtmd_cpp.mtmd_bitmap_free(bitmap)
        mtmd_cpp.mtmd_free(context)


@pytest.mark.parametrize("size", [(160, 160), (32, 32), (640, 160), (97, 311), (1280, 720), (161, 3)])
def test_llama_cpp_and_torch_give_equal_embeddings(
    tmp_path: Path, language_model: "llama_cpp.Llama", size: tuple[int, int]
):
    torch.manual_seed(sum(size))
    tower = VisionTower(language_model.n_embd()).eval()
    # Scale the matrices like trained ones: with initial weights the output hardly depends on the picture.
    for parameter in tower.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(3.0)
    write_mmproj(tmp_path / "mmproj.gguf", tower.state_dict(), TowerConfig())
    image, _ = scenes.picture(random.Random(5))
    image = image.resize(size)
    computed = embeddings(tmp_path / "mmproj.gguf", language_model, image)
    with torch.no_grad():
        expected = tower(torch.from_numpy(preprocess(image))[None])[0].numpy()
    assert np.abs(computed - expected).max() < 0.03 * expected.std()


def test_reads_weights_back_from_a_file(tmp_path: Path) -> None:
    state = VisionTower(128).state_dict()
    write_mmproj(tmp_path / "mmproj.gguf", state, TowerConfig())
    read = read_mmproj(tmp_path / "mmproj.gguf", state)
    assert all(torch.allclose(read[name], weights, atol=1e-3) for name, weights in state.items())
