"""A distributor by itself: packets in, where each went out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ncore_ray.arena.core import Actor
from ncore_ray.arena.frame import IN_TRANSIT, RECEIVED
from ncore_ray.flow.distributor import (
    DistributorCounters,
    DistributorPlan,
    LocalMemory,
    breathe,
    counters_view,
    make_local,
)
from ncore_ray.lab.dry.arena import VIP, SmallArena, make_arena


def counter_names() -> list[str]:
    """Return the names of a distributor's counters."""
    return list(DistributorCounters.__annotations__)


@dataclass
class Appliance:
    """``now`` is µs; `send` gives the engine that got the packet, or the name of the counter of its drop."""

    arena: SmallArena
    local: LocalMemory = field(default_factory=make_local)
    now: int = 1_000_000

    def counters(self) -> dict[str, int]:
        """Return a copy of the counters."""
        counters = counters_view(self.arena.array)
        return {name: getattr(counters, name) for name in counter_names()}

    def breathe(self) -> int:
        """Let the distributor take a breath; return how many packets it took."""
        return breathe(self.arena.base, 0, self.local.packet_address, self.now)

    def send(self, packet: bytes, nic: int = 0) -> int | str:
        """Send one packet through; check that it left once, and with the right owner."""
        before = self.counters()
        descriptor = self.arena.receive(nic, packet)
        assert self.breathe() == 1
        drops = [name for name, value in self.counters().items() if name.startswith("drop") and value != before[name]]
        out = {engine: self.arena.take_engine(engine) for engine in range(self.arena.header.engine_count)}
        got = [engine for engine, words in out.items() if words]
        home = self.arena.take_home(nic)
        assert sorted(word for words in [*out.values(), home] for word in words) == [descriptor]
        owner = self.arena.meta(descriptor & 0xFFFF_FFFF).owner
        if got:
            assert drops == []
            assert owner == RECEIVED + Actor.ENGINE + got[0]
            return got[0]
        assert len(drops) == 1
        assert owner == IN_TRANSIT
        return drops[0]

    def is_balanced(self) -> bool:
        """Received = forwarded + every kind of drop."""
        counters = self.counters()
        drops = sum(value for name, value in counters.items() if name.startswith("drop"))
        return counters["received_packets"] == counters["forwarded_packets"] + drops


def make_appliance(ports: tuple[int, ...] = (80, 443), **options: Any) -> Appliance:
    """Make an arena with vServers on the VIP's ports; ``options`` are those of `DistributorPlan`."""
    plan = DistributorPlan(**{"engines": 4, "flows": 512} | options)
    arena = make_arena(engines=plan.engines, plan=plan)
    for port in ports:
        arena.add_vserver(VIP, port)
    return Appliance(arena)
