"""A packet with other addresses: what is behind the IP header stays, but for an identifier and the checksum.

Checksums are updated, not worked out anew (RFC 1624): a packet that came with a wrong one goes on with a wrong one, and
its receiver finds out. IP options, extension headers and the fields of the IP header are the appliance's own.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Role, Tcb, local_port, remote_port
from ncore_ray.engine.ip.fragment import NOT_SENT, is_too_long, send_fragments
from ncore_ray.engine.ip.header import headers_to, pseudo_to, write_headers_to
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import header_address, slot_of, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load16be, store16be
from ncore_ray.wire.checksum import fold, sum_pseudo_header
from ncore_ray.wire.icmp import IDENTIFIER
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP
from ncore_ray.wire.ipv6 import PROTOCOL_ICMPV6
from ncore_ray.wire.packet import Packet

_HEAD: Final = 8
"""Bytes that are copied, and may change."""
_DCCP: Final = 33
_UDP_LITE: Final = 136
_ICMP_CHECKSUM: Final = 2
_PORTS_CHECKSUM: Final = 6
"""Where the checksum of DCCP (RFC 4340 §5.1) and UDP-Lite (RFC 3828 §3.1) stands."""


@kernel
def send_translated(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Send a received packet to a connection's peer; return 0 if there are not enough slots for its fragments."""
    length = packet.transport_length
    if is_too_long(engine, tcb.nic, tcb.remote_high, tcb.remote_low, length):
        return _send_in_fragments(engine, tcb, packet)
    head = min(length, _HEAD)
    index = take_slot(engine, tcb.nic, headers_to(tcb) + head)
    at = header_address(engine, index)
    at += write_headers_to(engine, tcb, at, packet.protocol, length)
    copy(at, packet.transport, head)
    slot = slot_of(engine, index)
    slot.first = packet.transport + head - base_of(engine)
    slot.first_length = length - head
    if head == _HEAD:
        _translate(tcb, packet, at)
    return 1


@kernel
def _send_in_fragments(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    at = send_fragments(
        engine,
        tcb.nic,
        tcb.remote_mac,
        tcb.local_high,
        tcb.local_low,
        tcb.remote_high,
        tcb.remote_low,
        packet.protocol,
        packet.transport + _HEAD,
        packet.transport_length - _HEAD,
    )
    if at == NOT_SENT:
        return 0
    copy(at, packet.transport, _HEAD)
    _translate(tcb, packet, at)
    counters_of(engine).fragmented_packets += 1
    return 1


@kernel
def _translate(tcb: Tcb, packet: Packet, at: int) -> int:
    """Change what depends on the addresses in the copied bytes at an address."""
    if packet.protocol == PROTOCOL_ICMP:
        return _rename(tcb, at, 0)
    if packet.protocol == PROTOCOL_ICMPV6:
        return _rename(tcb, at, _other_pseudo(tcb, packet))
    if packet.protocol == _UDP_LITE or packet.protocol == _DCCP:
        return _update(at + _PORTS_CHECKSUM, _other_pseudo(tcb, packet))
    return 0


@kernel
def _rename(tcb: Tcb, at: int, change: int) -> int:
    """Give a query the identifier that it has on this side."""
    identifier = remote_port(tcb) if tcb.role == Role.UDP_CLIENT else local_port(tcb)
    change += (load16be(at + IDENTIFIER) ^ 0xFFFF) + identifier
    store16be(at + IDENTIFIER, identifier)
    return _update(at + _ICMP_CHECKSUM, change)


@kernel
def _other_pseudo(tcb: Tcb, packet: Packet) -> int:
    """Return what the new pseudo header adds to a sum, and the old one takes from it; length and protocol stay."""
    old = sum_pseudo_header(
        packet.source_high,
        packet.source_low,
        packet.destination_high,
        packet.destination_low,
        packet.protocol,
        packet.transport_length,
    )
    return (old ^ 0xFFFF) + pseudo_to(tcb, packet.protocol, packet.transport_length)


@kernel
def _update(at: int, change: int) -> int:
    """Update a checksum by the complements of old words and the new words (RFC 1624, equation 3)."""
    after = fold((load16be(at) ^ 0xFFFF) + change) ^ 0xFFFF
    return store16be(at, after if after else 0xFFFF)
