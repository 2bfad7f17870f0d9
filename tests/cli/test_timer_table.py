"""How `ncore stat` shows the packet processing timer."""

from __future__ import annotations

from rich.console import Console

from ncore_ray.cli.timer_table import timer_tables


def drawn(errors: list[int]) -> str:
    timer = {"period_us": 5_000, "instants": sum(errors), "missed_instants": 3, "errors": errors}
    timer |= {"error_mean_us": 61.3, "error_p95_us": 127, "error_max_us": 1_250}
    console = Console(width=120)
    with console.capture() as capture:
        console.print(*timer_tables({"engine-0": timer, "engine-1": timer}))
    return capture.get()


def test_table_has_period_errors_and_histogram() -> None:
    text = drawn([0, 0, 0, 0, 0, 0, 60, 0, 20, *[0] * 10, 20])
    for part in ("5 ms", "127 µs = 2.5 %", "1,250 µs = 25.0 %", "32 to 63 µs", "64 to 127 µs", "262,144 µs and more"):
        assert part in text
    assert "60 █████░░░  60.0 %" in text
    assert "16 to 31 µs" not in text


def test_nothing_yet_and_no_timer() -> None:
    assert "5 ms" in drawn([0] * 20)
    assert timer_tables({}) == []
