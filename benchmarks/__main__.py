"""``python -m benchmarks [SCENARIO…|all]``: without a name, the list of scenarios."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks import facts
from benchmarks.harness import Effort, Scenario, run_scenario
from benchmarks.memory_scenario import MemoryResult
from benchmarks.peers import Peer, known_peers, select
from benchmarks.quiet import Patience
from benchmarks.result import Measurement, Result
from benchmarks.scenarios import IN_MEMORY, ON_THE_WIRE
from benchmarks.store import RESULTS, save_result
from benchmarks.tables import rich_table
from benchmarks.units import FORMATS, rate_heading
from ncore_ray.lab.capability import enter_or_explain
from ncore_ray.lab.process import find_program, python_module

_ALL: Final = "all"
_IN_MEMORY_WEIGHT: Final = 10
"""Of the time of a run, as many cases with one peer."""
_MANY_FILES: Final = 65_536
_console = Console(stderr=True)
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def _tell(case: str, peer: str, number: int, found: Measurement | None) -> None:
    """Print one line per measurement as it comes."""
    if found:
        figures = f"{found.rate:>10,.0f}/s  p50 {FORMATS['p50_us'](found.p50_us):>8}  CPU {found.cpu_us:7.1f} µs"
        if found.others_busy >= Effort.quiet_below:
            figures += f"  [yellow](disturbed: others kept {found.others_busy:.1f} cores busy)"
        if found.errors:
            figures += f"  [red]{found.errors} errors"
        _console.print(f"round {number + 1}  {peer:<16} {case:<18} {figures}", soft_wrap=True)


def _list_scenarios() -> None:
    for scenario in ON_THE_WIRE.values():
        cases = ", ".join(case.name for case in scenario.cases)
        print(f"{scenario.name:<18} {scenario.title}, {rate_heading(scenario.unit)} ({cases})")
    for name, in_memory in IN_MEMORY.items():
        print(f"{name:<18} {in_memory.title}")
    print(f"{'peers':<18} {', '.join(known_peers())}")


def _weight(name: str) -> int:
    """Return how much of the time of a run a scenario needs, compared with others."""
    if name in IN_MEMORY:
        return _IN_MEMORY_WEIGHT
    return (len(ON_THE_WIRE[name].cases) + 1) * len(ON_THE_WIRE[name].peers)


def _show(result: Result | MemoryResult, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.as_json(), ensure_ascii=False))
        return
    width = None if sys.stdout.isatty() else 150
    Console(width=width).print(rich_table(result) if isinstance(result, Result) else result.rich_table())


def _lacking(scenario: Scenario) -> str:
    """Return which programs a scenario lacks, empty when none."""
    return ", ".join(program for program in scenario.programs if not find_program(program))


def _chosen_peers(scenario: Scenario, names: Sequence[str], known: dict[str, Peer]) -> list[Peer]:
    try:
        return select(known, names or scenario.peers)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _expand(names: Sequence[str]) -> list[str]:
    known = [*ON_THE_WIRE, *IN_MEMORY]
    if _ALL in names:
        return known
    if unknown := set(names) - set(known):
        raise typer.BadParameter(f"no scenario {', '.join(sorted(unknown))}; there are: {', '.join(known)}, {_ALL}")
    return list(dict.fromkeys(names))


def _allow_many_files() -> None:
    """Raise the limit of open files as far as it goes: for this process and all that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _share(names: Sequence[str]) -> float:
    """Return the first scenario's share of the time that is left."""
    return _weight(names[0]) / sum(map(_weight, names))


def _run(name: str, peers: Sequence[str], effort: Effort, patience: Patience) -> Result | MemoryResult | None:
    """Run one scenario; None when nothing could be measured, after saying why."""
    if name in IN_MEMORY:
        in_memory = IN_MEMORY[name].run(effort.rounds)
        in_memory.facts = facts.gather()
        return in_memory
    scenario = ON_THE_WIRE[name]
    if missing := _lacking(scenario):
        _console.print(f"[red]{name} is left out: {missing} not installed (make bench-deps)")
        return None
    result = run_scenario(scenario, _chosen_peers(scenario, peers, known_peers()), effort, patience, _tell)
    for failure in result.failures:
        _console.print(f"[yellow]{name}: left out {failure}", soft_wrap=True)
    result.facts = facts.gather()
    return result if result.measurements else None


@app.command()
def main(
    scenarios: Annotated[list[str] | None, typer.Argument(help="Scenarios to run, or all; none: list them.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="All peers in turn, so many times at most.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of each measurement.")] = 2,
    warm_up: Annotated[float, typer.Option(min=1, max=30, help="Seconds of load before each.")] = 1,
    attempts: Annotated[int, typer.Option(min=1, max=20, help="Repeats while others keep the machine busy.")] = 3,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for a quiet machine, all in all.")] = 120,
    minutes: Annotated[float, typer.Option(min=0, help="No round begins that would end later than this.")] = 20,
    large_segments: Annotated[bool, typer.Option(help="Leave TSO and GRO of the hosts as Linux has them.")] = True,
    peers: Annotated[str, typer.Option(help="Comma-separated names; empty: those of the scenario.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    save: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results.")] = True,
) -> None:
    """Run benchmarks: every peer in the same network, in turn, in one run."""
    if not scenarios:
        _list_scenarios()
        return
    names = _expand(scenarios)
    if why := enter_or_explain(python_module("benchmarks", *sys.argv[1:])):
        sys.exit(why)
    _allow_many_files()
    chosen = [name for name in peers.split(",") if name]
    waiting, end = Patience(patience, Effort.quiet_below), time.monotonic() + 60 * minutes
    failed = False
    for place, name in enumerate(names):
        until = time.monotonic() + (end - time.monotonic()) * _share(names[place:])
        effort = Effort(rounds, seconds, warm_up, attempts, large_segments=large_segments, until=until)
        result = _run(name, chosen, effort, waiting)
        failed = failed or result is None
        if result is None:
            continue
        if save:
            save_result(result, RESULTS)
        _show(result, as_json)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    app()
