"""Coqui TTS: speech synthesis."""
