"""A NIC that comes while the appliance works, and goes again: on the appliance of the tests of repair."""

from __future__ import annotations

from typing import Any

import pytest

from ncore_ray.errors import NcoreError
from ncore_ray.lab.host import mac_of
from ncore_ray.lab.process import python_module
from tests.e2e.bed import Bed
from tests.e2e.kills import Download, await_standby, kill, load_while, lost, said
from tests.e2e.test_repair import OPTIONS as REPAIR

OPTIONS = REPAIR
KILLS = True
ADDRESS = "10.3.0.2"


@pytest.fixture(scope="module")
def interface(bed: Bed) -> str:
    """A third interface of the appliance's host; the first server is on its network, too."""
    server = bed.network.servers[0]
    bed.network.appliance.connect("nc2", server, "eth1", mtu=1500, macs=(mac_of("10.3.0.10"), mac_of(ADDRESS)))
    server.add_address("eth1", ADDRESS)
    server.set_offloads("eth1", bed.network.layout.host_offloads)
    line = python_module("ncore_ray.lab.origin", "--address", ADDRESS, "--name", "far", "--port", "80")
    server.start(line, name="far", lifetime_s=600.0).wait_port(ADDRESS, 80)
    netns: str = bed.network.appliance.namespace.name
    return f"add nic nc2 driver=af_packet netns={netns} addresses=10.3.0.10/24"


def readers(bed: Bed) -> list[str]:
    return [row["name"] for row in bed.appliance.ask("status")["actors"] if row["kind"] == "NicReader"]


def requests_of(bed: Bed, service: str) -> int:
    """Return how many requests a service has got."""
    found: dict[str, Any] = bed.site.stat()["services"][service]
    return int(found["requests"])


def test_it_comes_carries_load_and_goes_without_a_lost_request(bed: Bed, interface: str) -> None:
    await_standby(bed)
    vip, downloads = bed.new_vip(), [Download(bed, 20_000_000)]

    def act() -> None:
        version = bed.appliance.ask("configure", "versions", 1)[0]["number"]
        bed.configure(
            interface,
            f"add service far address={ADDRESS}:80",
            "bind www far",
            f"add vserver far address={vip}:80 protocol=HTTP services=far",
        )
        assert readers(bed) == ["nic-nc0", "nic-nc1", "nic-nc2"]
        bed.wait(lambda: bed.curl(f"http://{vip}/health").status == 200, "the server beyond it answers")
        bed.wait(lambda: requests_of(bed, "far") > 50, "the load goes there, too", 20.0)
        downloads[0].start()
        bed.appliance.ask("configure", "rollback", version, "tester", "")
        bed.wait(lambda: said(bed, "nic-nc2 has ended"), "it has ended", 30.0)

    report = load_while(bed, act, "--connections", "20", "--seconds", "60", "--requests", "1000000")
    assert (report["requests"] > 200, lost(report)) == (True, 0)
    assert downloads[0].end().right, downloads[0].failure
    assert readers(bed) == ["nic-nc0", "nic-nc1"]
    counted = bed.site.stat()["actors"]["nic-nc2"]
    assert counted["received_packets"] == counted["returned_frames"] > 50


def test_one_that_cannot_be_opened_changes_nothing(bed: Bed, interface: str) -> None:
    before = bed.appliance.ask("configure", "versions", 1)[0]["number"]
    with pytest.raises(NcoreError, match="nc9"):
        bed.configure(interface.replace("nic nc2", "nic nc9"))
    assert bed.appliance.ask("configure", "versions", 1)[0]["number"] == before
    assert readers(bed) == ["nic-nc0", "nic-nc1"]


def test_it_comes_again_and_its_reader_is_replaced_like_any(bed: Bed, interface: str) -> None:
    add = f"add vserver again address={bed.new_vip()}:80 protocol=HTTP services=far2"
    vip = add.split("address=")[1].split(":")[0]
    with bed.changed(interface, f"add service far2 address={ADDRESS}:80", add):
        bed.wait(lambda: bed.curl(f"http://{vip}/health").status == 200, "the server beyond it answers")
        kill(bed, "nic-nc2")
        kill(bed, "engine-0")
        answers = [bed.curl(f"http://{vip}/bytes/1000?seed=1").status for _ in range(8)]
        assert answers == [200] * 8
    bed.wait(lambda: len(said(bed, "nic-nc2 has ended")) == 2, "it has ended", 30.0)
