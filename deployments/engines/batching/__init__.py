"""Continuous batching over llama.cpp: many conversations in one model, a step at a time.

``scheduler`` decides who reads and who speaks in a step and knows no library; ``context``, ``vocabulary`` and
``pictures`` are thin layers on llama.cpp; ``engine`` joins them to asyncio.
"""

from deployments.engines.batching.engine import Batching, BatchingChat

__all__ = ["Batching", "BatchingChat"]
