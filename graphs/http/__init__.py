"""From HTTP requests to turns, and from events to HTTP responses. Knows neither Ray's handles nor ``run``."""
