"""Kernels of the latency room as functions."""

from __future__ import annotations

from collections.abc import Sequence

from ncore_ray.engine.latency.histogram import bucket_of_span
from ncore_ray.machine.jit import entry_kernel


@entry_kernel
def bucket(span_us: int) -> int:
    """Return the bucket of a span."""
    return bucket_of_span(span_us)


def buckets_of(spans: Sequence[int]) -> list[int]:
    """Return the buckets of some spans."""
    return [int(bucket(span)) for span in spans]
