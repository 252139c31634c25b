"""llama.cpp, through llama-cpp-python's low-level interface: many conversations in one model, a step at a time.

``scheduler`` decides who reads and who speaks in a step and knows no library; ``context``, ``samplers``, ``vocabulary``
and ``pictures`` are thin layers on llama.cpp; ``reader`` makes a prompt of a conversation, ``stepper`` is the thread
that makes the steps, ``mailbox`` carries the answer back; ``engine`` joins them to asyncio.
"""

from deployments.engines.llama.engine import LlamaChat

__all__ = ["LlamaChat"]
