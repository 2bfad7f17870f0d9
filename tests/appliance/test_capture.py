"""A capture in, a capture out, through a whole appliance: ARP, ICMP echo and SYNs for a VIP are answered."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.lab.dry.packets import ethernet, internet_checksum, ip_bytes, ipv4, tcp
from ncore_ray.management.processes import wait_until
from ncore_ray.nic.capture import CaptureWriter, read_capture

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600), pytest.mark.usefixtures("own_ray")]

CLIENT_MAC, NIC_MAC, ALL = 0x0200_0000_0001, 0x0200_0000_0002, (1 << 48) - 1
CLIENT, VIP = "10.1.0.2", "10.1.0.100"
TEXT = """
appliance: {{name: capture, engines: 2, arena: 64MiB}}
distribution: {{{1}}}
nics:
  - name: nc0
    driver: pcap
    mac: "02:00:00:00:00:02"
    addresses: [10.1.0.10/24]
    input: {0}/in.pcap
    output: {0}/out.pcap
services: [{{name: web, address: "10.1.0.3:80", monitor: none}}]
vservers: [{{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web]}}]
limits: {{connections: 1000}}
"""


def mac(number: int) -> bytes:
    return number.to_bytes(6, "big")


def arp(operation: int, sender: tuple[int, str], target: tuple[int, str]) -> bytes:
    ends = b"".join(mac(number) + ip_bytes(address) for number, address in (sender, target))
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + ends


def echo(kind: int, data: bytes) -> bytes:
    head = struct.pack(">BBHHH", kind, 0, 0, 7, 1)
    total = internet_checksum(head + data)
    return struct.pack(">BBHHH", kind, 0, total, 7, 1) + data


def counted(appliance: session.Appliance, name: str) -> int:
    """Return the sum of a counter over the engines."""
    actors = appliance.ask("stat")["actors"]
    return sum(int(row[name]) for actor, row in actors.items() if actor.startswith("engine-"))


def test_arp_and_echo_are_answered(tmp_path: Path) -> None:
    question = ethernet(arp(1, (CLIENT_MAC, CLIENT), (0, VIP)), 0x0806, ALL, CLIENT_MAC)
    ping = ethernet(ipv4(CLIENT, VIP, 1, echo(8, b"golden" * 5)), 0x0800, NIC_MAC, CLIENT_MAC)
    with CaptureWriter(tmp_path / "in.pcap") as capture:
        capture.write(1_000_000, question.ljust(60, b"\0"))
        capture.write(1_000_500, ping)
    appliance = session.create(parse(TEXT.format(tmp_path, "")), "test", detached=False)
    assert wait_until(lambda: counted(appliance, "echo_replies") >= 1, 20.0)
    appliance.take_down()
    sent = [packet.data for packet in read_capture(tmp_path / "out.pcap")]
    answer = ethernet(arp(2, (NIC_MAC, VIP), (CLIENT_MAC, CLIENT)), 0x0806, CLIENT_MAC, NIC_MAC)
    assert any(packet.startswith(answer) for packet in sent)
    pong = next(packet for packet in sent if packet[12:14] == b"\x08\x00")
    assert pong[:12] == mac(CLIENT_MAC) + mac(NIC_MAC)
    assert pong[26:34] == ip_bytes(VIP) + ip_bytes(CLIENT)
    assert internet_checksum(pong[14:34]) == 0
    assert pong[34:72] == echo(0, b"golden" * 5)


@pytest.mark.parametrize(
    ("distribution", "strays"),
    [("placement: per-core, fanout: random", (12, 28)), ("placement: rss", (0, 1))],
)
def test_every_syn_is_answered_by_one_engine_whoever_got_it(
    tmp_path: Path, distribution: str, strays: tuple[int, int]
) -> None:
    question = ethernet(arp(1, (CLIENT_MAC, CLIENT), (0, VIP)), 0x0806, ALL, CLIENT_MAC)
    ports = range(40_000, 40_040)
    with CaptureWriter(tmp_path / "in.pcap") as capture:
        capture.write(1_000_000, question.ljust(60, b"\0"))
        for port in ports:
            syn = ethernet(ipv4(CLIENT, VIP, 6, tcp(CLIENT, port, VIP, 80, 2)), 0x0800, NIC_MAC, CLIENT_MAC)
            capture.write(1_000_500 + port, syn)
    appliance = session.create(parse(TEXT.format(tmp_path, distribution)), "test", detached=False)
    assert wait_until(lambda: counted(appliance, "connections_accepted") >= 40, 20.0)
    counters = appliance.ask("stat")["actors"]["distributor"]
    appliance.take_down()
    assert (counters["received_packets"], counters["flows_created"]) == (41, 40)
    assert strays[0] <= counters["redirected_packets"] <= strays[1]
    assert min(counters[f"live_flows_engine_{engine}"] for engine in range(2)) > 0
    first_numbers: dict[int, set[bytes]] = {}
    for packet in read_capture(tmp_path / "out.pcap"):
        if packet.data[12:14] == b"\x08\x00" and packet.data[47] == 18:  # SYN, ACK
            first_numbers.setdefault(int.from_bytes(packet.data[36:38], "big"), set()).add(packet.data[38:42])
    assert sorted(first_numbers) == list(ports)
    assert all(len(numbers) == 1 for numbers in first_numbers.values()), "one engine, also when it asks again"
