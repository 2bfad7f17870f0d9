"""ICMP errors about a segment that was passed on: its sender is told, with the headers that it knows (RFC 5508 §4).

Above all a sender has to learn of a way with a smaller MTU, as nobody else makes its segments smaller. An error about a
SYN says that a service cannot be reached: another one is tried.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import Role, Tcb, peer_of, tcb_of
from ncore_ray.engine.ip.errors import may_send_error
from ncore_ray.engine.ip.header import headers_to, write_headers_to
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.splice.opening import try_another
from ncore_ray.engine.splice.words import words_of
from ncore_ray.engine.tcp.sequence import seq_add, seq_le, seq_lt
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.transmit import header_address, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, load32be, store16be, store32be
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.checksum import checksum
from ncore_ray.wire.icmp import ICMP_HEADER
from ncore_ray.wire.icmpv6 import finish_icmpv6
from ncore_ray.wire.ipv4 import IPV4_HEADER, PROTOCOL_ICMP, PROTOCOL_TCP, write_ipv4
from ncore_ray.wire.ipv6 import IPV6_HEADER, PROTOCOL_ICMPV6, write_ipv6
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import TCP_HEADER

_QUOTED_TCP: Final = 8
"""Ports and sequence number: all that identifies a segment."""
_LEAST_PAYLOAD: Final = 512
_LEAST_PAYLOAD6: Final = 1_220
"""Of what a router says no less is believed (RFC 1191 §3 says 68 bytes; Linux goes no lower than 552; RFC 8201 §4)."""


@kernel
def take_error(engine: Engine, packet: Packet, number: int, sequence: int, is_hard: int, mtu: int) -> int:
    """Take an error about a segment to one side (by its number plus 1); ``mtu`` is the one that is told, or 0."""
    tcb = tcb_of(engine, number - 1)
    if not tcb.peer or not _is_in_flight(tcb, sequence):
        return 0
    if tcb.state == TcpState.SPLICE_OPENING:
        if is_hard and tcb.role == Role.SERVER:
            begin_change(engine, number)
            try_another(engine, tcb)
            end_change(engine)
        return 0
    if mtu:
        _shrink(engine, tcb, mtu)
    return _tell(engine, peer_of(engine, tcb), packet, sequence) if may_send_error(engine) else 0


@kernel
def _is_in_flight(tcb: Tcb, sequence: int) -> int:
    """Return 1 if a number is one of what was passed on and not acknowledged yet (RFC 5927 §4)."""
    return 1 if seq_le(tcb.snd_una, sequence) and seq_lt(sequence, tcb.snd_max) else 0


@kernel
def _shrink(engine: Engine, tcb: Tcb, mtu: int) -> int:
    """Let large segments be cut into smaller ones, before the sender knows."""
    is_4 = is_ipv4(tcb.remote_high, tcb.remote_low)
    payload = mtu - (IPV4_HEADER if is_4 else IPV6_HEADER) - TCP_HEADER
    payload = max(payload, _LEAST_PAYLOAD if is_4 else _LEAST_PAYLOAD6)
    if payload < tcb.mss:
        tcb.mss = payload
        counters_of(engine).path_mtu_reductions += 1
    return 0


@kernel
def _tell(engine: Engine, sender: Tcb, packet: Packet, sequence: int) -> int:
    """Write the error to who has sent the segment that it is about."""
    is_4 = is_ipv4(sender.remote_high, sender.remote_low)
    length = ICMP_HEADER + (IPV4_HEADER if is_4 else IPV6_HEADER) + _QUOTED_TCP
    index = take_slot(engine, sender.nic, headers_to(sender) + length)
    at = header_address(engine, index)
    at += write_headers_to(engine, sender, at, PROTOCOL_ICMP if is_4 else PROTOCOL_ICMPV6, length)
    store16be(at, load16be(packet.transport))
    store16be(at + 2, 0)
    store32be(at + 4, load32be(packet.transport + 4))
    inner = at + ICMP_HEADER
    inner += _quote(sender, packet.transport + ICMP_HEADER, inner, is_4)
    store32be(inner, sender.ports >> 24 << 16 | sender.ports >> 8 & 0xFFFF)
    store32be(inner + 4, seq_add(sequence, -words_of(sender).sequence_shift))
    counters_of(engine).spliced_icmp_errors += 1
    counters_of(engine).icmp_errors_sent += 1
    if is_4:
        return store16be(at + 2, checksum(at, length))
    return finish_icmpv6(at, length, sender.local_high, sender.local_low, sender.remote_high, sender.remote_low)


@kernel
def _quote(sender: Tcb, quoted: int, target: int, is_4: int) -> int:
    """Write the IP header of the segment as its sender has sent it; return its length."""
    if is_4:
        length = max(load16be(quoted + 2) - (load8(quoted) & 15) * 4, _QUOTED_TCP)
        return write_ipv4(target, sender.remote_low, sender.local_low, PROTOCOL_TCP, length)
    return write_ipv6(
        target,
        sender.remote_high,
        sender.remote_low,
        sender.local_high,
        sender.local_low,
        PROTOCOL_TCP,
        load16be(quoted + 4),
    )
