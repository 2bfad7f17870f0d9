"""The table of all goals, and how it gets into the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.goals import REASONS
from benchmarks.memory_scenario import MemoryResult, Target
from benchmarks.scenarios import IN_MEMORY, ON_THE_WIRE
from benchmarks.summary import fill, summary_rows, summary_table
from tests.benchmarks.test_results import result

ROOT = Path(__file__).parent.parent.parent
STAGES = MemoryResult(
    scenario="stages",
    title="Stages",
    headings=["stage", "ns"],
    rows=[["reader", "40"]],
    targets=[Target("distributor", "≥ 3 million packets/s", "4.0 million packets/s", True)],
    note="Read so.",
    figures={},
    facts=result().facts,
)


def results() -> dict[str, dict[str, Any]]:
    return {"stages": STAGES.as_json(), "http_keepalive": result().as_json()}


def test_a_row_for_each_goal_in_the_order_of_scenarios() -> None:
    rows = summary_rows(results(), [*ON_THE_WIRE, *IN_MEMORY])
    assert [row[-1] for row in rows] == ["yes", "yes", f"no ([why](docs/{REASONS}))", "yes"]
    assert rows[0][:4] == ["HTTP keep-alive, 32 connections", "requests/s", "1,400 (2-rss)", "1,000"]
    assert rows[0][4:8] == ["–", "–", "1.40 ×", "≥ 1.3 ×"]
    assert rows[1][1] == "requests/s, placement core"
    assert rows[3][:3] == ["Stages", "distributor", "4.0 million packets/s"]


def test_table_has_as_many_cells_as_headings() -> None:
    lines = summary_table(results(), ["http_keepalive", "stages"]).splitlines()
    assert len(lines) == 6
    assert len({line.count("|") for line in lines}) == 1


def test_memory_result_as_markdown() -> None:
    text = STAGES.markdown()
    assert text.startswith("| stage | ns |\n|---|---:|\n| reader | 40 |\n")
    assert "- distributor: 4.0 million packets/s, wanted ≥ 3 million packets/s: reached" in text


def test_contents_go_between_their_markers_again_and_again() -> None:
    page = "a\n<!-- bench:one -->\n<!-- /bench -->\nb\n<!-- bench:two -->\nold\n<!-- /bench -->\n"
    once = fill(page, {"one": "| x |\n"})
    assert once == "a\n<!-- bench:one -->\n| x |\n<!-- /bench -->\nb\n<!-- bench:two -->\nold\n<!-- /bench -->\n"
    assert fill(once, {"one": "| x |\n"}) == once


def test_pages_have_a_place_for_every_scenario() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name in ("summary", *ON_THE_WIRE, *IN_MEMORY):
        assert f"<!-- bench:{name} -->\n" in page
    assert "<!-- bench:summary -->\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_place_where_reasons_stand_is_there() -> None:
    page, anchor = REASONS.split("#")
    headings = [line for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    assert anchor in [line.lstrip("# ").lower().replace(",", "").replace(" ", "-") for line in headings]
