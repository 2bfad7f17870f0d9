"""Four packet engines, and what happens when one of them dies."""

from __future__ import annotations

import os
import signal
import time

from tests.e2e.bed import Bed
from tests.e2e.kills import await_standby, process_of, said
from tests.e2e.load import assert_all_checks

OPTIONS = {"standbys": "auto", "engines": 4}


def test_load_passes_every_check(bed: Bed) -> None:
    assert_all_checks(bed)


def test_crash_of_an_engine_is_noticed_within_a_second_and_mended(bed: Bed) -> None:
    process = process_of(bed, "engine-2")
    bed.accountable = False
    await_standby(bed)
    killed_at = time.time()
    os.kill(process, signal.SIGKILL)
    bed.wait(lambda: said(bed, "failed"), "it is noticed")
    (event,) = (event for event in bed.appliance.ask("events") if "failed" in event["text"])
    assert event["at"] - killed_at < 1.0
    text = event["text"]
    assert "engine-2" in text
    assert str(process) in text
    bed.wait(lambda: bed.appliance.ask("status")["state"] == "running", "it is mended")
    assert_all_checks(bed)
