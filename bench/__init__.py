"""Measurements of a running Parley: latency, memory, start-up, and many different requests at once."""
