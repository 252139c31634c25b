"""WS /v1/realtime."""
