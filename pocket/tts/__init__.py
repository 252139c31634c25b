"""The pocket voice: a Coqui acoustic model and vocoder at 16 kHz, trained on speech of flite's `rms` voice."""
