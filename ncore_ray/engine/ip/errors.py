"""ICMP errors that an engine sends: about what, to whom, and how many.

RFC 1122 §3.2.2, RFC 1812 §4.3.2.8, RFC 4443 §2.4.
The quoted bytes are sent from where they lie. All errors of an engine have one limit together (`allowance`).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.allowance import may_tell_error
from ncore_ray.engine.ip.header import headers_back, write_headers_back
from ncore_ray.engine.ip.rooms import CONTENT, Reassembly
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import header_address, slot_of, slots_left, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, store16be, store32be
from ncore_ray.tables.nic import nic_of
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.checksum import fold, sum_bytes, sum_pseudo_header
from ncore_ray.wire.ethernet import ETHERNET_HEADER, GROUP, load_mac
from ncore_ray.wire.icmp import DESTINATION_UNREACHABLE, ICMP_HEADER, TIME_EXCEEDED
from ncore_ray.wire.icmpv6 import TIME_EXCEEDED6, UNREACHABLE6
from ncore_ray.wire.ip import ip_header, write_frame
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP
from ncore_ray.wire.ipv6 import PROTOCOL_ICMPV6
from ncore_ray.wire.packet import Packet

_QUOTED4: Final = 548
"""RFC 1812 §4.3.2.3: the whole message has 576 bytes at the most."""
_QUOTED6: Final = 1_232
"""RFC 4443 §2.4 (c): the whole message has 1,280 bytes at the most."""
_PORT4: Final = 3
_PORT6: Final = 4
_REASSEMBLY: Final = 1


@kernel
def may_send_error(engine: Engine) -> int:
    """Return 1 if one more may go out, and there is a slot for it; else 0 (counted)."""
    if slots_left(engine) and may_tell_error(engine):
        return 1
    counters_of(engine).icmp_errors_suppressed += 1
    return 0


@kernel
def _write(at: int, kind: int, code: int, pseudo: int, quoted: int, length: int) -> int:
    """Write the eight bytes before the quoted packet."""
    store32be(at, kind << 24 | code << 16)
    store32be(at + 4, 0)
    total = fold(pseudo + sum_bytes(at, ICMP_HEADER) + sum_bytes(quoted, length))
    return store16be(at + 2, total ^ 0xFFFF)


@kernel
def _quote(engine: Engine, index: int, quoted: int, length: int) -> int:
    slot = slot_of(engine, index)
    slot.first = quoted - base_of(engine)
    slot.first_length = length
    counters_of(engine).icmp_errors_sent += 1
    return 0


@kernel
def tell_port_unreachable(engine: Engine, packet: Packet) -> int:
    """Tell the sender of a datagram that nobody listens at its destination, an own address (RFC 1122 §4.1.3.1)."""
    if packet.ethernet_destination & GROUP or not may_send_error(engine):
        return 0
    is_4 = is_ipv4(packet.source_high, packet.source_low)
    length = min(packet.network_length, _QUOTED4 if is_4 else _QUOTED6)
    index = take_slot(engine, packet.nic, headers_back(packet) + ICMP_HEADER)
    at = header_address(engine, index)
    protocol = PROTOCOL_ICMP if is_4 else PROTOCOL_ICMPV6
    at += write_headers_back(engine, packet, at, protocol, ICMP_HEADER + length)
    if is_4:
        _write(at, DESTINATION_UNREACHABLE, _PORT4, 0, packet.network, length)
    else:
        pseudo = sum_pseudo_header(
            packet.destination_high,
            packet.destination_low,
            packet.source_high,
            packet.source_low,
            protocol,
            ICMP_HEADER + length,
        )
        _write(at, UNREACHABLE6, _PORT6, pseudo, packet.network, length)
    return _quote(engine, index, packet.network, length)


@kernel
def tell_time_exceeded(engine: Engine, entry: Reassembly, room: int) -> int:
    """Tell the sender of fragments that their packet has not become whole in time, with its first bytes.

    The room stays as it is until the flush: it is not given away in the breath that frees it, as only a fragment takes
    one, and fragments come before.
    """
    frame = room + CONTENT - entry.header_length
    is_4 = is_ipv4(entry.source_high, entry.source_low)
    protocol = PROTOCOL_ICMP if is_4 else PROTOCOL_ICMPV6
    if (is_4 and load8(frame + ETHERNET_HEADER + 9) == PROTOCOL_ICMP) or not may_send_error(engine):
        return 0
    quoted = frame + ETHERNET_HEADER
    length = min(entry.header_length - ETHERNET_HEADER + entry.first_length, _QUOTED4 if is_4 else _QUOTED6)
    index = take_slot(engine, entry.nic, ETHERNET_HEADER + ip_header(entry.source_high, entry.source_low) + ICMP_HEADER)
    at = header_address(engine, index)
    at += write_frame(
        at,
        load_mac(frame + 6),
        nic_of(base_of(engine), entry.nic).mac,
        entry.destination_high,
        entry.destination_low,
        entry.source_high,
        entry.source_low,
        protocol,
        ICMP_HEADER + length,
    )
    pseudo = 0
    if not is_4:
        pseudo = sum_pseudo_header(
            entry.destination_high,
            entry.destination_low,
            entry.source_high,
            entry.source_low,
            protocol,
            ICMP_HEADER + length,
        )
    _write(at, TIME_EXCEEDED if is_4 else TIME_EXCEEDED6, _REASSEMBLY, pseudo, quoted, length)
    return _quote(engine, index, quoted, length)
