"""UDP headers (RFC 768)."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import Checksum
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load16be, store16be
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.checksum import fold, sum_bytes, sum_pseudo_header
from ncore_ray.wire.ipv4 import PROTOCOL_UDP
from ncore_ray.wire.packet import Packet, Verdict

UDP_HEADER: Final = 8


@kernel
def read_udp(packet: Packet) -> Verdict:
    """Read the transport header into the packet record and check length and checksum (0 means none was made)."""
    at = packet.transport
    if packet.transport_length < UDP_HEADER:
        return Verdict.TRUNCATED
    length = load16be(at + 4)
    if length < UDP_HEADER:
        return Verdict.BAD_HEADER
    if length > packet.transport_length:
        return Verdict.TRUNCATED
    packet.source_port = load16be(at)
    packet.destination_port = load16be(at + 2)
    packet.payload = at + UDP_HEADER
    packet.payload_length = length - UDP_HEADER
    if packet.checksum != Checksum.UNKNOWN:
        return Verdict.GOOD
    if load16be(at + 6) == 0:  # none was made, which only IPv4 allows (RFC 8200 §8.1)
        return Verdict.GOOD if is_ipv4(packet.source_high, packet.source_low) else Verdict.BAD_CHECKSUM
    return Verdict.GOOD if _sum_is_right(packet, length) else Verdict.BAD_CHECKSUM


@kernel
def _sum_is_right(packet: Packet, length: int) -> int:
    total = sum_bytes(packet.transport, length) + sum_pseudo_header(
        packet.source_high,
        packet.source_low,
        packet.destination_high,
        packet.destination_low,
        PROTOCOL_UDP,
        length,
    )
    return 1 if fold(total) == 0xFFFF else 0


@kernel
def write_udp(
    target: int, source_port: int, destination_port: int, payload_length: int, pseudo_and_payload: int
) -> int:
    """Write a header of 8 bytes; return its length.

    ``pseudo_and_payload`` is the sum of the pseudo header and of the payload's bytes.
    """
    length = UDP_HEADER + payload_length
    store16be(target, source_port)
    store16be(target + 2, destination_port)
    store16be(target + 4, length)
    total = fold(pseudo_and_payload + source_port + destination_port + length) ^ 0xFFFF
    store16be(target + 6, total if total else 0xFFFF)
    return UDP_HEADER


@kernel
def begin_udp(target: int, source_port: int, destination_port: int, payload_length: int, pseudo: int) -> int:
    """Write a header with the sum of the pseudo header where the checksum stands: whoever sends it completes it."""
    store16be(target, source_port)
    store16be(target + 2, destination_port)
    store16be(target + 4, UDP_HEADER + payload_length)
    store16be(target + 6, fold(pseudo))
    return UDP_HEADER
