"""Engines of one lab that look like one to the hosts around them: a flow lives at any, and moves while it lives."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.handover.frozen import Refusal
from ncore_ray.engine.handover.run import Handover
from ncore_ray.engine.partition import Engine
from ncore_ray.lab.dry.engine import EngineLab, Totals
from ncore_ray.machine.record import size_of, view

ENGINES: Final = 2


class Homes(EngineLab):
    """A lab whose packets go where their flow lives, as a flow table would have it."""

    handover: Handover
    choice: random.Random
    odds: float = 0.0
    """How often after a breath flows move; half of the times one, else all of an engine."""
    moves: int = 0
    refused: Counter[Refusal]
    homes: dict[tuple[int, int, int], int]
    """Engine of a flow's packets by NIC, remote and local port; else the first."""

    def begin_moving(self, seed: int, odds: float) -> None:
        """Let flows move from now on."""
        self.handover, self.choice, self.odds = Handover(self.array), random.Random(seed), odds
        self.refused, self.homes = Counter(), {}
        self.half_open_limits(1 << 20)

    def half_open_limits(self, limit: int) -> None:
        """Let engines hold so many half-open connections."""
        for index in range(ENGINES):
            self.engine(index).half_open_limit = limit

    def receive(self, nic: int, data: bytes, *, engine: int = 0, checksum: int = 0) -> None:
        """Hand a packet to the engine at which its flow lives; ARP goes to all."""
        if data[12:14] == b"\x08\x06":
            for index in range(ENGINES):
                super().receive(nic, data, engine=index, checksum=checksum)
            return
        key = nic, int.from_bytes(data[34:36], "big"), int.from_bytes(data[36:38], "big")
        home = self.homes.get(key, self._opener(key[2]) if nic else engine)
        super().receive(nic, data, engine=home, checksum=checksum)

    def _opener(self, port: int) -> int:
        """Return the engine from whose range a local port is."""
        ranges = [(self.engine(index).first_port, self.engine(index).port_count) for index in range(ENGINES)]
        return next((index for index, (first, count) in enumerate(ranges) if first <= port < first + count), 0)

    def breathe(self, now: int | None = None, *, engine: int = 0) -> int:
        """Let all engines breathe, then move flows, perhaps."""
        work = sum(super(Homes, self).breathe(now, engine=index) for index in range(ENGINES))
        while any(self._waiting(index) for index in range(ENGINES)):  # else packets come to where their flow was
            work += sum(super(Homes, self).breathe(now, engine=index) for index in range(ENGINES))
        if self.odds and self.choice.random() < self.odds:
            self.move_some()
        return work

    def _waiting(self, index: int) -> int:
        ring = self._ring(self.arena.engine_rings, index)
        return ring.tail - ring.head

    def move_some(self) -> None:
        """Move one flow, or all that an engine has, to another engine."""
        source = self.choice.randrange(ENGINES)
        numbers = list(self.handover.flows(source))
        if numbers and self.choice.random() < 0.5:
            numbers = [self.choice.choice(numbers)]
        for number in numbers:
            self.move(source, number)

    def move(self, source: int, number: int) -> None:
        """Move a flow to the other engine, and let its packets follow."""
        target = 1 - source
        found = self.handover.move(source, target, number, self.now)
        if isinstance(found, Refusal):
            self.refused[found] += 1
            return
        self.moves += 1
        tcbs = [self.tcb(target, found)]
        tcbs += [self.tcb(target, tcbs[0].peer - 1)] if tcbs[0].peer else []
        for tcb in tcbs:
            self.homes[tcb.nic, tcb.ports >> 24, tcb.ports >> 8 & 0xFFFF] = target

    def tcb(self, index: int, number: int) -> Tcb:
        """Return the record of a connection."""
        return view(Tcb, self.array, self.engine(index).connections + number * size_of(Tcb))

    def connections(self, index: int | None = None) -> list[Tcb]:
        """Return the live connections of an engine, or of all."""
        if index is not None:
            return super().connections(index)
        return [tcb for each in range(ENGINES) for tcb in super(Homes, self).connections(each)]

    def sent(self, *, engine: int | None = None) -> list[tuple[int, bytes]]:
        """Return the frames that an engine sent, or all of them did."""
        if engine is not None:
            return super().sent(engine=engine)
        return [packet for index in range(ENGINES) for packet in super(Homes, self).sent(engine=index)]

    def totals(self, index: int | None = None) -> Totals:
        """Return the counters of an engine, or their sums."""
        if index is not None:
            return super().totals(index)
        every = [super(Homes, self).totals(each).values for each in range(ENGINES)]
        return Totals({name: sum(values[name] for values in every) for name in every[0]})

    def end_moving(self) -> None:
        """Check that nothing leaked at any engine."""
        for index in range(ENGINES):
            check_engine(self, self.engine(index), index)


def check_engine(lab: EngineLab, engine: Engine, index: int) -> None:
    """Check that each frame is free, held or on its way home, and that the counts agree with what lives."""
    live = EngineLab.connections(lab, index)
    assert len(live) == engine.live_connections
    metas: Any = lab._metas()
    held = 0
    for tcb in live:
        for word in (tcb.send_chain, tcb.hold_chain, tcb.out_of_order):
            frame = (word & 0xFFFF_FFFF) - ((word & 0x8000_0000) << 1)
            while frame >= 0:
                held += 1
                frame = int(metas["next"][frame])
    count = lab.arena.nic_count
    rings = [lab._ring(lab.arena.transmit_return_rings, index * count + nic) for nic in range(count)]
    assert engine.free_frame_count + held + sum(ring.tail - ring.taken for ring in rings) == engine.frame_count
    values = EngineLab.totals(lab, index).values
    made = (
        values["connections_accepted"]
        + values["connections_opened"]
        + 2 * (values["udp_sessions"] + values["any_sessions"])
    )
    made += values["connections_thawed"] - values["connections_withdrawn"]
    assert made - values["connections_closed"] == len(live)
