"""What a load wrote down of each download, and what faults did to it: plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

LEAST_GAP_S: Final = 0.02
"""Shorter times without a byte are not written down."""
REACH_S: Final = 5.0
"""So long after a fault that was not repaired a gap is counted as its consequence."""
_CALM_S: Final = 1.0
End = tuple[str, int]


@dataclass
class Download:
    """One request and its answer. Instants are seconds of the monotonic clock."""

    url: str
    local: str
    """The client's end, as ``10.1.0.2:40000``."""
    began_at: float
    ended_at: float = 0.0
    received: int = 0
    failure: str = ""
    """Why it is not complete and byte-exact; empty: it is."""
    is_wrong: bool = False
    """Bytes came that are not those of the file: worse than none."""
    again: bool = False
    """An idle connection was closed under the request before a byte of the answer: it was asked once more."""
    gaps: list[tuple[float, float]] = field(default_factory=list)
    """Beginning and length of each time without a byte."""

    @classmethod
    def from_plain(cls, row: Mapping[str, Any]) -> Download:
        """Return what `plain` was made of."""
        return cls(**{**row, "gaps": [(gap[0], gap[1]) for gap in row["gaps"]]})

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Fault:
    """Something that was done to an actor."""

    at: float
    """Monotonic clock, s."""
    actor: str
    what: str
    """KILL, STOP or PAUSE."""
    process: int
    repaired_s: float | None
    """Until another process breathed in its place (PAUSE: until it breathed again); None: not in time."""
    said: str
    """The management's words."""
    flows: tuple[str, ...] = ()
    """Clients' ends of the flows that it was working on."""


def stalls(downloads: Iterable[Download], faults: Sequence[Fault]) -> tuple[list[float], list[float]]:
    """Return how long flows stood still because of the faults, s, and how long they had before, for comparison.

    A flow counts if the actor was working on it when something was done to it, and it had not ended. Its stall is its
    longest gap that begins before a successor works: what the fault brings about begins then. One without a gap worth
    noting counts as 0. Before: its longest gap in an equally long time that ended a second before the fault.
    """
    by_end: dict[str, list[Download]] = {}
    for one in downloads:
        by_end.setdefault(one.local, []).append(one)
    during, before = [], []
    for fault in faults:
        span = REACH_S if fault.repaired_s is None else fault.repaired_s
        for one in (one for end in fault.flows for one in by_end.get(end, ())):
            if one.began_at <= fault.at < one.ended_at:
                during.append(longest_gap(one, fault.at, fault.at + span))
                calm_at = fault.at - _CALM_S - span
                if one.began_at <= calm_at:
                    before.append(longest_gap(one, calm_at, calm_at + span))
    return during, before


def longest_gap(one: Download, first: float, last: float) -> float:
    """Return the longest gap of a download that reaches into a time."""
    return max((length for start, length in one.gaps if start + length > first and start < last), default=0.0)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which a share of the values lies; None without any."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
