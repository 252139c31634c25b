"""HTTP requests to turns, and events to HTTP responses."""
