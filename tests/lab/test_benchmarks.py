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
from benchmarks.harness import FIGURES, Measurement, Result
from benchmarks.peers import HAProxy, Nginx, known_peers
from benchmarks.tables import markdown, rich_table
from benchmarks.wrk import parse

BASE = Measurement("32 connections", "haproxy", 0, 1000.0, 80.0, 200.0, 300.0, 0, 15.0, 40.0, 0.0, 3000.0, 10_000_000)


def result() -> Result:
    """Two peers over three rounds; the machine is twice as slow in the last, where both are."""
    made = Result("http_keepalive", "HTTP keep-alive", "request", "haproxy", 3.0, facts=facts.gather())
    for number, speed in enumerate((1.0, 1.0, 0.5)):
        base = replace(BASE, round=number, rate=1000 * speed)
        made.measurements += [base, replace(base, peer="appliance", rate=1200 * speed, cpu_us=9.0, errors=number)]
    return made


def test_medians_and_ratios_within_rounds() -> None:
    base, mine = result().summaries()
    assert (base.peer, base.rounds, base.median["rate"], base.ratio["rate"]) == ("haproxy", 3, 1000.0, 1.0)
    assert (mine.median["rate"], mine.median["errors"]) == (1200.0, 1.0)
    assert mine.ratio["rate"] == pytest.approx(1.2)
    assert mine.ratio["cpu_us"] == pytest.approx(0.6)
    assert set(mine.median) == set(FIGURES)


def test_ratio_is_left_out_where_the_base_has_nothing() -> None:
    assert "errors" not in result().summaries()[1].ratio


def test_result_as_json_and_tables() -> None:
    made = result()
    assert json.loads(json.dumps(made.as_json()))["medians"][1]["ratio"]["rate"] == pytest.approx(1.2)
    table = markdown(made)
    assert "| 32 connections | appliance | 1,200 (1.20×) |" in table
    assert "3 rounds of 3 s each" in table
    console = Console(file=io.StringIO(), width=150, record=True)
    console.print(rich_table(made))
    assert "9.0 µs (0.60×)" in console.export_text()


def test_facts_name_no_host_and_no_folder() -> None:
    text = json.dumps(facts.gather())
    assert platform.node() not in text
    assert str(Path.cwd()) not in text


def test_wrk_figures_are_read() -> None:
    line = '{"requests":300,"microseconds":2000000,"bytes":9,"errors":1,"p50":80,"p99":99,"p999":120,"max":500}'
    found = parse(f"Running 2s test\nFIGURES {line}\n", 0.5)
    assert (found.requests_per_s, found.errors, found.p999_us, found.cpu_seconds) == (150.0, 1, 120, 0.5)


def test_output_without_figures_is_an_error() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 10.1.0.100:80")


@pytest.mark.parametrize("peer", [HAProxy(), Nginx()])
def test_proxies_keep_connections_to_every_service(peer: HAProxy | Nginx) -> None:
    text = peer.configuration(Path("folder"), ["10.2.0.2:80", "10.2.0.3:80"])
    for word in ("10.2.0.2:80", "10.2.0.3:80", "10.1.0.100:80"):
        assert word in text
    assert "http-reuse always" in text or "keepalive 1024" in text


def test_peers_are_known_by_name() -> None:
    assert {"direct", "haproxy", "nginx"} <= set(known_peers())
