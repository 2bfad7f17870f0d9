"""Counters of a span of time, and the sums that have to come out even."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ncore_ray.demo.links import LinkCount, link_counts
from ncore_ray.demo.peers import sent_again

if TYPE_CHECKING:
    from ncore_ray.demo.site import Site

Numbers = dict[str, int]

GAUGES: Final = (
    "live_connections",
    "connection_capacity",
    "free_frames",
    "frame_capacity",
    "half_open_connections",
)
"""What an engine's counters hold beside counters: the present state."""
FRAMES_HOME: Final = "frames received = frames returned"
_PAUSE_S: Final = 0.02


@dataclass(frozen=True)
class Snapshot:
    """Everything that was counted up to one instant."""

    at_us: int
    stat: Mapping[str, Any]
    status: Mapping[str, Any]
    links: Mapping[str, LinkCount] = field(default_factory=dict)
    sent_again: int = 0
    """Segments that the hosts' kernels sent twice."""

    @classmethod
    def take(cls, site: Site) -> Snapshot:
        """Ask the appliance."""
        stat, status = site.stat(), site.appliance.ask("status")
        return cls(stat["at_us"], stat, status)

    @classmethod
    def with_witnesses(cls, site: Site) -> Snapshot:
        """Ask the appliance and the kernels around it."""
        taken = cls.take(site)
        return replace(taken, links=link_counts(site.network), sent_again=sent_again(site.network))


class Accounts:
    """Two snapshots and the differences between them."""

    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        self.before = before
        self.after = after
        self.span_us = max(after.at_us - before.at_us, 1)

    def actor(self, name: str) -> Numbers:
        """Return what an actor counted in between; gauges as they stand afterwards."""
        return difference(self.before.stat["actors"].get(name, {}), self.after.stat["actors"][name])

    def actors(self, prefix: str) -> dict[str, Numbers]:
        """Return all actors whose names begin so."""
        return {name: self.actor(name) for name in self.after.stat["actors"] if name.startswith(prefix)}

    def total(self, prefix: str, counter: str) -> int:
        """Return the sum of a counter over the actors whose names begin so."""
        return sum(numbers.get(counter, 0) for numbers in self.actors(prefix).values())

    def service(self, name: str) -> dict[str, Any]:
        """Return what was counted for a service."""
        before, after = (snapshot.stat["services"][name] for snapshot in (self.before, self.after))
        return {"health": after["health"], **difference(_numbers(before), _numbers(after))}

    def actor_status(self, name: str) -> Mapping[str, Any]:
        """Return an actor's row of the status, the last that there was; none: it came and went in between."""
        rows: list[Mapping[str, Any]] = [*self.after.status["actors"], *self.before.status["actors"]]
        return next((row for row in rows if row["name"] == name), {"cpu": None})

    @property
    def sent_again(self) -> int:
        """How many segments the hosts sent twice."""
        return self.after.sent_again - self.before.sent_again

    def busy(self, name: str) -> float:
        """Return the share of the time that an actor was at work."""
        spans = [snapshot.stat["cores"].get(name, {}).get("busy_us", 0) for snapshot in (self.before, self.after)]
        return float(min(1.0, (spans[1] - spans[0]) / self.span_us))

    def drops(self) -> Numbers:
        """Return every counter of drops that moved, over all actors."""
        found: Numbers = {}
        for numbers in self.actors("").values():
            for name, value in numbers.items():
                if name.startswith("drop_") and value:
                    found[name] = found.get(name, 0) + value
        return found

    def sums(self) -> list[tuple[str, int, int]]:
        """Return pairs that have to be equal when no packet is on its way, each with its name."""
        nics, engines, distributor = "nic-", "engine-", self.actor("distributor")
        received, made = self.total(engines, "received_packets"), self.total(engines, "made_packets")
        unsent = sum(value for name, value in self.drops().items() if name.startswith("drop_send_"))
        pairs = [
            ("NIC readers → distributor", self.total(nics, "received_packets"), distributor["received_packets"]),
            ("distributor → engines", distributor["forwarded_packets"], received),
            ("distributor in = out + drops", distributor["received_packets"], _out_of(distributor)),
            ("engines in = used + drops", received, sum(map(_uses, self.actors(engines).values()))),
            ("made = sent + unsent", made, self.total(engines, "sent_packets") + unsent),
            (FRAMES_HOME, *self._frames_home()),
        ]
        return [*pairs, *self._kernel_sums()]

    @property
    def still(self) -> bool:
        """Whether no packet moved in between, and every frame that was ever received is home: none is on its way."""
        pairs = self.sums()
        frames = [(left, right) for name, left, right in pairs if name == FRAMES_HOME]
        moved = [left or right for name, left, right in pairs if name != FRAMES_HOME]
        return not any(moved) and all(left == right for left, right in frames)

    def _frames_home(self) -> tuple[int, int]:
        """Compare since the start, not since the first snapshot: a frame may have been on its way then."""
        readers = [numbers for name, numbers in self.after.stat["actors"].items() if name.startswith("nic-")]
        lent = sum(n["received_packets"] + n.get("chained_frames", 0) for n in readers)
        return lent, sum(n["returned_frames"] for n in readers)

    def _kernel_sums(self) -> list[tuple[str, int, int]]:
        if not self.after.links:
            return []
        links = [count.since(self.before.links[name]) for name, count in self.after.links.items()]
        nics = self.actors("nic-").values()
        taken = sum(_taken(numbers) for numbers in nics)
        sent = self.total("engine-", "sent_packets")
        return [
            ("the kernel's receive count = ours", sum(link.received for link in links), taken),
            ("the kernel's send count = ours", *self._sent(sum(link.sent for link in links), sent)),
        ]

    def _sent(self, by_kernel: int, by_us: int) -> tuple[int, int]:
        """Compare what was sent. What a killed engine sent last, and had not counted, counts as dropped."""
        unsure = self.drops().get("drop_send_takeover_packets", 0)
        return by_kernel, min(max(by_us, by_kernel), by_us + unsure) if unsure else by_us

    @property
    def balanced(self) -> bool:
        """Whether all sums are even and every engine has its frames back."""
        return all(left == right for _, left, right in self.sums()) and not self.held_frames()

    def held_frames(self) -> int:
        """Return how many of the engines' own frames are in use."""
        engines = self.actors("engine-").values()
        return sum(numbers["frame_capacity"] - numbers["free_frames"] for numbers in engines)


def take_still(take: Callable[[], Snapshot], timeout_s: float = 10.0) -> Snapshot:
    """Return counters of an instant when no packet was on its way, or the last ones after a time.

    A snapshot reads our counters and the kernel's one after the other: a monitor's probe in between would be in one of
    them only, and all later sums would be uneven by it.
    """
    end = time.monotonic() + timeout_s
    before = take()
    while True:
        time.sleep(_PAUSE_S)
        after = take()
        if Accounts(before, after).still or time.monotonic() > end:
            return after
        before = after


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> Numbers:
    """Return what was counted in between; gauges as they stand afterwards."""
    return {name: value if name in GAUGES else value - before.get(name, 0) for name, value in after.items()}


def _numbers(row: Mapping[str, Any]) -> Numbers:
    return {name: value for name, value in row.items() if isinstance(value, int)}


def _out_of(distributor: Numbers) -> int:
    return distributor["forwarded_packets"] + sum(v for name, v in distributor.items() if name.startswith("drop_"))


def _taken(nic: Numbers) -> int:
    """Return how many packets a NIC's readers took: what the kernel had put together counts once."""
    dropped = sum(value for name, value in nic.items() if name.startswith("drop_nic_"))
    return nic["received_packets"] - nic.get("received_parts", 0) + nic.get("received_large_packets", 0) + dropped


def _uses(engine: Numbers) -> int:
    used = sum(value for name, value in engine.items() if name.startswith("used_"))
    return used + sum(v for k, v in engine.items() if k.startswith("drop_") and not k.startswith("drop_send_"))
