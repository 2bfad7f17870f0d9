"""Benchmarks against other proxies: ``python -m benchmarks`` lists the scenarios and runs those named."""
