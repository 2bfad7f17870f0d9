"""The metrics as instruments of `ray.util.metrics`, and the page on which Ray shows them to Prometheus."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from functools import cache
from http.client import HTTPException
from typing import Any, Final

import ray
from ray.util.metrics import Counter, Gauge

from ncore_ray.metrics.catalogue import CATALOGUE, metric_named
from ncore_ray.metrics.metric import Kind, Metric

_ANSWER_S: Final = 2.0


def pages() -> dict[str, str]:
    """Return the URL of the metrics page of each living node of the connected Ray, by the node's id."""
    return {
        node["NodeID"]: f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        for node in ray.nodes()
        if node["Alive"] and node.get("MetricsExportPort")
    }


@cache
def own_page() -> str:
    """Return the URL of the metrics page of the node that this actor runs on, or "" if it has none."""
    return pages().get(ray.get_runtime_context().get_node_id(), "")


class _Count(Counter):  # type: ignore[misc]
    """A counter that can be known before it counts: else the first rate after a change would miss that change."""

    def add(self, value: float, tags: Mapping[str, str]) -> None:
        """Add 0 or more."""
        self._record(value, tags=dict(tags))


class RayInstruments:
    """Ray's side. What a worker's counters are told before its connection to the node's agent stands is lost."""

    def __init__(self) -> None:
        context = ray.get_runtime_context()
        self._page = own_page()
        self._worker = f'WorkerId="{context.get_worker_id()}"'.encode()
        self._sign = metric_named("appliance_start_time_seconds").exported.encode() + b"{"
        self._open = False
        self._made: dict[str, Any] = {metric.name: _instrument(metric) for metric in CATALOGUE}

    def is_open(self) -> bool:
        """Return whether the connection stands: the page shows a gauge of ours."""
        if not self._open and self._page:
            self._open = any(line.startswith(self._sign) and self._worker in line for line in self._lines())
        return self._open

    def _lines(self) -> list[bytes]:
        try:
            with urllib.request.urlopen(self._page, timeout=_ANSWER_S) as answer:
                page: bytes = answer.read()
        except (OSError, HTTPException):
            return []
        return page.splitlines()

    def count(self, metric: Metric, tags: Mapping[str, str], grown: float) -> None:
        """Add to a counter."""
        self._made[metric.name].add(grown, tags)

    def set(self, metric: Metric, tags: Mapping[str, str], value: float) -> None:
        """Set a gauge."""
        self._made[metric.name].set(value, dict(tags))


def _instrument(metric: Metric) -> Any:
    make = Gauge if metric.kind is Kind.GAUGE else _Count
    return make(metric.name, description=metric.help, tag_keys=metric.tag_keys)
