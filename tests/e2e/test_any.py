"""A vServer of protocol ANY in a whole appliance: pings that the server's kernel answers, and a UDP echo."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from ncore_ray.lab.dry.packets import icmp
from ncore_ray.lab.pattern import patterned
from tests.e2e.bed import Bed
from tests.e2e.test_ipv6 import give_address

CLIENT6, SERVER6, VIP6 = "2001:db8:1::5", "2001:db8:2::5", "2001:db8:1::101"
_ECHO = "import socket; s = socket.socket(2, 2); s.bind(('0.0.0.0', 9017))\nwhile True: s.sendto(*s.recvfrom(65536))"


@pytest.fixture(scope="module")
def vip(bed: Bed) -> Iterator[str]:
    server = bed.network.servers[0]
    give_address(bed.client, CLIENT6)
    give_address(server, SERVER6)
    server.start([sys.executable, "-c", _ECHO], name="any-echo")
    vip = bed.new_vip()
    with bed.changed(
        f"add vserver any4 address={vip}:* protocol=ANY services=web1",
        f"add service any6 address=[{SERVER6}]:1 monitor=none",
        f"add vserver any6 address=[{VIP6}]:* protocol=ANY services=any6",
    ):
        yield vip


def _counted(bed: Bed, name: str) -> int:
    actors = bed.appliance.ask("stat")["actors"]
    return sum(numbers.get(name, 0) for actor, numbers in actors.items() if actor.startswith("engine-"))


def _is_answered(bed: Bed, family: int, target: str) -> bool:
    try:
        return _ping(bed, family, target, b"", timeout_s=0.5) == b""
    except TimeoutError:
        return False


def _ping(bed: Bed, family: int, target: str, data: bytes, timeout_s: float = 10.0) -> bytes:
    """Send an echo request from the client's host; return the data of the answer. Raises TimeoutError."""
    kind, header = (128, 0) if family == 6 else (8, 20)
    protocol = socket.IPPROTO_ICMPV6 if family == 6 else socket.IPPROTO_ICMP
    request = icmp(kind, 0, b"\0\x4d\0\1" + data)  # of ICMPv6 the kernel fills in the checksum
    with bed.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_RAW, protocol) as client:
        client.settimeout(timeout_s)
        client.sendto(request, (target, 0))
        while True:
            answer, source = client.recvfrom(65_536)
            if source[0] == target and answer[header] in (0, 129):
                assert answer[header + 4 : header + 8] == b"\0\x4d\0\1"
                return answer[header + 8 :]


@pytest.mark.parametrize("size", [0, 56, 1_400, 4_000, 20_000])
@pytest.mark.parametrize("family", [4, 6])
def test_pings_are_answered_by_the_server(bed: Bed, vip: str, family: int, size: int) -> None:
    target, data = vip if family == 4 else VIP6, patterned(size, size)
    bed.wait(lambda: _is_answered(bed, family, target), "the server's link-layer address is known")
    before, own = _counted(bed, "any_packets"), _counted(bed, "echo_replies")
    assert _ping(bed, family, target, data) == data
    bed.wait(lambda: _counted(bed, "any_packets") - before >= 2, "both ways are counted")
    assert _counted(bed, "echo_replies") == own


def test_datagrams_of_any_port_come_back(bed: Bed, vip: str) -> None:
    with bed.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((vip, 9017))
        for length in (0, 1, 1_400, 9_000):
            client.send(bytes(length))
            assert client.recv(65_536) == bytes(length)


def test_explained(bed: Bed, vip: str) -> None:
    found = bed.appliance.ask("explain_flow", "10.1.0.2", 77, vip, 0, "icmp")
    assert (found["vserver"], found["dropped"]) == ("any4", None)
    assert bed.appliance.ask("explain_flow", "10.1.0.2", 1, vip, 9_017, "udp")["vserver"] == "any4"
    assert "this protocol" in bed.appliance.ask("explain_flow", "10.1.0.2", 0, vip, 0, "47")["reason"]
