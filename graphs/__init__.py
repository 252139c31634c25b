"""The way of a request: bytes to a turn, a turn to a plan, a plan to events, events to bytes."""
