"""Ray Serve deployments, one per model, and the engines that they run. Knows nothing of HTTP or of the graph."""
