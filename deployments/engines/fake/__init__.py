"""Engines without a model, for tests and for benchmarks of everything around an engine."""
