"""A living flow is explained, and its idle client is closed when the appliance is drained."""

from __future__ import annotations

import time

import pytest

from ncore_ray.lab.network import VIP
from tests.e2e.bed import TIMER, Bed

OPTIONS = TIMER
KILLS = True
"""A drained appliance serves nobody any more."""


def test_a_living_flow_and_a_drain(bed: Bed) -> None:
    with bed.connect(80) as client, client.makefile("rb") as stream:
        client.sendall(b"GET /bytes/10?seed=1 HTTP/1.1\r\nHost: test\r\n\r\n")
        assert stream.readline().startswith(b"HTTP/1.1 200")
        while stream.readline() != b"\r\n":
            pass
        assert len(stream.read(10)) == 10
        source, port = client.getsockname()
        found = bed.appliance.ask("explain_flow", source, port, VIP, 80, "tcp")
        assert (found["rule"], found["vserver"]) == ("flow", "www")
        assert found["connection"]["state"] == "ESTABLISHED"
        assert found["connection"]["engine"] == found["engine"]
        rows = [row for row in bed.appliance.ask("flows") if row["remote"] == f"{source}:{port}"]
        assert [(row["role"], row["vserver"]) for row in rows] == [("client", "www")]
        began_at = time.monotonic()
        assert bed.appliance.ask("drain", 20.0) == 0
        assert time.monotonic() - began_at < 5.0
        assert stream.read(1) == b""  # the engine has closed it
    with pytest.raises(ConnectionRefusedError):
        bed.connect(80)
