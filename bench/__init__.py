"""Benchmarks of Parley; docs/benchmarks.md lists them and their figures."""
