"""The pocket vision model: what it sees, what it says of it, its tower and its file."""
