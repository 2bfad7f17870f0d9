"""One engine terminates the TCP of clients, two others serve them: the whole load, byte for byte."""

from __future__ import annotations

from ncore_ray.lab.network import VIP
from tests.e2e.bed import Bed
from tests.e2e.load import assert_bytes

OPTIONS = {"engines": 3, "distribution": "parallelism: functional, placement: per-core"}


def test_load_is_byte_exact_and_each_engine_does_its_part(bed: Bed) -> None:
    assert_bytes(bed, "--seconds", "5", "--requests", "300", "--connections", "30", "--rate", "0")
    engines = [bed.site.stat()["actors"][f"engine-{number}"] for number in range(3)]
    assert engines[0]["http_requests"] == 0
    assert min(engines[1]["http_requests"], engines[2]["http_requests"]) > 0
    assert engines[1]["connections_accepted"] == engines[2]["connections_accepted"] == 0
    assert engines[0]["virtual_connections_opened"] == sum(e["virtual_connections_accepted"] for e in engines)


def test_both_ends_of_a_client_are_shown(bed: Bed) -> None:
    connection = bed.connect(80)
    connection.sendall(b"GET /bytes/10 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    address, port = connection.getsockname()
    found = bed.appliance.ask("explain_flow", address, port, VIP, 80, "tcp")
    rows = [row for row in bed.appliance.ask("flows", 1_000) if row["remote"] == f"{address}:{port}"]
    ends = {row["role"]: (row["engine"], row["far_engine"]) for row in rows}
    server = found["application_engine"]
    assert ends == {"relayed": (0, server), "far": (0, server), "client": (server, 0)}
    assert found["engine"] == 0
    assert found["connection"]["role"] == "relayed"
    connection.close()
