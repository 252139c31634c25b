"""The cases of the llama engine in the contract test."""

from __future__ import annotations

from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.messages import ChatMessage
from graphs.settings import POCKET_LLM, POCKET_VISION
from tests.deployments.engines import tiny
from tests.deployments.engines.cases import QUESTION, Case, chat

CONFIG = LlamaConfig(max_tokens=100, seed=1, temperature=1.0)
PICTURE = ChatMessage("user", "Describe the picture, please.", (tiny.picture(),))

CASES = (
    Case(
        "llama",
        LlamaArgs,
        lambda folder: LlamaArgs(model=str(tiny.chat_model(folder / "llm.gguf"))),
        chat(QUESTION, CONFIG),
    ),
    Case("llama-vision", LlamaArgs, tiny.llava, chat(PICTURE, CONFIG)),
    Case(
        "llama-pocket",
        LlamaArgs,
        lambda _: LlamaArgs.model_validate(POCKET_LLM),
        chat(QUESTION, CONFIG),
        files=(POCKET_LLM["model"],),
    ),
    Case(
        "llama-pocket-vision",
        LlamaArgs,
        lambda _: LlamaArgs.model_validate(POCKET_VISION),
        chat(PICTURE, CONFIG),
        files=(POCKET_VISION["model"], POCKET_VISION["mmproj"]),
    ),
)
