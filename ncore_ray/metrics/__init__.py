"""Metrics: what an appliance exports to Ray, and so to Prometheus, from the arena's counters, once a second."""
