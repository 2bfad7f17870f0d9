"""The value that a right configuration becomes: defaults, overrides, and the way back to YAML."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from ncore_ray.config.load import dump, load, parse
from ncore_ray.config.model import (
    Appliance,
    Configuration,
    Driver,
    Endpoint,
    HttpMonitor,
    KeyField,
    Method,
    Nic,
    Protocol,
    TcpMonitor,
    Timeouts,
)
from ncore_ray.config.units import KIB, MIB, MILLISECOND, SECOND
from tests.support.configurations import configurations

ROOT = Path(__file__).parents[2]
MINIMAL = """
appliance: {name: edge}
nics: [{name: nc0, driver: memory, addresses: [10.1.0.10/24]}]
services: [{name: web1, address: "10.1.0.2:80"}]
vservers: [{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1]}]
"""


def test_defaults() -> None:
    configuration = parse(MINIMAL)
    assert configuration.appliance.engines == 1
    assert configuration.appliance.cores is None
    assert configuration.appliance.arena == 256 * MIB
    assert configuration.distribution.key == tuple(KeyField)
    assert configuration.timeouts.connect == 3 * SECOND
    assert configuration.timeouts.keepalive == 0
    assert configuration.tcp.delayed_ack == 40 * MILLISECOND
    assert configuration.limits.connections is None
    (nic,) = configuration.nics
    assert (nic.interface, nic.mtu, nic.gateway, nic.faults) == ("nc0", 1_500, None, None)
    assert nic.networks == (IPv4Network("10.1.0.0/24"),)
    (service,) = configuration.services
    assert service.monitor == TcpMonitor(interval=2 * SECOND, timeout=SECOND, fall=2, rise=1)
    (vserver,) = configuration.vservers
    assert vserver.method is Method.ROUNDROBIN
    assert vserver.protocol is Protocol.HTTP
    assert vserver.address == Endpoint(IPv4Address("10.1.0.100"), 80)
    assert vserver.http.max_header == 8 * KIB
    assert vserver.http.max_body is None


def test_the_form_of_the_issue() -> None:
    configuration = parse("""
appliance: {name: edge, engines: 2, cores: auto, arena: 256MiB}
distribution: {parallelism: flow, placement: core, algorithm: hash, key: [src-ip, src-port, dst-ip, dst-port, protocol]}
nics:
  - {name: nc0, driver: af_packet, addresses: [10.1.0.10/24]}
  - {name: nc1, driver: af_packet, addresses: [10.2.0.10/24], gateway: 10.2.0.1}
services:
  - {name: web1, address: "10.2.0.2:80"}
  - {name: web2, address: "10.2.0.3:80", weight: 2}
  - {name: db1, address: "10.2.0.4:5432"}
vservers:
  - {name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1, web2], method: roundrobin}
  - {name: db, address: "10.1.0.100:5432", protocol: TCP, services: [db1], method: leastconnection}
""")
    assert configuration.service("web2").weight == 2
    assert configuration.nics[1].gateway == IPv4Address("10.2.0.1")


def test_monitors() -> None:
    text = MINIMAL.replace('"10.1.0.2:80"', '"10.1.0.2:80", monitor: %s')
    assert parse(text % "none").services[0].monitor is None
    assert parse(text % "tcp").services[0].monitor == TcpMonitor()
    assert parse(text % "http").services[0].monitor == HttpMonitor(path="/", expect=(200, 399))
    full = "{type: http, path: /up, host: a.example, expect: 204, interval: 5s, timeout: 1500ms, fall: 3, rise: 2}"
    assert parse(text % full).services[0].monitor == HttpMonitor(
        path="/up",
        host="a.example",
        expect=(204, 204),
        interval=5 * SECOND,
        timeout=1_500 * MILLISECOND,
        fall=3,
        rise=2,
    )


def test_timeouts_of_a_vserver() -> None:
    own = "services: [web1], timeouts: {header: 2s, keepalive: off}"
    text = MINIMAL.replace("services: [web1]", own) + "timeouts: {connect: 1s, header: 5s, keepalive: 30s}\n"
    configuration = parse(text)
    assert configuration.timeouts_of(configuration.vservers[0]) == Timeouts(
        connect=SECOND, header=2 * SECOND, keepalive=0
    )
    assert configuration.timeouts.header == 5 * SECOND


def test_words_that_old_yaml_takes_for_switches_are_names() -> None:
    text = MINIMAL.replace("name: web1", "name: off").replace("[web1]", "[off]")
    assert parse(text).services[0].name == "off"


def test_a_mac_that_old_yaml_takes_for_a_number() -> None:
    text = MINIMAL.replace("driver: memory", "driver: memory, mac: 02:00:00:00:00:01")
    assert parse(text).nics[0].mac == "02:00:00:00:00:01"


def test_relative_paths_start_from_the_file(tmp_path: Path) -> None:
    text = MINIMAL.replace("driver: memory", "driver: pcap, input: in.pcap, trace: /var/trace.pcap")
    (tmp_path / "edge.yaml").write_text(text)
    nic = load(tmp_path / "edge.yaml").nics[0]
    assert nic.input == tmp_path / "in.pcap"
    assert nic.trace == Path("/var/trace.pcap")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "edge.yaml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load(tmp_path / "edge.yaml") == parse(MINIMAL)


def test_values_are_frozen_and_hashable() -> None:
    configuration = parse(MINIMAL)
    assert hash(configuration) == hash(parse(MINIMAL))
    with pytest.raises(ValidationError, match="frozen"):
        configuration.appliance.engines = 2


def test_made_in_python_it_is_checked_too() -> None:
    nic = Nic(name="nc0", driver=Driver.MEMORY, addresses=(IPv4Interface("10.1.0.10/24"),))
    with pytest.raises(ValidationError, match=r"nics\[1\].name: found \"nc0\", which is the name of nics\[0\] already"):
        Configuration(appliance=Appliance(name="edge"), nics=(nic, nic))


def test_tcp_and_udp_share_a_port() -> None:
    udp = '{name: dns, address: "10.1.0.100:80", protocol: UDP, services: [web1]}'
    assert len(parse(MINIMAL.replace("services: [web1]}", f"services: [web1]}}, {udp}")).vservers) == 2


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_configurations_of_the_project(path: Path) -> None:
    configuration = load(path)
    assert parse(dump(configuration)) == configuration


def test_the_demo() -> None:
    configuration = load(ROOT / "configs" / "demo.yaml")
    assert (configuration.appliance.name, configuration.appliance.engines) == ("demo", 2)
    assert [(nic.name, nic.netns) for nic in configuration.nics] == [("nc0", "ncore-demo"), ("nc1", "ncore-demo")]
    assert [str(vserver.address) for vserver in configuration.vservers] == ["10.1.0.100:80", "10.1.0.100:9000"]


def test_no_ray_and_no_numba_behind_the_model() -> None:
    code = "import sys, ncore_ray.config.load; print({'ray', 'numba', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(configurations())
def test_dump_and_parse_give_an_equal_value(data: dict[str, Any]) -> None:
    configuration = Configuration.model_validate(data)
    again = parse(dump(configuration))
    assert again == configuration
    assert dump(again) == dump(configuration)
