"""What a metric is, and under which names Ray and Prometheus show it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

APPLIANCE: Final = "appliance"
"""The label that every metric has."""
_RAY: Final = "ray_"
_TOTAL: Final = "_total"


class Kind(Enum):
    """What may be done with the values of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    """The cumulative buckets of one, told apart by the label ``le``: counters for Ray, whose own histograms are told
    of each observation by a call."""


@dataclass(frozen=True)
class Metric:
    """One row of the catalogue."""

    name: str
    """As Ray is told it."""
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]
    """Besides the appliance."""
    sources: tuple[str, ...]
    """Where the values come from: RECORD.FIELD of the arena, or ``vitals.NAME``. One * stands for any part of it."""
    star: str = ""
    """The label whose value is what the * stood for."""
    scale: float = 1.0
    """What one of the arena's units is in the metric's."""

    @property
    def exported(self) -> str:
        """The name in Prometheus: Ray puts ``ray_`` before it, and ``_total`` behind a counter's."""
        return _RAY + self.name + ("" if self.kind is Kind.GAUGE else _TOTAL)

    @property
    def tag_keys(self) -> tuple[str, ...]:
        """All labels."""
        return (APPLIANCE, *self.labels)

    def matches(self, field: str) -> dict[str, str] | None:
        """Return the label that a field's name gives if the field is a source of this metric, else None."""
        for source in self.sources:
            found = re.fullmatch(re.escape(source).replace(r"\*", "(.+)"), field)
            if found is not None:
                return {self.star: found[1]} if self.star else {}
        return None
