"""Four packet engines, and what happens when one of them dies."""

from __future__ import annotations

import os
import signal
import time

from tests.e2e.bed import Bed
from tests.e2e.load import assert_all_checks

OPTIONS = {"engines": 4}


def test_load_passes_every_check(bed: Bed) -> None:
    assert_all_checks(bed)


def test_crash_of_an_engine_is_noticed_within_a_second_and_said(bed: Bed) -> None:
    row = next(row for row in bed.appliance.ask("status")["actors"] if row["name"] == "engine-2")
    bed.accountable = False
    killed_at = time.monotonic()
    os.kill(row["process"], signal.SIGKILL)
    bed.wait(lambda: bed.appliance.ask("status")["state"] == "degraded", "it is noticed")
    assert time.monotonic() - killed_at < 1.0
    said = [event["text"] for event in bed.appliance.ask("events") if event["level"] == "error"]
    assert len(said) == 1
    assert "engine-2" in said[0]
    assert str(row["process"]) in said[0]
