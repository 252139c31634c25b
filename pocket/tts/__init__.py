"""The pocket voice: a Coqui acoustic model and vocoder at 16 kHz, taught by flite's `rms` voice."""
