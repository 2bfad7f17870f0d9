"""An appliance at a TAP device, as in configs/workstation.yaml: the kernel's own curl and servers on the same host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ncore_ray.appliance import session
from ncore_ray.config.load import load
from ncore_ray.lab.namespace import Namespace
from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.process import Process, find_program, python_module
from tests.e2e.bed import unique
from tests.e2e.conftest import Beds

WORKSTATION = Path(__file__).parents[2] / "configs" / "workstation.yaml"


@pytest.fixture
def host(namespaces: None) -> Iterator[Namespace]:
    """A host of its own, with loopback and nothing else."""
    namespace = Namespace(unique("tap"))
    namespace.create()
    namespace.netlink(lambda ip: ip.link("set", index=1, state="up"))
    yield namespace
    namespace.remove()


REDIRECTED: dict[tuple[str, str], tuple[float, float]] = {
    ("core", "hash"): (0.0, 0.0),
    ("per-core", "hash"): (0.02, 0.98),
    ("rss", "hash"): (0.0, 0.01),
}
"""By placement and fanout: the least and the greatest share of packets that come to the wrong engine first."""


@pytest.mark.skipif(find_program("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("placement", "fanout"), REDIRECTED)
def test_curl_and_load_through_a_tap_device(
    host: Namespace, beds: Beds, tmp_path: Path, placement: str, fanout: str
) -> None:
    beds.close()
    tree = yaml.safe_load(WORKSTATION.read_text())
    tree["appliance"]["name"], tree["appliance"]["engines"] = unique("tap"), 2
    tree["distribution"] = {"placement": placement, "fanout": fanout}
    tree["nics"][0]["netns"] = host.name
    path = tmp_path / "workstation.yaml"
    path.write_text(yaml.safe_dump(tree))
    servers = []
    for port in (8001, 8002):
        line = python_module("ncore_ray.lab.origin", "--address", "0.0.0.0", "--name", f"app{port}")
        line += ["--port", str(port), "--raw-port", str(port + 1000)]
        servers.append(Process(line, namespace=host, log=tmp_path / f"{port}.log"))
        servers[-1].wait_port("127.0.0.1", port)
    appliance = session.create(load(path), str(path), detached=False)
    try:
        servers[0].wait_until(lambda: set(appliance.ask("status")["services"].values()) == {"up"}, "not up")
        for length in (10, 1_000_000):
            body = tmp_path / "body"
            line = ["curl", "-sS", "-m", "20", "-o", str(body), f"http://10.99.0.100/bytes/{length}?seed=4"]
            curl = Process(line, namespace=host, log=tmp_path / "curl.log")
            assert curl.wait(25) == 0, curl.log_tail()
            assert body.read_bytes() == patterned(4, length)
        line = python_module("ncore_ray.lab.client", "--http", "10.99.0.100:80", "--requests", "300")
        client = Process([*line, "--connections", "20", "--rate", "0"], namespace=host, log=tmp_path / "client.log")
        assert client.wait(60) == 0, client.log_tail()
        counters = appliance.ask("stat")["actors"]["distributor"]
        least, most = REDIRECTED[placement, fanout]
        assert least <= counters.get("redirected_packets", 0) / counters["received_packets"] <= most
        assert all(counters[f"forwarded_engine_{engine}_packets"] > 0 for engine in range(2))
    finally:
        appliance.take_down()
        for server in servers:
            server.stop()
