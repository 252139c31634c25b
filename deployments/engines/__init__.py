"""One module per engine; each imports its library inside the constructor, so that naming an engine costs nothing."""
