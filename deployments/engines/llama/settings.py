"""Settings of the llama.cpp engine."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from deployments.settings import ChatConfig, EngineArgs, Fraction, OmpWaitPolicy


class LlamaArgs(EngineArgs):
    """llama.cpp through llama-cpp-python: continuous batching, with a vision encoder if one is configured."""

    engine: Literal["llama"] = "llama"
    omp_wait_policy: OmpWaitPolicy = Field(
        default="brief",
        description="What idle OpenMP threads do; passive makes two or more threads several times slower here, active "
        "keeps each thread's core busy while the engine is idle.",
    )
    model: str = Field(
        default="pocket/llm/weights/pocket-llm.gguf",
        min_length=1,
        description="A model of the catalogue, or the path of a GGUF file; with repo_id, the name of a file in that "
        "repository.",
    )
    mmproj: str | None = Field(
        default=None,
        description="The GGUF file of the vision encoder, located like model; null accepts no pictures.",
    )
    repo_id: str | None = Field(default=None, description="Repository of the model hub that has the files.")
    revision: str | None = Field(
        default=None,
        min_length=1,
        description="Branch, tag or commit of the repository; a full commit hash fixes the files. null is its main "
        "branch.",
    )
    chat_handler: Literal["llava-1-5", "llava-1-6", "nanollava", "mtmd"] = Field(
        default="mtmd",
        description="The prompt format: that of a LLaVA version, or (mtmd) the chat template in the model's file.",
    )
    context_length: int = Field(
        default=2048,
        ge=128,
        description="Tokens of one conversation and its answer. The KV cache has parallel times as many.",
    )
    parallel: PositiveInt = Field(
        default=8, description="Slots: conversations answered concurrently, each with its part of the KV cache."
    )
    max_waiting: NonNegativeInt = Field(
        default=16, description="Conversations that may queue for a slot; further ones are refused with 503."
    )
    workers: PositiveInt = Field(
        default=1,
        description="Threads that decode, each with a llama.cpp context and its share of the slots. On a CPU, several "
        "workers of one thread are as fast for a small model as one worker of several threads, and faster where cores "
        "share no cache.",
    )
    batch_size: int = Field(default=512, ge=8, description="Most tokens of all prompts in one prefill step.")
    prefill_chunk: int = Field(
        default=128,
        ge=8,
        description="Most tokens of one prompt in one prefill step; fewer while other answers are generated.",
    )
    batch_threads: PositiveInt | None = Field(
        default=None,
        description="Threads of a step over several tokens (prefill, or several answers); null is threads. More are "
        "faster on idle cores, and slower next to other models.",
    )
    gpu_layers: int = Field(default=0, ge=-1, description="Layers on the GPU; -1 is all.")
    flash_attention: bool = Field(
        default=True,
        description="Flash attention: twice as fast for many concurrent answers. On a CPU a prefill chunk is then at "
        "most 60 tokens, and a single answer of more than 500 tokens is slower than without.",
    )
    chat_template: str | None = Field(
        default=None, description="A Jinja chat template; null is that of the model's file or of the chat handler."
    )

    @model_validator(mode="after")
    def _has_a_repository_for_the_revision(self) -> Self:
        if self.revision is not None and self.repo_id is None:
            raise ValueError("revision is that of a repository: give repo_id as well")
        return self

    @model_validator(mode="after")
    def _has_a_slot_per_worker(self) -> Self:
        if self.workers > self.parallel:
            raise ValueError("each worker needs at least one slot: parallel is less than workers")
        return self


class LlamaConfig(ChatConfig):
    """Live settings of TextLLM and VisionLLM with engine llama."""

    top_k: NonNegativeInt = Field(default=40, description="Sample from this many likeliest tokens; 0 is all.")
    min_p: Fraction = Field(
        default=0.05, description="Ignore tokens less likely than this fraction of the likeliest token's probability."
    )
    repeat_penalty: float = Field(
        default=1.0, ge=0.5, le=2, description="Above 1, tokens that the answer contains become less likely."
    )
    grammar: str | None = Field(
        default=None, description="A GBNF grammar with a rule root that every answer conforms to."
    )
