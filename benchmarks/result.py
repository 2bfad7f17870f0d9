"""What a run of a scenario found: measurements, medians, ratios, and whether the goals were reached."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from benchmarks.goals import Goal, is_appliance, placement_of
from benchmarks.load import Case


@dataclass(frozen=True)
class Measurement:
    """One case with one peer in one round."""

    case: str
    peer: str
    round: int
    rate: float
    p50_us: float
    p99_us: float
    p999_us: float
    errors: int
    cpu_us: float
    """CPU time per unit of all the proxy's processes, and of nothing else."""
    cpu_all_us: float
    """CPU time per unit of client, proxy and server together: protocol work that a proxy does in someone else's time
    is in here."""
    others_busy: float
    """Cores that somebody else kept busy meanwhile, on average: neither client nor proxy nor server."""
    calibration_us: float
    """Time of a fixed piece of work just before: how fast the machine's core was at that moment."""
    memory_bytes: int
    memory_each: float = 0.0
    """Memory per connection, where the scenario is about that; 0 elsewhere."""
    kernel_each: float = 0.0


FIGURES = tuple(each.name for each in fields(Measurement) if each.name not in ("case", "peer", "round"))


@dataclass(frozen=True)
class Summary:
    """One case with one peer: medians over the rounds, and the medians of the rounds' ratios to the base peer.

    A ratio is taken within a round, so that a machine that changes its speed from round to round does not change it.
    """

    case: str
    peer: str
    rounds: int
    median: dict[str, float]
    ratio: dict[str, float]


@dataclass(frozen=True)
class Verdict:
    """Whether a goal was reached, and by which appliance (the best one)."""

    case: str
    goal: Goal
    peer: str
    ratio: float

    @property
    def is_met(self) -> bool:
        """Tell whether the goal was reached."""
        return self.goal.is_met(self.ratio)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        rest = {"peer": self.peer, "ratio": self.ratio, "reached": self.is_met}
        return {"case": self.case, **asdict(self.goal), **rest}


@dataclass
class Result:
    """All that a run of a scenario found."""

    scenario: str
    title: str
    unit: str
    base: str
    seconds: float
    cases: Sequence[Case] = ()
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Peers that were left out or failed, and why."""
    facts: dict[str, Any] = field(default_factory=dict)
    large_segments: bool = True

    def summaries(self) -> list[Summary]:
        """Return the medians in the order of cases and peers."""
        keys = dict.fromkeys((m.case, m.peer) for m in sorted(self.measurements, key=lambda m: m.round))
        cases = dict.fromkeys(case for case, _ in keys)
        peers = dict.fromkeys(peer for _, peer in keys)
        return [self._summary(case, peer) for case in cases for peer in peers if (case, peer) in keys]

    def _rows(self, case: str, peer: str) -> dict[int, Measurement]:
        """Return the measurements of a case with a peer, by round."""
        return {m.round: m for m in self.measurements if (m.case, m.peer) == (case, peer)}

    def _summary(self, case: str, peer: str) -> Summary:
        mine, base = self._rows(case, peer), self._rows(case, self.base)
        median, ratio = {}, {}
        for name in FIGURES:
            median[name] = float(statistics.median(getattr(row, name) for row in mine.values()))
            both = [(getattr(mine[n], name), getattr(base[n], name)) for n in mine.keys() & base.keys()]
            if ratios := [value / other for value, other in both if other]:
                ratio[name] = float(statistics.median(ratios))
        return Summary(case, peer, len(mine), median, ratio)

    def verdicts(self) -> list[Verdict]:
        """Return, for each goal that could be judged, the best appliance and whether it was enough."""
        summaries = self.summaries()
        found = [_judge(summaries, case.name, goal) for case in self.cases for goal in case.goals]
        return [verdict for verdict in found if verdict is not None]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values, medians first."""
        head = {"scenario": self.scenario, "title": self.title, "unit": self.unit, "base": self.base}
        return {
            **head,
            "seconds": self.seconds,
            "large_segments": self.large_segments,
            "facts": self.facts,
            "failures": self.failures,
            "verdicts": [verdict.as_json() for verdict in self.verdicts()],
            "medians": [asdict(summary) for summary in self.summaries()],
            "measurements": [asdict(measurement) for measurement in self.measurements],
        }


def _judge(summaries: Sequence[Summary], case: str, goal: Goal) -> Verdict | None:
    """Return the verdict on the best appliance; one whose answers were wrong counts only when all of them were."""
    rows = [row for row in summaries if row.case == case and is_appliance(row.peer) and goal.figure in row.ratio]
    rows = [row for row in rows if goal.placement in ("", placement_of(row.peer))]
    rows = [row for row in rows if not row.median["errors"]] or rows
    if not rows:
        return None
    best = max(rows, key=lambda row: goal.better(row.ratio[goal.figure]))
    return Verdict(case, goal, best.peer, best.ratio[goal.figure])
