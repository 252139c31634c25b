"""Bytes to turns, events to bytes. Knows no deployment."""
