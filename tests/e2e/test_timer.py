"""Engines that breathe every 5 ms: everything works, and `stat` tells how well they keep the time."""

from __future__ import annotations

from tests.e2e.bed import Bed
from tests.e2e.load import assert_bytes

OPTIONS = {"engines": 2, "timer": "5ms"}


def test_load_is_byte_exact_and_breaths_are_counted(bed: Bed) -> None:
    assert_bytes(bed, 2, "--seconds", "5", "--requests", "200", "--connections", "30", "--rate", "0")
    before = bed.site.stat()["timers"]
    bed.wait(
        lambda: bed.site.stat()["timers"]["engine-0"]["instants"] > before["engine-0"]["instants"] + 20, "instants"
    )
    for timer in bed.site.stat()["timers"].values():
        assert timer["period_us"] == 5_000
        assert sum(timer["errors"]) == timer["instants"] > 20
