"""Control code: where links, halves and their rings lie, and their first state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes, Layout, init_rings
from ncore_ray.arena.ring import ring_size
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.remote.link import HALF_SIZE, LINK_SIZE, Half, Link
from ncore_ray.engine.transaction.turn import TURN_SIZE
from ncore_ray.machine.record import table, view


@dataclass(frozen=True)
class LinkPlan:
    """What virtual connections between all engines take. Every ordered pair of engines has two rings."""

    engines: int
    connections: int
    """Per engine. A virtual one takes two at the engine that opens it, so half of them at the most are that."""
    message_capacity: int
    frames: int
    """Of each engine's pool, all of which may be on their way home from one other engine."""
    transactions: bool = False
    """Requests of one client go to different engines: an engine may be one of its own, so it has a link to itself."""

    @property
    def halves(self) -> int:
        """Halves that an engine has for each other one."""
        return 2 * max(self.connections // 2, 1)

    @property
    def home_capacity(self) -> int:
        """Words of a ring by which frames come home."""
        return 1 << max(self.frames - 1, 1).bit_length()

    def pair(self, first: int, second: int) -> int:
        """Return the number of an ordered pair of two engines."""
        if self.transactions:
            return first * self.engines + second
        return first * (self.engines - 1) + second - (second > first)

    @property
    def pairs(self) -> int:
        """How many ordered pairs there are."""
        return self.engines * (self.engines if self.transactions else self.engines - 1)


@dataclass(frozen=True)
class LinkSpans:
    """Offsets of what all engines share."""

    message_rings: int
    home_rings: int


def plan_links(layout: Layout, plan: LinkPlan) -> tuple[LinkSpans, list[dict[str, int]]]:
    """Reserve everything; return the shared offsets, and for each engine the fields of its header."""
    spans = LinkSpans(
        layout.reserve_rings("message_rings", plan.pairs, plan.message_capacity),
        layout.reserve_rings("home_rings", plan.pairs, plan.home_capacity),
    )
    fields = [
        {
            "links": layout.reserve(f"engine.{k}.links", LINK_SIZE * plan.engines),
            "halves": layout.reserve(f"engine.{k}.halves", HALF_SIZE * plan.halves * plan.engines),
            "half_count": plan.halves,
            "turns": layout.reserve(f"engine.{k}.turns", TURN_SIZE * plan.connections) if plan.transactions else 0,
        }
        for k in range(plan.engines)
    ]
    return spans, fields


def init_links(array: Bytes, arena: Arena, plan: LinkPlan, spans: LinkSpans) -> None:
    """Write empty rings, and every engine's links and halves; the engines' headers are there."""
    init_rings(array, spans.message_rings, plan.pairs, plan.message_capacity)
    init_rings(array, spans.home_rings, plan.pairs, plan.home_capacity)
    for index in range(plan.engines):
        engine = view(Engine, array, arena.engines + index * arena.engine_stride)
        for other in range(plan.engines):
            if other != index or plan.transactions:
                _write_link(array, engine, plan, spans, other)


def _write_link(array: Bytes, engine: Engine, plan: LinkPlan, spans: LinkSpans, other: int) -> None:
    link = view(Link, array, engine.links + other * LINK_SIZE)
    there, back = plan.pair(engine.index, other), plan.pair(other, engine.index)
    link.outbound = spans.message_rings + there * ring_size(plan.message_capacity)
    link.inbound = spans.message_rings + back * ring_size(plan.message_capacity)
    link.home = spans.home_rings + there * ring_size(plan.home_capacity)
    link.returns = spans.home_rings + back * ring_size(plan.home_capacity)
    first = other * plan.halves
    own = table(Half, array, engine.halves + first * HALF_SIZE, plan.halves // 2)
    own["next"][:-1] = np.arange(first + 2, first + plan.halves // 2 + 1)
    link.free_half = first + 1
