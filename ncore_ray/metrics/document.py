"""The catalogue as a table of docs/metrics.md: `python -m ncore_ray.metrics.document` prints it."""

from __future__ import annotations

from typing import Final

from ncore_ray.metrics.catalogue import CATALOGUE
from ncore_ray.metrics.metric import Kind, Metric

_HEAD: Final = ("metric", "kind", "unit", "labels", "what it tells", "source")
_KINDS: Final = {Kind.COUNTER: "counter", Kind.GAUGE: "gauge", Kind.HISTOGRAM: "buckets"}


def table() -> str:
    """Return the table in Markdown."""
    lines = [f"| {' | '.join(_HEAD)} |", "|" + "---|" * len(_HEAD)]
    return "\n".join([*lines, *map(_row, CATALOGUE)]) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    sources = " ".join(f"`{source}`" for source in metric.sources)
    cells = (f"`{metric.exported}`", _KINDS[metric.kind], metric.unit, labels, metric.help, sources)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(table(), end="")
