"""The files in `dashboards/`: made by the generator, laid out well, and about metrics that exist."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ncore_ray.dashboards import promql
from ncore_ray.dashboards.files import all_dashboards, text_of, write_all
from ncore_ray.errors import NcoreError
from ncore_ray.metrics.catalogue import CATALOGUE
from ncore_ray.metrics.metric import Metric

FOLDER = Path(__file__).parents[2] / "dashboards"
BOARDS = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
METRICS = {metric.exported: metric for metric in CATALOGUE}
NAME = re.compile(r"\b(ray_\w+)(?:\{([^}]*)\})?")
BY = re.compile(r"\bby \(([^)]*)\)")
WORDS = re.compile(r"\b[a-z_]+\b")
FUNCTIONS = {"sum", "max", "min", "avg", "count", "rate", "time", "timestamp", "topk", "scalar", "histogram_quantile"}
NAMES = sorted(BOARDS)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets(board: dict[str, Any]) -> list[dict[str, Any]]:
    return list(itertools.chain(*(panel["targets"] for panel in panels(board))))


def metrics_in(expression: str) -> list[tuple[Metric, str]]:
    """Return each metric that an expression names, with what stands in its braces. Raises KeyError."""
    return [(METRICS[name], braces) for name, braces in NAME.findall(expression)]


def faults_of(expression: str) -> list[str]:
    """Return what is wrong with an expression: metrics, labels and functions that are not there."""
    try:
        used = metrics_in(expression)
    except KeyError as error:
        return [f"no metric {error}"]
    labels = set(itertools.chain(*(metric.tag_keys for metric, _ in used)))
    faults = ["no metric at all"] * (not used)
    for metric, braces in used:
        found = re.findall(r"(\w+)=~?\"", braces)
        faults += [f"{metric.name} has no label {label}" for label in found if label not in metric.tag_keys]
        faults += [f"{metric.name} of any appliance"] * ('appliance="$appliance"' not in braces)
    for group in BY.findall(expression):
        faults += [f"no label {label}" for label in group.split(", ") if label not in labels]
    called = set(re.findall(r"\b(\w+) ?\(", re.sub(r'"[^"]*"', "", expression))) - {"by", "or"}
    return faults + [f"no function {name}" for name in called - FUNCTIONS]


def test_the_files_are_what_the_generator_makes() -> None:
    """If this fails: `ncore dashboards export dashboards`."""
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == {
        name: text_of(board) for name, board in all_dashboards().items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_expression_names_metrics_and_labels_that_exist(name: str) -> None:
    found = targets(BOARDS[name])
    assert found
    assert {target["expr"]: faults for target in found if (faults := faults_of(target["expr"]))} == {}


def test_the_lint_finds_faults() -> None:
    assert faults_of('sum (rate(ray_ncore_nothing_total{appliance="$appliance"}[5m]))') == [
        "no metric 'ray_ncore_nothing_total'"
    ]
    assert faults_of('ray_ncore_service_up{appliance="$appliance", vserver=~"x"}') == [
        "ncore_service_up has no label vserver"
    ]
    assert faults_of('max by (nic) (ray_ncore_service_up{appliance="$appliance"})') == ["no label nic"]
    assert faults_of("ray_ncore_service_up") == ["ncore_service_up of any appliance"]
    assert faults_of('ratte(ray_ncore_service_up{appliance="$appliance"})') == ["no function ratte"]


@pytest.mark.parametrize("name", NAMES)
def test_every_legend_names_a_label_that_its_expression_keeps(name: str) -> None:
    for target in targets(BOARDS[name]):
        kept = set(itertools.chain(*(group.split(", ") for group in BY.findall(target["expr"]))))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept, target["expr"]
        assert target["legendFormat"]


@pytest.mark.parametrize("name", NAMES)
def test_counters_are_shown_as_rates_and_gauges_are_not(name: str) -> None:
    for target in targets(BOARDS[name]):
        for metric, _ in metrics_in(target["expr"]):
            in_rate = re.search(rf"rate\({metric.exported}\{{", target["expr"]) is not None
            assert in_rate == metric.exported.endswith("_total"), target["expr"]


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_a_place_of_their_own_on_the_grid(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    numbers = [panel["id"] for panel in BOARDS[name]["panels"]]
    assert len(set(numbers)) == len(numbers)


def titles(board: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the titles of all panels, each with its row's."""
    row = ""
    found: list[tuple[str, str]] = []
    for panel in board["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        else:
            found.append((row, panel["title"]))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_has_a_title_a_unit_and_thresholds(name: str) -> None:
    board = BOARDS[name]
    assert f"{board['uid']}.json" == name
    assert board["panels"][0]["type"] == "row"
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert defaults["unit"]
        assert defaults["thresholds"]["steps"][0]["value"] is None
        assert [target["refId"] for target in panel["targets"]] == sorted({t["refId"] for t in panel["targets"]})
    assert len(set(titles(board))) == len(titles(board))


@pytest.mark.parametrize("name", NAMES)
def test_variables_are_declared_and_ask_for_metrics_that_exist(name: str) -> None:
    board = BOARDS[name]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(board["panels"])))
    assert used == set(variables)
    for variable in list(variables.values())[1:]:
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
        assert found is not None
        [(metric, _)] = metrics_in(found[1])
        assert found[2] == variable["name"]
        assert found[2] in metric.tag_keys


def test_expressions_about_what_does_not_exist_are_refused() -> None:
    with pytest.raises(KeyError):
        promql.rate("engine_nothing")
    with pytest.raises(ValueError, match="ncore_engine_sent_packets has no label nic"):
        promql.rate("engine_sent_packets", "nic")
    with pytest.raises(ValueError, match="ncore_service_up has no label actor"):
        promql.value("service_up", actor="x")
    with pytest.raises(ValueError, match="service_up is no counter"):
        promql.rate("service_up")


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NcoreError, match="file"):
        write_all(tmp_path / "file")
