"""The displays draw what they are given, at any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ncore_ray.lab.capability import explanation
from ncore_ray.lab.display import LiveDisplay, live_view
from ncore_ray.lab.look import bar, latency, size
from ncore_ray.lab.measure import Latency
from ncore_ray.lab.report import final_view
from ncore_ray.lab.rows import ActorRow, Check, DemoResult, EngineRow, LiveState, ServerRow

ENGINES = [EngineRow("engine-0", 0, 512, 7921, 1_240_211, 1_239_822, 0.63), EngineRow("engine-1", None, 0, 0, 0, 0)]
SERVERS = [ServerRow("web1", "10.2.0.2:80", 210, 5200), ServerRow("web2", "10.2.0.3:80", 0, 0, up=False)]


def live_state() -> LiveState:
    state = LiveState("demo", requests_total=1000, seconds_total=10.0, engines=ENGINES, servers=SERVERS)
    line = {"received_bytes": 9000, "sent_bytes": 10, "failures": 2, "open_connections": 3, "connections": 5}
    for step in (1, 2):
        state.take_progress({**line, "elapsed_s": step / 2, "requests": 100 * step, "p50_us": 700, "p99_us": 0})
    return state


def drawn(view: object, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(view)
    return console.export_text().splitlines()


def test_progress_lines_become_rates() -> None:
    state = live_state()
    assert (state.rate, state.done, state.p50_us, list(state.rates)) == (200.0, 0.2, 700, [200.0, 200.0])


@pytest.mark.parametrize("width", [100, 110, 120])
def test_live_view_is_whole_at_usual_widths(width: int) -> None:
    lines = drawn(live_view(live_state(), width), width)
    assert {len(line) for line in lines} == {width}
    text = "\n".join(lines)
    for word in ("engine-0", "1,240,211", "10.2.0.3:80", "200 requests/s", "20%"):
        assert word in text
    assert "…" not in text


@pytest.mark.parametrize("passed", [True, False])
def test_final_view_says_whether_all_checks_passed(passed: bool) -> None:
    actors = [ActorRow("distributor", "FlowDistributor", 4123, None, 152_462, 152_460, 2)]
    checks = [Check("every body arrived byte-exact", passed, "20,000 answers")]
    latencies = [Latency("all", 20000, 830, 2100, 4210, 190_000)]
    dashboard = "http://127.0.0.1:8265"
    result = DemoResult(ENGINES, SERVERS, actors, latencies, checks, 20_000, 1080, 10**9, 1, 13.2, dashboard)
    text = "\n".join(drawn(final_view(result), 110))
    assert ("all checks passed" in text, "a check failed" in text) == (passed, not passed)
    for word in ("20,000 requests on 1,080 connections", "152,462", "190 ms", "1.00 GB", dashboard):
        assert word in text
    assert "…" not in text


def test_live_display_on_a_file_does_not_fail() -> None:
    with LiveDisplay(Console(file=io.StringIO(), width=100)) as display:
        display.update(live_state())


def test_numbers_for_people() -> None:
    assert [latency(value) for value in (830, 4210, 190_000)] == ["830 µs", "4.21 ms", "190 ms"]
    assert [size(value) for value in (999, 1500, 2.5e6, 3e9)] == ["999 B", "1.5 KB", "2.5 MB", "3.00 GB"]
    assert [bar(share, 4).plain for share in (-1, 0, 0.5, 1, 2)] == ["····", "····", "██··", "████", "████"]


def test_explanation_is_one_sentence() -> None:
    assert explanation("no way").count(". ") == 0
    assert explanation("no way").endswith(".")
