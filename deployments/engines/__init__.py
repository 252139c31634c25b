"""One folder per engine. An engine imports its library in its constructor, so that importing its settings is cheap."""
