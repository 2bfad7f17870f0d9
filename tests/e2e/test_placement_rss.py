"""Placement `rss`: a program in the kernel brings each flow to its engine."""

from __future__ import annotations

from tests.e2e.bed import RSS, Bed
from tests.e2e.load import assert_all_checks

OPTIONS = RSS


def test_load_passes_every_check_and_hardly_a_packet_is_handed_on(bed: Bed) -> None:
    before = bed.site.stat()["actors"]["distributor"]
    assert_all_checks(bed)
    after = bed.site.stat()["actors"]["distributor"]
    received = after["received_packets"] - before["received_packets"]
    assert after["redirected_packets"] - before["redirected_packets"] < 0.01 * received


def test_no_reader_and_no_distributor_are_needed(bed: Bed) -> None:
    kinds = sorted(row["kind"] for row in bed.appliance.ask("status")["actors"])
    assert kinds == ["ArenaOwner", "PacketEngine", "PacketEngine", "PacketEngine"]
