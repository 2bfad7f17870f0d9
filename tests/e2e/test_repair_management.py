"""A management that is killed: the data plane does not notice, and a new one goes on with the actors that live."""

from __future__ import annotations

import os
import signal
import time

from ncore_ray.errors import NcoreError
from tests.e2e.bed import Bed
from tests.e2e.kills import kill, load_while, lost, said

OPTIONS = {"standbys": "auto", "engines": 2, "detached": True}


def _is_back(bed: Bed, former: int) -> bool:
    try:
        found = bed.appliance.ask("status", timeout_s=2.0)
    except NcoreError:
        return False
    return bool(found["process"] != former and found["state"] == "running")


def test_the_data_plane_does_not_notice(bed: Bed) -> None:
    bed.accountable = False
    kill(bed, "engine-0")
    before = bed.appliance.ask("status")

    def act() -> None:
        time.sleep(1)
        killed_at = time.monotonic()
        os.kill(before["process"], signal.SIGKILL)
        bed.wait(lambda: _is_back(bed, before["process"]), "a new management answers", 60.0)
        print(f"a new management after {time.monotonic() - killed_at:.1f} s")

    report = load_while(bed, act, "--connections", "40", "--seconds", "8")
    assert lost(report) == 0
    after = bed.appliance.ask("status")
    assert [row["process"] for row in after["actors"]] == [row["process"] for row in before["actors"]]
    assert after["since"] == before["since"]
    assert [row["restarts"] for row in after["actors"]] == [row["restarts"] for row in before["actors"]]
    assert said(bed, "began anew")


def test_the_new_one_repairs(bed: Bed) -> None:
    kill(bed, "engine-1")
    kill(bed, "engine-0")
    assert lost(load_while(bed, lambda: None, "--connections", "20", "--seconds", "2")) == 0
