"""Benchmarks of the data path and of common alternatives. Run with `python -m benchmarks`; nothing is sent."""
