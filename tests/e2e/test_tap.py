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

WORKSTATION = Path(__file__).parents[2] / "configs" / "workstation.yaml"


@pytest.fixture
def host(namespaces: None) -> Iterator[Namespace]:
    """A host of its own, with loopback and nothing else."""
    namespace = Namespace(unique("tap"))
    namespace.create()
    namespace.netlink(lambda ip: ip.link("set", index=1, state="up"))
    yield namespace
    namespace.remove()


@pytest.mark.skipif(find_program("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("placement", "engines"), [("core", 1), ("per-core", 2)])
def test_curl_through_a_tap_device(
    host: Namespace, ray_node: str, tmp_path: Path, placement: str, engines: int
) -> None:
    tree = yaml.safe_load(WORKSTATION.read_text())
    tree["appliance"]["name"], tree["appliance"]["engines"] = unique("tap"), engines
    tree["distribution"] = {"placement": placement}
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
    finally:
        appliance.take_down()
        for server in servers:
            server.stop()
