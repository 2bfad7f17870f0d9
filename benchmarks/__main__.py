"""``python -m benchmarks [SCENARIO…]``: without a name, the list of scenarios."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import facts, http_keepalive
from benchmarks.harness import Effort, Measurement, Result, Scenario, run_scenario
from benchmarks.peers import Peer, known_peers
from benchmarks.tables import markdown, rich_table
from ncore_ray.lab.capability import enter_or_explain
from ncore_ray.lab.process import find_program, python_module

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (http_keepalive.SCENARIO,)}
RESULTS = Path(__file__).with_name("results")
_DEFAULT_PEERS = ("direct", "haproxy", "nginx")
_console = Console(stderr=True)
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def choose_peers(names: Sequence[str]) -> list[Peer]:
    """Return the peers of these names that can run here, and say which can't; no names: the usual ones."""
    known = known_peers()
    wanted = names or [name for name, peer in known.items() if name in _DEFAULT_PEERS or not peer.forwarding]
    if unknown := set(wanted) - set(known):
        raise typer.BadParameter(f"no peer {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    for name in wanted:
        if why := known[name].missing():
            _console.print(f"[yellow]left out {name}: {why}")
    return [known[name] for name in wanted if not known[name].missing()]


def _tell(case: str, peer: str, number: int, found: Measurement | None) -> None:
    """Print one line per measurement as it comes."""
    if found:
        figures = f"{found.rate:>10,.0f}/s  p50 {found.p50_us:>7,.0f} µs  CPU {found.cpu_us:5.1f} µs"
        if found.others_busy >= Effort.quiet_below:
            figures += f"  [yellow](disturbed: others kept {found.others_busy:.1f} cores busy)"
        _console.print(f"round {number + 1}  {peer:<14} {case:<18} {figures}", soft_wrap=True)


def _list_scenarios() -> None:
    for scenario in SCENARIOS.values():
        print(f"{scenario.name:<18} {scenario.title} ({', '.join(case.name for case in scenario.cases)})")
    print(f"{'peers':<18} {', '.join(known_peers())}")


def _save(result: Result) -> None:
    """Keep the latest result of a scenario as JSON and Markdown."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result.as_json(), indent=1, ensure_ascii=False)
    (RESULTS / f"{result.scenario}.json").write_text(text + "\n", encoding="utf-8")
    (RESULTS / f"{result.scenario}.md").write_text(markdown(result), encoding="utf-8")


@app.command()
def main(
    scenarios: Annotated[list[str] | None, typer.Argument(help="Scenarios to run; none: list them.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="All peers in turn, so many times.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of each measurement.")] = 3,
    warm_up: Annotated[float, typer.Option(min=1, max=30, help="Seconds of load before each.")] = 1,
    attempts: Annotated[int, typer.Option(min=1, max=20, help="Repeats while others keep the machine busy.")] = 3,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for a quiet machine, all in all.")] = 120,
    peers: Annotated[str, typer.Option(help="Comma-separated names; empty: the usual ones.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    save: Annotated[bool, typer.Option(help="Keep the result under benchmarks/results.")] = True,
) -> None:
    """Run benchmarks: every peer in the same network, in turn, in one run."""
    if not scenarios:
        _list_scenarios()
        return
    if unknown := set(scenarios) - set(SCENARIOS):
        raise typer.BadParameter(f"no scenario {', '.join(sorted(unknown))}; there are: {', '.join(SCENARIOS)}")
    for program in ("wrk", "nginx"):
        if not find_program(program):
            sys.exit(f"{program} is not installed (a package of that name in Debian and Ubuntu)")
    if why := enter_or_explain(python_module("benchmarks", *sys.argv[1:])):
        sys.exit(why)
    chosen = choose_peers([name for name in peers.split(",") if name])
    effort = Effort(rounds, seconds, warm_up, attempts, patience_s=patience)
    for name in scenarios:
        result = run_scenario(SCENARIOS[name], chosen, effort, _tell)
        result.facts = facts.gather()
        if save:
            _save(result)
        if as_json:
            print(json.dumps(result.as_json(), ensure_ascii=False))
        else:
            Console(width=None if sys.stdout.isatty() else 150).print(rich_table(result))


if __name__ == "__main__":
    app()
