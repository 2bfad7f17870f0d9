"""The transparent form on a whole appliance: two kernels talk through it, with large packets; clients use its VIP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.lab.__main__ import start_origins
from ncore_ray.lab.network import Layout, Network
from ncore_ray.lab.offload import KERNEL_DEFAULT
from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.process import find_program
from tests.e2e.bed import unique

pytestmark = pytest.mark.skipif(find_program("curl") is None, reason="curl is not installed")
LENGTH = 20_000_000
TEXT = """
appliance: {{name: {name}, engines: 2, arena: 96MiB, standbys: 0}}
nics:
  - {{name: nc0, driver: af_packet, netns: {netns}, addresses: [10.1.0.10/24], bridge: nc1}}
  - {{name: nc1, driver: af_packet, netns: {netns}, addresses: [10.2.0.10/24], bridge: nc0}}
services: [{{name: web1, address: "10.2.0.2:80"}}]
vservers: [{{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1]}}]
"""


@pytest.fixture(scope="module")
def joined(namespaces: None, ray_node: str) -> Iterator[tuple[Network, session.Appliance]]:
    """The client has an address in the servers' network too, which it reaches through the appliance."""
    name = unique("brdg")
    with Network(Layout(prefix=name, servers=1, host_offloads=KERNEL_DEFAULT)) as network:
        network.client.add_address("eth0", "10.2.0.77")
        start_origins(network)
        appliance = session.create(
            parse(TEXT.format(name=name, netns=network.appliance.namespace.name)), name, detached=False
        )
        try:
            yield network, appliance
        finally:
            appliance.take_down()


@pytest.mark.parametrize("url", [f"http://10.2.0.2/bytes/{LENGTH}?seed=3", f"http://10.1.0.100/bytes/{LENGTH}?seed=3"])
def test_both_ways_lead_through_the_appliance(
    joined: tuple[Network, session.Appliance], tmp_path: Path, url: str
) -> None:
    network, appliance = joined
    body = tmp_path / "body"
    line = ["curl", "-sS", "-m", "30", "--retry", "5", "--retry-all-errors", "-o", str(body), url]
    curl = network.client.start(line, name="curl", lifetime_s=40)
    assert curl.wait(40) == 0, curl.log_tail()
    assert body.read_bytes() == patterned(3, LENGTH)
    actors = appliance.ask("stat")["actors"]
    rows = [row for actor, row in actors.items() if actor.startswith("engine-")]
    assert sum(row["bridged_packets"] for row in rows) > 100
    assert sum(row["drop_bridge_packets"] for row in rows) == 0
