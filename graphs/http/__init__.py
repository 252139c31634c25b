"""From HTTP requests to turns, and from events to HTTP responses. Imports neither Ray's handles nor ``run``."""
