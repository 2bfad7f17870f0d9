"""The benchmark harness: what it makes of figures. (No test measures speed.)"""

from __future__ import annotations

import io
import json
import platform
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import facts
from benchmarks.goals import REASONS, Goal, placement_of
from benchmarks.load import Case
from benchmarks.peers import EVERY_PLACEMENT, USUAL, Direct, Protocol, known_peers, select
from benchmarks.result import FIGURES, Measurement, Result
from benchmarks.scenarios import IN_MEMORY, ON_THE_WIRE
from benchmarks.store import load_results, save_result
from benchmarks.tables import markdown, rich_table

CASE = "32 connections"
BASE = Measurement(CASE, "haproxy", 0, 1000.0, 80.0, 200.0, 300.0, 0, 15.0, 40.0, 0.0, 3000.0, 10_000_000)
GOALS = (Goal("rate", at_least=1.3), Goal("rate", at_least=1.1, placement="core"), Goal("cpu_us", at_most=0.75))


def result() -> Result:
    """Three peers over three rounds; the machine is twice as slow in the last, where all are."""
    cases = (Case(CASE, 32, goals=GOALS),)
    made = Result("http_keepalive", "HTTP keep-alive", "request", "haproxy", 3.0, cases, facts=facts.gather())
    for number, speed in enumerate((1.0, 1.0, 0.5)):
        base = replace(BASE, round=number, rate=1000 * speed)
        made.measurements += [base, replace(base, peer="ncore-1", rate=1200 * speed, cpu_us=9.0, errors=number)]
        made.measurements += [replace(base, peer="ncore-2-rss", rate=1400 * speed, cpu_us=12.0)]
    return made


def test_medians_and_ratios_within_rounds() -> None:
    base, mine, _ = result().summaries()
    assert (base.peer, base.rounds, base.median["rate"], base.ratio["rate"]) == ("haproxy", 3, 1000.0, 1.0)
    assert (mine.median["rate"], mine.median["errors"]) == (1200.0, 1.0)
    assert mine.ratio["rate"] == pytest.approx(1.2)
    assert mine.ratio["cpu_us"] == pytest.approx(0.6)
    assert set(mine.median) == set(FIGURES)


def test_ratio_is_left_out_where_the_base_has_nothing() -> None:
    assert "errors" not in result().summaries()[1].ratio


def test_goals_are_judged_by_the_best_appliance_without_errors() -> None:
    best, core, cpu = result().verdicts()
    assert (best.peer, best.is_met) == ("ncore-2-rss", True)
    assert best.ratio == pytest.approx(1.4)
    assert (core.peer, core.is_met) == ("ncore-1", True)  # it has errors, but is the only one in this placement
    assert (cpu.peer, cpu.is_met) == ("ncore-2-rss", False)  # the other one would do, but its answers were wrong


def test_goals_without_a_base_are_not_judged() -> None:
    made = result()
    made.measurements = [m for m in made.measurements if m.peer != "haproxy"]
    assert made.verdicts() == []


def test_goals_say_what_they_want() -> None:
    assert [str(goal) for goal in GOALS] == ["≥ 1.3 ×", "≥ 1.1 ×", "≤ 0.75 ×"]
    assert GOALS[2].is_met(0.75)
    assert not GOALS[0].is_met(1.29)
    assert placement_of("ncore-2") == "core"
    assert placement_of("ncore-2-per-core") == "per-core"


def test_result_as_json_and_tables() -> None:
    made = result()
    made.failures.append("nginx: not installed\nand more")
    values = json.loads(json.dumps(made.as_json()))
    assert values["medians"][1]["ratio"]["rate"] == pytest.approx(1.2)
    assert [verdict["reached"] for verdict in values["verdicts"]] == [True, True, False]
    table = markdown(made)
    assert f"| {CASE} | ncore-1 | 1,200 (1.20×) |" in table
    assert "3 rounds of 3 s each" in table
    assert "Left out: nginx: not installed." in table
    assert (
        f"- {CASE}, CPU/request: 0.80 × haproxy (ncore-2-rss), wanted ≤ 0.75 ×: not reached ([why]({REASONS}))" in table
    )
    console = Console(file=io.StringIO(), width=190, record=True)
    console.print(rich_table(made))
    assert "9.0 µs (0.60×)" in console.export_text()


def test_figures_that_say_nothing_have_no_column() -> None:
    assert "memory each" not in markdown(result())
    made = result()
    made.measurements = [replace(m, p50_us=0.0, memory_each=2_500.0) for m in made.measurements]
    head = markdown(made).splitlines()[0]
    assert "memory each" in head
    assert "p50" not in head


def test_results_are_kept(tmp_path: Path) -> None:
    save_result(result(), tmp_path)
    assert load_results(tmp_path)["http_keepalive"]["unit"] == "request"
    assert (tmp_path / "http_keepalive.md").read_text(encoding="utf-8").startswith("| case | peer |")


def test_facts_name_no_host_and_no_folder() -> None:
    text = json.dumps(facts.gather())
    assert platform.node() not in text
    assert str(Path.cwd()) not in text


def test_peers_are_known_by_name() -> None:
    assert set(EVERY_PLACEMENT) | {"haproxy-2", "ncore-1-splice"} == set(known_peers())
    assert known_peers()["ncore-1-splice"].missing(Protocol.HTTP) == "ncore-1-splice splices TCP vServers only"
    assert known_peers()["ncore-1-splice"].missing(Protocol.TCP) is None


def test_unknown_peers_are_named() -> None:
    with pytest.raises(ValueError, match="no peer squid; there are: direct"):
        select({"direct": Direct()}, ["direct", "squid"])


def test_scenarios_have_names_bases_and_goals_that_can_be_judged() -> None:
    assert not set(ON_THE_WIRE) & set(IN_MEMORY)
    for scenario in ON_THE_WIRE.values():
        assert scenario.base in scenario.peers
        assert set(scenario.peers) >= {"direct", "nginx", "ncore-2-rss"}
        assert set(USUAL) <= set(scenario.peers)
        for case in scenario.cases:
            assert case.goals
            assert {goal.figure for goal in case.goals} <= set(FIGURES)
