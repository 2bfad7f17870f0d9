"""What is to be true of an appliance whatever is done to it, judged from what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ncore_ray.chaos.faults import MANAGEMENT
from ncore_ray.chaos.record import Download, Fault, quantile
from ncore_ray.demo.accounts import GAUGES, Accounts, Snapshot
from ncore_ray.lab.rows import Check

_STATE: Final = (*GAUGES, "load_ppm")
_BATCH: Final = 4_096
"""Packets that an actor which is killed may have taken and not counted, or counted and not handed on: a ring."""
TAKE_OVER_S: Final = 5.0
"""Until another management is at work."""
_LIVE: Final = "live_flows_engine_"
_SAME_S: Final = 0.5
"""Connections of the same ends that began within this time are the same one: samples take a while."""


@dataclass
class Watcher:
    """Collects samples of a running appliance."""

    engines: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    """Each flow of a client that was seen: the engine that held it last, and when it began."""
    split: list[str] = field(default_factory=list)
    """Flows that two engines held."""
    samples: int = 0
    steps_back: list[str] = field(default_factory=list)
    held: Counter[int] = field(default_factory=Counter)
    """By engine: the clients' flows that were seen there, over all samples."""
    _last: Mapping[str, Any] | None = None

    def take_flows(self, rows: Iterable[Mapping[str, Any]], now_s: float) -> None:
        """Take the rows of ``flows``. A later connection may have the same addresses and ports: it began later."""
        self.samples += 1
        for row in rows:
            if row["role"] != "client":
                continue
            ends, began_s = (row["remote"], row["local"]), now_s - row["age_ms"] / 1000
            self.held[row["engine"]] += 1
            engine, before_s = self.engines.get(ends, (row["engine"], began_s))
            if engine != row["engine"] and abs(began_s - before_s) < _SAME_S:
                self.split.append(f"{ends[0]}: engines {engine} and {row['engine']}")
            self.engines[ends] = row["engine"], began_s

    def take_stat(self, stat: Mapping[str, Any]) -> None:
        """Take all counters, and note those that went back."""
        if self._last is not None:
            self.steps_back += _steps_back(self._last["actors"], stat["actors"])
        self._last = stat


def _steps_back(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    found = []
    for name, numbers in before.items():
        for counter, value in numbers.items():
            now = after.get(name, {}).get(counter)
            if counter in _STATE or counter.startswith(_LIVE):
                continue
            if now is None or now < value:
                found.append(f"{name} {counter}: {value} → {now}")
    return found


def downloads_check(downloads: Sequence[Download], least: float) -> Check:
    """Check that enough downloads came whole, and that no byte of any was another."""
    asked = [one for one in downloads if not one.again]
    wrong = [one for one in asked if one.is_wrong]
    failed = [one for one in asked if one.failure]
    share = 1 - len(failed) / max(len(asked), 1)
    detail = f"{len(asked) - len(failed):,} of {len(asked):,} whole and byte-exact: {share:.3%}, wanted {least:.3%}"
    if again := len(downloads) - len(asked):
        detail += f"; {again:,} asked again, as the idle connection was closed"
    if failed:
        detail += "; such as " + ", ".join(sorted({one.failure for one in failed})[:3])
    return Check("downloads are complete and byte-exact", bool(asked) and share >= least and not wrong, detail)


def stall_check(found: Sequence[float], before: Sequence[float], most_s: float) -> Check:
    """Check how long the flows of an actor stood still when something was done to it."""
    median = quantile(found, 0.5)
    if median is None:
        return Check("flows stand still only for a moment", True, "no flow of the load was at an actor that was struck")
    detail = f"median {median * 1000:.0f} ms of {len(found):,} flows, longest {max(found) * 1000:.0f} ms"
    if (calm := quantile(before, 0.5)) is not None:
        detail += f" (in as long a time before the fault {calm * 1000:.0f} ms)"
    return Check("flows stand still only for a moment", median < most_s, f"{detail}; wanted: median < {most_s:g} s")


def repairs_check(faults: Sequence[Fault], events: Sequence[Mapping[str, Any]]) -> Check:
    """Check that whoever was struck works again, and that nobody found a defect."""
    left = [fault.actor for fault in faults if fault.repaired_s is None]
    bad = [str(event["text"]) for event in events if event["level"] == "error" or "a defect" in event["text"]]
    spans = [fault.repaired_s for fault in faults if fault.repaired_s is not None and fault.what != "pause"]
    longest = f", the slowest repair took {max(spans):.2f} s" if spans else ""
    detail = "; ".join([*(f"{name} was not replaced" for name in left), *bad]) or f"{len(faults)} faults{longest}"
    return Check("every fault was repaired", bool(faults) and not left and not bad, detail)


def take_over_check(faults: Sequence[Fault]) -> Check:
    """Check that another management was at work soon after each one that was struck."""
    spans = [fault.repaired_s for fault in faults if fault.actor == MANAGEMENT and fault.what != "pause"]
    late = [span for span in spans if span is None or span >= TAKE_OVER_S]
    longest = max((span for span in spans if span is not None), default=0.0)
    detail = f"{len(spans)} times, after {longest:.2f} s at the most; wanted: < {TAKE_OVER_S:g} s"
    return Check("another management takes over", not late, detail)


def affinity_check(watcher: Watcher) -> Check:
    """Check that every flow was held by one engine."""
    words = "; ".join([f"{len(watcher.engines):,} flows in {watcher.samples} samples", *watcher.split[:2]])
    return Check("every flow stays on one engine", bool(watcher.engines) and not watcher.split, words)


def counters_check(watcher: Watcher, accounts: Accounts, faults: Sequence[Fault]) -> Check:
    """Check that no counter went back, and that the sums are even.

    What an engine counts is exact whatever happens to it. A reader or distributor that is killed may have counted what
    it had not handed on, or the other way round: a batch at the most each time.
    """
    others = sum(fault.actor.startswith(("nic-", "distributor")) for fault in faults)
    uneven = []
    for name, left, right in accounts.sums():
        may_differ = _BATCH * others if name.startswith(("NIC", "distributor", "frames")) else 0
        if abs(left - right) > may_differ:
            uneven.append(f"{name}: {left:,} and {right:,}")
    problems = [*watcher.steps_back[:3], *uneven]
    return Check("counters are exact and never go back", not problems, "; ".join(problems) or "all sums are even")


def leaks_check(before: Snapshot, after: Snapshot, entries: Mapping[str, int]) -> Check:
    """Check that frames, connections and entries of the flow table are given back when the load has ended.

    ``entries`` are the entries of the flow table by engine, counted one by one. Beside other load as much may be in use
    as before.
    """
    problems = []
    for what, was, now in zip(("frames", "connections"), held_by(before.stat), held_by(after.stat), strict=True):
        if now > was:
            problems.append(f"{now - was:,} {what} are not given back")
    counted = after.stat["actors"]["distributor"]
    for engine, found in entries.items():
        said = counted.get(f"{_LIVE}{engine.removeprefix('engine-')}", 0)
        if said != found:
            problems.append(f"{engine}: {found:,} entries of the flow table, but {said:,} are counted")
    detail = "; ".join(problems) or f"{sum(entries.values()):,} entries of the flow table are left, all of them counted"
    return Check("nothing leaks", not problems, detail)


def held_by(stat: Mapping[str, Any]) -> tuple[int, int]:
    """Return the engines' frames that are in use, and their connections without those that services keep for later."""
    engines = [numbers for name, numbers in stat["actors"].items() if name.startswith("engine-")]
    frames = sum(numbers["frame_capacity"] - numbers["free_frames"] for numbers in engines)
    pooled = sum(numbers["idle_connections"] for numbers in stat["services"].values())
    return frames, sum(numbers["live_connections"] for numbers in engines) - pooled
