"""Measurements of the data path beside what people use today. Run with `python -m benchmarks`; nothing is sent."""
