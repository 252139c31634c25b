"""llama.cpp through the low-level interface of llama-cpp-python: continuous batching over a fixed number of slots."""
