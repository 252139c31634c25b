"""A client of the Realtime API for the terminal: ``python -m talk``, with a microphone or with recordings and text."""
