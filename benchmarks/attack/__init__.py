"""Attacks on an engine in simulated time, beside clients that behave well: `python -m benchmarks.attack`."""
