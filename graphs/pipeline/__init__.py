"""From a turn to events: the stages of a request and the order in which they run. Knows nothing of HTTP."""
