"""Expressions over metrics of the catalogue: a name or a label that does not exist is an error when they are made.

Every expression leaves out the labels that Ray adds. One of them names the management's process: while a successor's
series stand beside those of the former one, `max` takes either, and rates of the former are 0.
"""

from __future__ import annotations

from collections.abc import Iterable

from ncore_ray.metrics.catalogue import metric_named
from ncore_ray.metrics.metric import Kind, Metric

_INTERVAL = "$__rate_interval"


def _checked(metric: Metric, labels: Iterable[str]) -> str:
    names = list(labels)
    unknown = [name for name in names if name not in metric.tag_keys]
    if unknown:
        raise ValueError(f"{metric.name} has no label {', '.join(unknown)}")
    return ", ".join(names)


def selector(name: str, **where: str) -> str:
    """Return the series of the chosen appliance; ``where`` gives regular expressions of labels."""
    metric = metric_named(name)
    _checked(metric, where)
    parts = ['appliance="$appliance"', *(f'{label}=~"{pattern}"' for label, pattern in where.items())]
    return f"{metric.exported}{{{', '.join(parts)}}}"


def rate(name: str, *by: str, **where: str) -> str:
    """Return how fast a counter grows, per second, added up over all labels but ``by``."""
    metric = metric_named(name)
    if metric.kind is Kind.GAUGE:
        raise ValueError(f"{name} is no counter")
    return f"sum{_by(metric, by)} (rate({selector(name, **where)}[{_INTERVAL}]))"


def value(name: str, *by: str, **where: str) -> str:
    """Return a gauge, one series for each combination of its labels ``by``: the largest."""
    return f"max{_by(metric_named(name), by)} ({selector(name, **where)})"


def added(name: str, *by: str, **where: str) -> str:
    """Return a gauge added up over all its labels but ``by``."""
    metric = metric_named(name)
    return f"sum{_by(metric, by)} ({value(name, *metric.labels, **where)})"


def _by(metric: Metric, labels: tuple[str, ...]) -> str:
    return f" by ({_checked(metric, labels)})" if labels else ""


def quantile(share: float, name: str, *by: str, **where: str) -> str:
    """Return the value that a share of what a histogram's buckets count does not exceed."""
    return f"histogram_quantile({share:g}, {rate(name, 'le', *by, **where)})"
