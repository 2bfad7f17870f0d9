"""An appliance between real hosts: a living flow is explained, and an idle client is closed by a drain."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.lab.__main__ import start_origins
from ncore_ray.lab.network import VIP, Layout, Network
from ncore_ray.management.processes import wait_until

pytestmark = [
    pytest.mark.ray,
    pytest.mark.network,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("own_ray"),
]
DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
REQUEST = b"GET /bytes/%d?seed=1 HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def network(namespaces: None) -> Iterator[Network]:
    with Network(Layout(prefix=f"nctest{os.getpid()}", servers=3)) as network:
        start_origins(network)
        yield network


@pytest.fixture
def appliance(own_ray: Path, network: Network) -> Iterator[session.Appliance]:
    text = (
        DEMO.read_text().replace("ncore-demo", network.appliance.namespace.name).replace("demo,", "demo, arena: 64MiB,")
    )
    appliance = session.create(parse(text), "demo.yaml", detached=False)
    assert wait_until(lambda: set(appliance.ask("status")["services"].values()) == {"up"}, 20.0)
    yield appliance
    appliance.take_down()


def read(client: socket.socket, count: int) -> bytes:
    """Return a response with a body of ``count`` bytes."""
    found = b""
    while len(found.partition(b"\r\n\r\n")[2]) < count:
        part = client.recv(65536)
        assert part, found
        found += part
    return found


def test_a_living_flow_and_a_drain(network: Network, appliance: session.Appliance) -> None:
    client = network.client.namespace.call(lambda: socket.create_connection((VIP, 80), timeout=10))
    client.sendall(REQUEST % 10)
    assert read(client, 10).startswith(b"HTTP/1.1 200")
    source, port = client.getsockname()
    found = appliance.ask("explain_flow", source, port, VIP, 80, "tcp")
    assert (found["rule"], found["vserver"]) == ("flow", "www")
    assert found["connection"]["state"] == "ESTABLISHED"
    assert found["connection"]["engine"] == found["engine"]
    rows = [row for row in appliance.ask("flows") if row["role"] == "client"]
    assert [(row["remote"], row["vserver"]) for row in rows] == [(f"{source}:{port}", "www")]
    assert_idle_client_is_closed(network, appliance, client)


def assert_idle_client_is_closed(network: Network, appliance: session.Appliance, client: socket.socket) -> None:
    began_at = time.monotonic()
    assert appliance.ask("drain", 20.0) == 0
    assert time.monotonic() - began_at < 5.0
    assert client.recv(1) == b""  # the engine has closed it
    client.close()
    with pytest.raises(ConnectionRefusedError):
        network.client.namespace.call(lambda: socket.create_connection((VIP, 80), timeout=10))
