"""Each engine serves one NIC: all clients come in on the first, so the first engine has all of their flows."""

from __future__ import annotations

from tests.e2e.bed import BAD_NICS, Bed
from tests.e2e.load import assert_bytes

OPTIONS = BAD_NICS


def test_load_is_byte_exact_on_the_engine_of_the_clients_nic(bed: Bed) -> None:
    assert_bytes(bed, "--seconds", "5", "--requests", "300", "--connections", "30", "--rate", "0")
    found = bed.site.stat()["actors"]
    assert found["distributor"]["flows_created"] > 30
    assert found["distributor"]["live_flows_engine_1"] == 0
