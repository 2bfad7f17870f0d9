"""Which engine was seen to hold which of the clients' connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Flow = tuple[str, str]
"""Client's end and VIP's end, each as ``10.1.0.2:40000``."""


class Sightings:
    """Collects samples of the engines' connection tables."""

    def __init__(self) -> None:
        self.engines: dict[Flow, set[int]] = {}
        """Every engine in whose table a client's connection stood at a sample."""
        self.samples = 0

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take one sample: the rows of ``flows``."""
        self.samples += 1
        for row in rows:
            if row["role"] == "client":
                self.engines.setdefault((row["remote"], row["local"]), set()).add(row["engine"])
