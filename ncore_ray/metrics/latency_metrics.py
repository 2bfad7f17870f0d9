"""The metrics of the latency histograms: a sum and cumulative buckets each, as Prometheus has them."""

from __future__ import annotations

from typing import Final

from ncore_ray.metrics.metric import Kind, Metric

_MICROSECOND: Final = 1e-6


def latency_metrics(subject: str, name: str, source: str, end: str) -> tuple[Metric, Metric]:
    """Return what shows one kind of histograms.

    Args:
        subject: whose they are: ``vserver`` or ``service``.
        name: how the metrics are called behind that.
        source: the kind of words in the arena.
        end: what the time ends with, such as "heads".
    """
    labels = (subject, "actor")
    total = Metric(
        f"ncore_{subject}_{name}_seconds_sum",
        Kind.COUNTER,
        "seconds",
        f"From the heads of requests to the {end} of their responses, all together.",
        labels,
        (f"{source}.total_us",),
        "",
        _MICROSECOND,
    )
    buckets = Metric(
        f"ncore_{subject}_{name}_seconds_bucket",
        Kind.HISTOGRAM,
        "responses",
        f"Responses of servers whose {end} were there less than so many seconds after the requests' heads.",
        (*labels, "le"),
        (f"{source}.times.*",),
        "le",
        1.0,
    )
    return total, buckets
