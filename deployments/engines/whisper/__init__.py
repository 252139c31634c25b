"""faster-whisper: speech recognition."""
