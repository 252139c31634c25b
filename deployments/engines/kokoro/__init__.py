"""Kokoro: speech synthesis with ONNX Runtime."""
