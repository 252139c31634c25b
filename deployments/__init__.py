"""The rooms that hold a model: one Ray Serve deployment per engine. Knows nothing of HTTP or of the graph."""
