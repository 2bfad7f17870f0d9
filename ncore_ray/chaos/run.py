"""One run: a checking load, faults, samples, and the verdict."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ncore_ray.appliance.session import Appliance
from ncore_ray.chaos import invariants
from ncore_ray.chaos.faults import MANAGEMENT, Chaos, What
from ncore_ray.chaos.invariants import Watcher, held_by
from ncore_ray.chaos.record import Download, Fault, quantile, stalls
from ncore_ray.demo.accounts import Accounts, Snapshot
from ncore_ray.errors import NcoreError
from ncore_ray.lab.process import python_module
from ncore_ray.lab.rows import Check

_SAMPLE_S: Final = 1.0
_READY_S: Final = 60.0
_QUIET_S: Final = 25.0
_GRACE_S: Final = 60.0
_LOOK_S: Final = 0.05
_MOST_FAILED: Final = 100
"""Failed downloads that a report tells in full."""
_PERIODS: Final = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    duration_s: float = 60.0
    every_s: float = 5.0
    most_faults: int | None = None
    """It ends after so many, if the time is not over before."""
    seed: int = 1
    whats: tuple[What, ...] = (What.KILL,)
    only: tuple[str, ...] = ()
    """Beginnings of the names of actors that may be struck; none: all."""
    urls: tuple[str, ...] = ()
    """What the own load downloads; none: there is no load but that which is there."""
    clients: int = 200
    rate: float = 0.0
    netns: str | None = None
    """Network namespace of the load."""
    least: float = 0.999
    """Share of the downloads that have to be complete."""
    stall_s: float = 0.3
    """The median stall has to be shorter."""


@dataclass
class Outcome:
    """What came of it."""

    appliance: str
    plan: Plan
    faults: list[Fault] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    stalls_s: list[float] = field(default_factory=list)
    calm_s: list[float] = field(default_factory=list)
    """The same flows before the faults."""
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0
    engines: dict[str, tuple[int, float]] = field(default_factory=dict)
    """The clients' flows that began at each, and how many it held at a time."""

    @property
    def passed(self) -> bool:
        """Whether everything was as it has to be."""
        return all(check.passed for check in self.checks)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, without each single download."""
        whole = sum(not one.failure for one in self.downloads)
        periods = {f"p{share * 100:g}": quantile(self.stalls_s, share) for share in _PERIODS}
        return {
            "appliance": self.appliance,
            "passed": self.passed,
            "plan": {**asdict(self.plan), "whats": [what.value for what in self.plan.whats]},
            "seconds": self.seconds,
            "downloads": len(self.downloads),
            "whole": whole,
            "asked_again": sum(one.again for one in self.downloads),
            "bytes": sum(one.received for one in self.downloads),
            "stalls_s": {"flows": len(self.stalls_s), **periods, "max": max(self.stalls_s, default=None)},
            "calm_p50_s": quantile(self.calm_s, 0.5),
            "faults": [{**asdict(fault), "flows": len(fault.flows)} for fault in self.faults],
            "failed": [one.plain() for one in self.downloads if one.failure and not one.again][:_MOST_FAILED],
            "engines": {name: {"began": began, "held": held} for name, (began, held) in self.engines.items()},
            "checks": [asdict(check) for check in self.checks],
        }


class LoadProcess:
    """The checking load, in a process of its own."""

    def __init__(self, plan: Plan) -> None:
        arguments = [word for url in plan.urls for word in ("--url", url)]
        arguments += [f"--clients={plan.clients}", f"--seconds={plan.duration_s + _GRACE_S}", f"--rate={plan.rate}"]
        arguments += [f"--netns={plan.netns}"] if plan.netns else []
        line = python_module("ncore_ray.chaos.load", *arguments)
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(json.loads(line))

    def await_ready(self) -> None:
        """Wait until it knows what it downloads. Raises NcoreError."""
        end = time.monotonic() + _READY_S
        while not self._lines and self._process.poll() is None and time.monotonic() < end:
            time.sleep(_LOOK_S)
        if not self._lines or self._lines[0]["type"] != "ready":
            self.kill()
            why = self._lines[0].get("text", "?") if self._lines else "it does not answer"
            raise NcoreError(f"the load cannot begin: {why}")

    def progress(self) -> dict[str, Any]:
        """Return its latest line."""
        return self._lines[-1] if self._lines else {}

    def end(self) -> list[Download]:
        """Let it finish what it has begun; return all downloads. Raises NcoreError when it died."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._thread.join(_GRACE_S)
        if not self._lines or self._lines[-1]["type"] != "report":
            self.kill()
            raise NcoreError("the load ended without a report")
        self._process.wait(_GRACE_S)
        return [Download.from_plain(row) for row in self._lines[-1]["downloads"]]

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait(_GRACE_S)


class Run:
    """Does what a plan says to an appliance."""

    def __init__(self, appliance: Appliance, plan: Plan, tell: Callable[[str], None]) -> None:
        self._appliance, self._plan, self._tell = appliance, plan, tell
        self._watcher = Watcher()
        self._chaos = Chaos(appliance.ask, plan.seed, plan.whats, plan.only)
        self._ended = threading.Event()

    def run(self) -> Outcome:
        """Do it, and judge. Raises NcoreError when nothing can be done to begin with."""
        outcome = Outcome(self._appliance.name, self._plan)
        before = self._still()
        last_event = max((event["number"] for event in self._appliance.ask("events")), default=0)
        load = LoadProcess(self._plan) if self._plan.urls else None
        began_at = time.monotonic()
        sampling = threading.Thread(target=self._sample, daemon=True)
        try:
            if load is not None:
                load.await_ready()
            sampling.start()
            self._strike(outcome.faults, load)
        except BaseException:
            if load is not None:
                load.kill()
            raise
        finally:
            self._ended.set()
        outcome.seconds = time.monotonic() - began_at
        outcome.downloads = load.end() if load is not None else []
        sampling.join(_GRACE_S)
        self._tell("waiting until everything is given back")
        after, entries = self._quiet(before)
        outcome.stalls_s, outcome.calm_s = stalls(outcome.downloads, outcome.faults)
        outcome.engines = self._flows_of_engines(Accounts(before, after))
        outcome.checks = self._judge(outcome, before, after, entries, last_event)
        return outcome

    def _strike(self, faults: list[Fault], load: LoadProcess | None) -> None:
        end = time.monotonic() + self._plan.duration_s
        due = time.monotonic() + min(self._plan.every_s, 2.0)
        most = self._plan.most_faults
        while due < end and (most is None or len(faults) < most):
            time.sleep(max(due - time.monotonic(), 0.0))
            while not self._chaos.is_well() and time.monotonic() < end:
                time.sleep(_LOOK_S)
            fault = self._chaos.strike()
            if fault is not None:
                faults.append(fault)
                self._tell(_words(fault, load.progress() if load else {}))
            due = max(due + self._plan.every_s, time.monotonic())
        if most is None:
            time.sleep(max(end - time.monotonic(), 0.0))

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            try:
                self._watcher.take_stat(self._appliance.ask("stat"))
                self._watcher.take_flows(self._appliance.ask("flows", 100_000), time.monotonic())
            except NcoreError as error:  # the next sample tells
                self._tell(f"no sample: {error}")

    def _take(self) -> Snapshot:
        stat, status = self._appliance.ask("stat"), self._appliance.ask("status")
        return Snapshot(stat["at_us"], stat, status)

    def _still(self) -> Snapshot:
        """Return counters of a moment when no packet was on its way, if there is no other load."""
        before, end = self._take(), time.monotonic() + _QUIET_S / 5
        while True:
            time.sleep(_LOOK_S)
            after = self._take()
            if Accounts(before, after).still or time.monotonic() > end:
                return after
            before = after

    def _quiet(self, before: Snapshot) -> tuple[Snapshot, dict[str, int]]:
        """Return the counters and the flow table's entries when all is given back, or after some seconds."""
        end = time.monotonic() + _QUIET_S
        while True:
            entries, after = self._appliance.ask("flow_entries"), self._take()
            even = all(left == right for _, left, right in Accounts(before, after).sums())
            back = all(now <= was for was, now in zip(held_by(before.stat), held_by(after.stat), strict=True))
            if (even and back and not sum(entries.values())) or time.monotonic() > end:
                return after, entries
            time.sleep(4 * _LOOK_S)

    def _flows_of_engines(self, accounts: Accounts) -> dict[str, tuple[int, float]]:
        samples, held = max(self._watcher.samples, 1), self._watcher.held
        return {
            name: (numbers["connections_accepted"], held[int(name.rpartition("-")[2])] / samples)
            for name, numbers in sorted(accounts.actors("engine-").items())
        }

    def _judge(
        self, outcome: Outcome, before: Snapshot, after: Snapshot, entries: dict[str, int], last_event: int
    ) -> list[Check]:
        events = self._appliance.ask("events", last_event)
        found = [
            invariants.repairs_check(outcome.faults, events),
            invariants.affinity_check(self._watcher),
            invariants.counters_check(self._watcher, Accounts(before, after), outcome.faults),
            invariants.leaks_check(before, after, entries),
        ]
        if any(fault.actor == MANAGEMENT for fault in outcome.faults):
            found.append(invariants.take_over_check(outcome.faults))
        if not self._plan.urls:
            return found
        downloads = invariants.downloads_check(outcome.downloads, self._plan.least)
        return [downloads, invariants.stall_check(outcome.stalls_s, outcome.calm_s, self._plan.stall_s), *found]


def _words(fault: Fault, progress: dict[str, Any]) -> str:
    """Return a fault in a line."""
    done = f"{progress['downloads']:,} downloads, {progress['failed']} failed; " if "downloads" in progress else ""
    back = "not replaced" if fault.repaired_s is None else f"back after {fault.repaired_s * 1000:.0f} ms"
    return f"{done}{fault.what} {fault.actor} (process {fault.process}), {len(fault.flows)} flows: {back}"


def words_of(whats: Sequence[str]) -> tuple[What, ...]:
    """Return the kinds of faults that words name. Raises NcoreError."""
    try:
        return tuple(What(word) for word in whats)
    except ValueError as error:
        raise NcoreError(f"{error}; there are {', '.join(What)}") from None
