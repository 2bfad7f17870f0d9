"""Engines that breathe every 5 ms, and metrics: on Ray's page, in a Prometheus, in every panel of every dashboard."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.util.state import list_actors

from ncore_ray.dashboards.files import all_dashboards
from tests.e2e import prometheus
from tests.e2e.bed import TIMER, Bed
from tests.e2e.load import assert_bytes
from tests.e2e.prometheus import Prometheus
from tests.support.command import data, ncore

OPTIONS = TIMER
FIRST = True
WAIT_S = 60.0
VARIABLES = {"$__rate_interval": "30s", "$actor": ".*", "$vserver": ".*", "$service": ".*"}


@pytest.fixture(scope="module")
def scraper(bed: Bed) -> Iterator[Prometheus]:
    """A Prometheus with the configuration that `ncore metrics` prints, after some traffic."""
    if prometheus.MISSING:
        pytest.skip("prometheus is not installed")
    folder = bed.folder / "prometheus"
    folder.mkdir()
    printed = ncore("metrics", "--prometheus", "--interval", "2s")
    assert printed.exit_code == 0
    with prometheus.running(printed.stdout, folder) as made:
        bed.wait(lambda: made.query("ray_ncore_vserver_requests_total"), "the first counters", WAIT_S)
        assert_bytes(bed, "--seconds", "3", "--requests", "200", "--connections", "30", "--rate", "0")
        yield made


def test_load_is_byte_exact_and_breaths_are_counted(bed: Bed) -> None:
    assert_bytes(bed, "--seconds", "5", "--requests", "200", "--connections", "30", "--rate", "0")
    before = bed.site.stat()["timers"]
    bed.wait(
        lambda: bed.site.stat()["timers"]["engine-0"]["instants"] > before["engine-0"]["instants"] + 20, "instants"
    )
    for timer in bed.site.stat()["timers"].values():
        assert timer["period_us"] == 5_000
        assert sum(timer["errors"]) == timer["instants"] > 20


def expressions(bed: Bed) -> list[tuple[str, str]]:
    """Return the title and the expression of every query of every panel, as Grafana would ask it."""
    panels = itertools.chain(*(board["panels"] for board in all_dashboards().values()))
    return [
        (f"{panel['title']}: {target['expr']}", resolved(target["expr"], bed))
        for panel in panels
        for target in panel.get("targets", ())
    ]


def resolved(expression: str, bed: Bed) -> str:
    for name, value in {"$appliance": bed.appliance.name, **VARIABLES}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_every_panel_has_data(bed: Bed, scraper: Prometheus) -> None:
    waiting = dict(expressions(bed))
    assert len(waiting) > 80

    def all_answered() -> bool:
        bed.curl("/health")  # a quantile needs requests within the interval, however late a page comes
        for title in [title for title, expression in waiting.items() if scraper.query(expression)]:
            del waiting[title]
        return not waiting

    try:
        bed.wait(all_answered, "data in every panel", WAIT_S)
    except AssertionError:
        assert list(waiting) == []
        raise


def test_totals_are_those_of_the_appliance_to_the_unit(bed: Bed, scraper: Prometheus) -> None:
    """No client runs any more: what was counted for clients stands still."""
    fields = ("requests", "received_bytes", "sent_bytes")
    stat = bed.site.stat()["vservers"]
    expected = {(name, field): row[field] for name, row in stat.items() for field in fields}
    assert expected["www", "requests"] > 100
    assert expected["raw", "sent_bytes"] > 0

    def shown() -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        for field in fields:
            series = f'ray_ncore_vserver_{field}_total{{appliance="{bed.appliance.name}"}}'
            found |= {
                (labels["vserver"], field): value for labels, value in scraper.query(f"max by (vserver) ({series})")
            }
        return found

    bed.wait(lambda: shown() == expected, "the same totals", WAIT_S)


def test_choices_of_the_dashboards_are_labels_that_exist(bed: Bed, scraper: Prometheus) -> None:
    for board in all_dashboards().values():
        for variable in board["templating"]["list"][1:]:
            series, label = resolved(variable["definition"], bed).removeprefix("label_values(").rstrip(")").split(", ")
            found: list[dict[str, Any]] = scraper.ask("series", **{"match[]": series})
            assert {row.get(label) for row in found} - {None}, variable["definition"]


def test_the_page_and_the_file_are_shown(bed: Bed) -> None:
    found = data("metrics")
    assert found["pages"] == [bed.appliance.ask("status")["metrics"]]
    assert found["pages"][0] in ncore("status", bed.appliance.name).stdout


def test_actors_have_names_that_read_well(bed: Bed) -> None:
    address = ray._private.worker.get_dashboard_url()
    rows = list_actors(address=f"http://{address}", detail=True, filters=[("state", "=", "ALIVE")])
    mine = {row.name: row.repr_name for row in rows if row.name and row.name.startswith(f"{bed.appliance.name}/")}
    parts = ("arena", "distributor", "engine-0", "engine-1", "management", "nic-nc0", "nic-nc1")
    assert mine == {f"{bed.appliance.name}/{part}": f"{bed.appliance.name}/{part}" for part in parts}
