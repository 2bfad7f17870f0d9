"""The configuration changes under load: no request fails, and every frame is accounted for."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

from ncore_ray.lab.network import VIP
from ncore_ray.lab.process import Process, python_module
from tests.e2e.bed import Bed


def served(bed: Bed, service: str) -> int:
    """Return how many requests a service has got."""
    number: int = bed.appliance.ask("stat")["services"][service]["requests"]
    return number


@contextlib.contextmanager
def load(bed: Bed, *options: str) -> Iterator[Process]:
    """Send requests until the changes are made, and some more; none of them may fail."""
    line = python_module("ncore_ray.lab.client", "--http", f"{VIP}:80", "--tcp", f"{VIP}:9000", *options)
    client = bed.client.start(line, name="load", lifetime_s=100, read_output=True)
    before = served(bed, "web1")
    bed.wait(lambda: served(bed, "web1") > before + 20, "requests flow")
    try:
        yield client
        assert client.returncode is None, "the load has ended before the changes were made"
    except BaseException:
        client.stop()
        raise
    client.ask_to_end()
    report = [json.loads(text) for text in client.lines()][-1]
    client.wait(10)
    assert report["failures"] == {}, report["examples"]
    assert report["requests"] > 200


def test_the_configuration_changes_under_load(bed: Bed) -> None:
    vip = bed.new_vip()
    options = ("--seconds", "60", "--requests", "1000000", "--connections", "40", "--rate", "400")
    with bed.changed(), load(bed, *options):
        bed.configure("set service web1 weight=3", "set vserver www timeouts.header=5s")
        bed.configure("add service web3 address=10.2.0.2:8081 monitor=none", "set vserver raw method=roundrobin")
        before = served(bed, "web2")
        bed.configure("unbind www web2", "unbind turns web2", "unbind raw raw2", "rm service web2", "rm service raw2")
        time.sleep(1)  # traffic goes by
        gone = [row for row in bed.appliance.ask("stat")["services"] if row in ("web2", "raw2")]
        assert (gone, before > 0) == ([], True)
        bed.configure(f"add vserver new address={vip}:80 protocol=HTTP services=web1")
        assert bed.curl(f"http://{vip}/health").status == 200
        bed.configure("add service web2 address=10.2.0.3:80 monitor=none", "bind www web2")
        before = served(bed, "web2")
        bed.wait(lambda: served(bed, "web2") > before + 20, "the service works again")
        bed.configure("rm vserver new", "rm service web3")
        assert_kept_in_versions(bed)
    assert bed.curl("/health").status == 200
    assert bed.curl(f"http://{vip}/health", timeout_s=3).status == 0


def assert_kept_in_versions(bed: Bed) -> None:
    versions = bed.appliance.ask("configure", "versions", 100)
    assert [version["number"] for version in versions] == list(range(len(versions), 0, -1))
    assert versions[-1]["comment"].startswith("built from ")
    assert {version["author"] for version in versions[:-1]} == {"tester"}
    assert versions[0]["commands"] == ["rm vserver new", "rm service web3"]


def test_a_change_that_needs_a_restart_changes_nothing(bed: Bed) -> None:
    before = bed.appliance.ask("configuration")
    preview = bed.appliance.ask("configure", "preview", before.replace("engines: 2", "engines: 3"), "x")
    assert preview["commands"] == ["set appliance engines=3"]
    assert preview["restart"][0].startswith("appliance.engines=3 needs a restart")
    assert bed.appliance.ask("configuration") == before
