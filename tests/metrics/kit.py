"""An arena without actors, and instruments that remember what they were told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ncore_ray.arena.layout import PAGE, Bytes, aligned
from ncore_ray.blueprint.build import build, draw
from ncore_ray.config.load import parse
from ncore_ray.metrics.metric import Metric
from ncore_ray.metrics.words import Names

TEXT = """
appliance: {name: edge, engines: %d, arena: 64MiB, timer: %s}
distribution: {placement: %s}
nics:
  - {name: nc0, driver: memory, addresses: [10.1.0.10/24]}
  - {name: nc1, driver: memory, addresses: [10.2.0.10/24]}
services:
  - {name: web1, address: "10.2.0.2:80", monitor: none}
  - {name: web2, address: "10.2.0.3:80"}
vservers:
  - {name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1, web2]}
  - {name: db, address: "10.1.0.100:5432", protocol: TCP, services: [web1]}
limits: {connections: 100}
"""
Key = tuple[str, tuple[tuple[str, str], ...]]


def made(engines: int = 2, placement: str = "core", timer: str = "adaptive") -> tuple[Bytes, Names]:
    """Return an arena and what its rows are called."""
    blueprint = draw(parse(TEXT % (engines, timer, placement)))
    array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
    build(array, blueprint, epoch=7, secret=(1, 2), now=1_000_000)
    actors = {f"engine-{index}": 1 + index for index in range(engines)}
    if placement == "core":
        actors |= {"distributor": 0, "nic-nc0": 1 + engines, "nic-nc1": 2 + engines}
    return array, Names("edge", ("nc0", "nc1"), {0: "www", 1: "db"}, {0: "web1", 1: "web2"}, actors)


def key(exported: str, **labels: str) -> Key:
    """Return how a series is called: labels without the appliance."""
    return exported, tuple(sorted(labels.items()))


class Kept:
    """Instruments that keep what Prometheus would show."""

    def __init__(self, *, opens: bool = True) -> None:
        self.opens = opens
        self.values: dict[Key, float] = {}
        self.calls = 0

    def is_open(self) -> bool:
        return self.opens

    def _key(self, metric: Metric, tags: Mapping[str, str]) -> Key:
        assert set(tags) == set(metric.tag_keys)
        assert tags["appliance"] == "edge"
        self.calls += 1
        return key(metric.exported, **{name: value for name, value in tags.items() if name != "appliance"})

    def count(self, metric: Metric, tags: Mapping[str, str], grown: float) -> None:
        assert grown >= 0
        name = self._key(metric, tags)
        self.values[name] = self.values.get(name, 0) + grown

    def set(self, metric: Metric, tags: Mapping[str, str], value: float) -> None:
        self.values[self._key(metric, tags)] = value
