"""An engine with vServers of protocol ANY, of both families, between two clients and two servers."""

from __future__ import annotations

import ipaddress
from typing import Final

from ncore_ray.lab.dry.packets import icmp, icmpv6, internet_checksum, ip_bytes, pseudo_header
from tests.engine.ip.dual import CLIENTS, SERVERS, SNIPS, VIPS, Dual

OTHERS: Final = {4: "10.1.0.3", 6: "2001:db8:1::3"}
"""A second client of each family."""
TEXT: Final = """
appliance: {name: any, engines: 1}
nics:
  - {name: nc0, driver: memory, addresses: [10.1.0.10/24, "2001:db8:1::10/64"]}
  - {name: nc1, driver: memory, addresses: [10.2.0.10/24, "2001:db8:2::10/64"]}
services:
  - {name: four, address: "10.2.0.2:80", monitor: none}
  - {name: six, address: "[2001:db8:2::2]:80", monitor: none}
vservers:
  - {name: any4, address: "10.1.0.100:*", protocol: ANY, services: [four]}
  - {name: any6, address: "[2001:db8:1::100]:*", protocol: ANY, services: [six]}
timeouts: {udp: 2s}
"""


class AnyLab(Dual):
    """`Dual`, with what comes out as (source, destination, protocol, bytes behind the IP header)."""

    def __init__(self, text: str = TEXT) -> None:
        super().__init__(text=text)
        for family in (4, 6):  # the first packet asks for the server's link-layer address
            self.passed(0, CLIENTS[family], VIPS[family], 200, bytes(8))
            self.passed(0, CLIENTS[family], VIPS[family], 200, bytes(8))
        self.wait(3_000_000)

    def passed(
        self, nic: int, source: str, destination: str, protocol: int, body: bytes
    ) -> list[tuple[str, str, int, bytes]]:
        """Send a packet and return what came out; fragments are put together, in the order they came."""
        self.send(nic, source, destination, protocol, body)
        return self.out()

    def frames(self, *frames: bytes) -> list[tuple[str, str, int, bytes]]:
        """Send a client's frames and return what came out."""
        self._wire += [(0, frame) for frame in frames]
        return self.out()

    def out(self) -> list[tuple[str, str, int, bytes]]:
        """Let packets run and return what came out."""
        self.settle()
        found, self.other = self.other, []
        out: list[tuple[str, str, int, bytes]] = []
        for _, frame in found:
            ends, number, payload, offset = _read(frame)
            if offset:
                out[-1] = (*out[-1][:3], out[-1][3] + payload)
            else:
                out.append((*ends, number, payload))
        return out


def _read(frame: bytes) -> tuple[tuple[str, str], int, bytes, int]:
    if frame[12:14] == b"\x08\0":
        payload = frame[34 : 14 + int.from_bytes(frame[16:18], "big")]
        ends = frame[26:30], frame[30:34]
        number, offset = frame[23], (int.from_bytes(frame[20:22], "big") & 0x1FFF) * 8
    else:
        payload, number, offset, ends = frame[54:], frame[20], 0, (frame[22:38], frame[38:54])
        if number == 44:
            number, offset = payload[0], int.from_bytes(payload[2:4], "big") & 0xFFF8
            payload = payload[8:]
    source, destination = (str(ipaddress.ip_address(end)) for end in ends)
    return (source, destination), number, payload, offset


def query(family: int, source: str, destination: str, identifier: int, data: bytes, answer: bool = False) -> bytes:
    """Return an echo request or its answer."""
    rest = identifier.to_bytes(2, "big") + b"\0\1" + data
    if family == 4:
        return icmp(0 if answer else 8, 0, rest)
    return icmpv6(source, destination, 129 if answer else 128, 0, rest)


def with_checksum(family: int, ends: tuple[str, str], protocol: int, body: bytearray, at: int) -> bytes:
    """Return a body whose checksum, at an offset, is right over itself and the pseudo header."""
    body[at : at + 2] = b"\0\0"
    body[at : at + 2] = internet_checksum(pseudo_header(*ends, protocol, len(body)) + bytes(body)).to_bytes(2, "big")
    return bytes(body)


ICMP: Final = {4: 1, 6: 58}
__all__ = ["CLIENTS", "ICMP", "OTHERS", "SERVERS", "SNIPS", "VIPS", "AnyLab", "ip_bytes", "query", "with_checksum"]
