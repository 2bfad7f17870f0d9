"""Placement `per-core` with faults: every engine injects them in its own queues, engine 0 in what is sent."""

from __future__ import annotations

from tests.e2e.bed import BAD_NICS, Bed
from tests.e2e.load import assert_bytes

OPTIONS = BAD_NICS


def test_every_answer_is_byte_exact(bed: Bed) -> None:
    report = assert_bytes(bed, "--seconds", "10", "--requests", "300", "--connections", "30", "--rate", "0")
    assert report["requests"] > 50
    for nic in ("nic-nc0", "nic-nc1"):
        counters = bed.site.stat()["actors"][nic]
        assert sum(value for name, value in counters.items() if "fault" in name) > 0
