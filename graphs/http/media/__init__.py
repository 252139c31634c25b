"""Decoding and encoding of audio and pictures, under limits. Independent of HTTP."""
