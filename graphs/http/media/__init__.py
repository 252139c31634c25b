"""Decoding and encoding of audio and pictures, under limits. Knows nothing of requests."""
