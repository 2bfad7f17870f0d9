"""The test bed's network: what it looks like, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ncore_ray.lab.guard import PrefixInUseError
from ncore_ray.lab.namespace import Namespace, namespaces_of
from ncore_ray.lab.network import Layout, Network
from ncore_ray.lab.offload import Offloads
from ncore_ray.lab.process import Process, ProcessError, port_answers, python_function, python_module

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("namespaces")]


def test_hosts_have_large_frames_off_and_checksum_offload_on(forwarding_network: Network) -> None:
    for host in (forwarding_network.client, *forwarding_network.servers):
        assert host.offloads("eth0") == Offloads(tx_checksum=True, tso=False, gso=False, gro=False)


def test_no_device_merges_received_frames(forwarding_network: Network) -> None:
    for device in ("nc0", "nc1"):
        assert not forwarding_network.appliance.offloads(device).gro


def test_tcp_reaches_servers_through_forwarding(forwarding_network: Network) -> None:
    for server in forwarding_network.servers:
        line = [sys.executable, "-m", "http.server", "--bind", server.address, "80"]
        server.start(line, name="http", lifetime_s=60).wait_port(server.address, 80)
        assert port_answers(forwarding_network.client.namespace, server.address, 80)


def test_appliance_kernel_owns_no_address_without_forwarding(prefix: str) -> None:
    with Network(Layout(prefix=prefix, servers=1)) as network:
        owned = network.appliance.namespace.netlink(
            lambda ip: [message.get_attr("IFA_ADDRESS") for message in ip.get_addr()]
        )
        mtus = network.appliance.namespace.netlink(lambda ip: [link.get("mtu") for link in ip.get_links()])
    assert owned == ["127.0.0.1"]
    assert mtus[1:] == [1500, 1500]


def test_mtu_is_that_of_the_layout(prefix: str) -> None:
    with Network(Layout(prefix=prefix, servers=1, mtu=1400)) as network:
        for host in network.hosts:
            links = host.namespace.netlink(lambda ip: ip.get_links())
            assert {link.get("mtu") for link in links if link.get("ifname") != "lo"} == {1400}


def test_exception_leaves_no_namespace(prefix: str) -> None:
    started: list[Process] = []

    def build_and_fail() -> None:
        with Network(Layout(prefix=prefix, servers=1)) as network:
            started.append(network.client.start(["sleep", "60"]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build_and_fail()
    assert namespaces_of(prefix) == []
    assert not started[0].log.parent.exists()
    assert started[0].returncode == -signal.SIGTERM


def hear_all_signals() -> None:
    """Heed what the suite itself may have been told to ignore: `nohup` does so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start_builder(prefix: str) -> subprocess.Popen[bytes]:
    """Start a program that builds a network with one server, and wait until it stands."""
    line = python_module("ncore_ray.lab", "--prefix", prefix, "--servers", "1")
    child = subprocess.Popen(line, stdout=subprocess.PIPE, preexec_fn=hear_all_signals)
    assert child.stdout is not None
    assert b"/health" in child.stdout.readline()
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_leaves_no_namespace_and_no_process(number: signal.Signals, prefix: str) -> None:
    with start_builder(prefix) as child:
        sleepers = Namespace(f"{prefix}-web1").processes()
        assert len(namespaces_of(prefix)) == 4
        child.send_signal(number)
        child.wait(20)
    assert namespaces_of(prefix) == []
    assert len(sleepers) == 1
    assert not Path(f"/proc/{sleepers[0]}").exists()


def test_next_run_removes_what_a_killed_one_left(prefix: str) -> None:
    with start_builder(prefix) as child:
        child.kill()
        child.wait(20)
    assert namespaces_of(prefix) != []
    with Network(Layout(prefix=prefix, servers=1)):
        pass
    assert namespaces_of(prefix) == []


def test_second_network_of_a_living_prefix_is_refused(prefix: str) -> None:
    with Network(Layout(prefix=prefix, servers=1)) as network:
        with pytest.raises(PrefixInUseError, match=str(os.getpid())), Network(Layout(prefix=prefix)):
            pass
        assert network.client.namespace.exists()


def test_error_in_a_namespace_reaches_the_caller(prefix: str) -> None:
    with Network(Layout(prefix=prefix, servers=1)) as network, pytest.raises(OSError, match="no device"):
        network.client.set_up("nothing")


def test_failed_program_is_reported_with_its_last_words(prefix: str) -> None:
    with Network(Layout(prefix=prefix, servers=1)) as network:
        failing = network.client.start([sys.executable, "-c", "raise SystemExit('out of cheese')"])
        with pytest.raises(ProcessError, match="out of cheese"):
            failing.wait_port("127.0.0.1", 80)


def test_function_runs_inside(prefix: str) -> None:
    with Network(Layout(prefix=prefix, servers=1)) as network:
        where = network.folder / "made"
        call = network.client.start(python_function(os.mkdir, str(where)), name="call")
        assert call.wait(10) == 0, call.log_tail()
        assert where.is_dir()


def test_program_is_killed_at_the_end_of_its_lifetime(prefix: str) -> None:
    with Network(Layout(prefix=prefix, servers=1)) as network:
        assert network.client.start(["sleep", "60"], lifetime_s=0.3).wait(10) == -signal.SIGKILL
