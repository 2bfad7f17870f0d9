"""Reassembly of IP packets from their fragments (RFC 791 §3.2, RFC 8200 §4.5, RFC 5722, RFC 8900).

Each engine has a fixed number of rooms, one for each packet under way. Bytes are copied to where they belong; a map has
a byte for each unit of 8 bytes that is there. What overlaps spoils the whole packet. A packet that fits into a frame
goes on in the frame of the fragment that completed it, a larger one in its room, until the flush.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, Checksum
from ncore_ray.engine.counters import EngineCounters
from ncore_ray.engine.ip.errors import tell_time_exceeded
from ncore_ray.engine.ip.rooms import CONTENT, HEAD, MAP, MAP_SIZE, Reassembly, ReassemblyState, reassembly_of, room_of
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import clear, copy, load8, store8, store16be
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.checksum import checksum
from ncore_ray.wire.ethernet import ETHERNET_HEADER, GROUP
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.ipv6 import FRAGMENT_HEADER, IPV6_HEADER
from ncore_ray.wire.packet import Packet

TIMEOUT_US: Final = 30_000_000
"""How long a packet may be under way (RFC 1122 §3.3.2 says 60 to 120 s, RFC 8200 §4.5 60 s; Linux waits 30 s)."""
_UNDISTURBED_US: Final = 5_000
"""A packet that has been under way for longer gives its room to a new one if there is no other.

Fragments of one packet follow each other closely; a longer time would let a few forged ones hold all rooms.
"""
_LONGEST: Final = 65_535
_UNKNOWN: Final = -1
_NO_ROOM: Final = -1


class Overlap(IntEnum):
    """What of a fragment's bytes is there already."""

    NONE = 0
    SAME = 1
    """All of them, and they are the same: a duplicate."""
    OTHER = 2


@kernel
def reassemble(engine: Engine, packet: Packet) -> int:
    """Take a fragment; return 1 if its packet is whole now: the record names its bytes, to be read anew."""
    counters = counters_of(engine)
    if engine.reassembly_count == 0:
        counters.drop_ip_fragment_full_packets += 1
        return 0
    if not _is_sound(packet):
        counters.drop_ip_fragment_bad_packets += 1
        return 0
    number = _find(engine, packet)
    if number == _NO_ROOM:
        number = _take_room(engine, packet)
    if number == _NO_ROOM:
        counters.drop_ip_fragment_full_packets += 1
        return 0
    return _add(engine, number, packet, counters)


@kernel
def _content_at(packet: Packet) -> int:
    """Return the address of a fragment's content: behind the IPv4 header, or the fragment header."""
    return packet.transport if is_ipv4(packet.source_high, packet.source_low) else packet.fragment + FRAGMENT_HEADER


@kernel
def _content_length(packet: Packet) -> int:
    return packet.network + packet.network_length - _content_at(packet)


@kernel
def _header_length(packet: Packet) -> int:
    """Return the bytes of the headers that the whole packet will have: without the fragment header."""
    is_4 = is_ipv4(packet.source_high, packet.source_low)
    return (packet.transport if is_4 else packet.fragment) - packet.frame


@kernel
def _is_sound(packet: Packet) -> int:
    """Return 1 if a fragment can be a part of a packet: units of 8 bytes but at its end, no packet too long."""
    length = _content_length(packet)
    if length <= 0 or (packet.more_fragments and length & 7) or packet.ethernet_destination & GROUP:
        return 0  # frames to all hosts hold no packets to one (RFC 1122 §3.3.6)
    header = _header_length(packet)
    if packet.length > FRAME_SIZE or header > HEAD:
        return 0
    return 1 if header - ETHERNET_HEADER + packet.fragment_offset + length <= _LONGEST else 0


@kernel
def _protocol_key(packet: Packet) -> int:
    """In IPv6 the later fragments need not name the protocol."""
    return packet.protocol if is_ipv4(packet.source_high, packet.source_low) else _UNKNOWN


@kernel
def _is_of(entry: Reassembly, packet: Packet) -> int:
    if entry.identification != packet.identification or entry.protocol != _protocol_key(packet):
        return 0
    if entry.source_low != packet.source_low or entry.source_high != packet.source_high:
        return 0
    same = entry.destination_low == packet.destination_low and entry.destination_high == packet.destination_high
    return 1 if same else 0


@kernel
def _find(engine: Engine, packet: Packet) -> int:
    for number in range(engine.reassembly_count):
        entry = reassembly_of(engine, number)
        under_way = entry.state == ReassemblyState.FILLING or entry.state == ReassemblyState.SPOILT
        if under_way and _is_of(entry, packet):
            return number
    return _NO_ROOM


@kernel
def _choose_room(engine: Engine) -> int:
    """Return a room that is free, or that of the packet which has been under way for longest, if that is long."""
    chosen = _NO_ROOM
    oldest = engine.now - _UNDISTURBED_US
    for number in range(engine.reassembly_count):
        entry = reassembly_of(engine, number)
        if entry.state == ReassemblyState.FREE:
            return number
        if entry.state == ReassemblyState.WHOLE:
            if entry.started_at != engine.now:  # packets to send may name its bytes until the flush
                return number
        elif entry.started_at < oldest:
            oldest = entry.started_at
            chosen = number
    return chosen


@kernel
def _take_room(engine: Engine, packet: Packet) -> int:
    number = _choose_room(engine)
    if number == _NO_ROOM:
        return _NO_ROOM
    entry = reassembly_of(engine, number)
    if entry.state == ReassemblyState.FILLING:
        counters_of(engine).reassemblies_given_up += 1
    entry.state = ReassemblyState.FREE
    entry.source_high, entry.source_low = packet.source_high, packet.source_low
    entry.destination_high, entry.destination_low = packet.destination_high, packet.destination_low
    entry.identification = packet.identification
    entry.protocol = _protocol_key(packet)
    entry.total = _UNKNOWN
    entry.received = entry.end = entry.header_length = entry.first_length = 0
    entry.nic = packet.nic
    entry.started_at = engine.now
    clear(room_of(engine, number) + MAP, MAP_SIZE)
    entry.state = ReassemblyState.FILLING
    if engine.reassembly_at == 0:
        engine.reassembly_at = engine.now + TIMEOUT_US
    return number


@kernel
def _overlap(room: int, start: int, length: int, content: int) -> Overlap:
    units = (length + 7) >> 3
    there = 0
    for unit in range(units):
        there += load8(room + MAP + (start >> 3) + unit)
    if there == 0:
        return Overlap.NONE
    if there < units:
        return Overlap.OTHER
    for i in range(length):
        if load8(room + CONTENT + start + i) != load8(content + i):
            return Overlap.OTHER
    return Overlap.SAME


@kernel
def _fits(entry: Reassembly, packet: Packet, end: int) -> int:
    """Return 1 if a fragment does not contradict what is known of where the packet ends."""
    if not packet.more_fragments:
        return 1 if entry.total == _UNKNOWN and entry.end <= end else 0
    return 1 if entry.total == _UNKNOWN or end <= entry.total else 0


@kernel
def _add(engine: Engine, number: int, packet: Packet, counters: EngineCounters) -> int:
    entry, room = reassembly_of(engine, number), room_of(engine, number)
    content, length, start = _content_at(packet), _content_length(packet), packet.fragment_offset
    if entry.state == ReassemblyState.SPOILT:
        counters.drop_ip_fragment_overlap_packets += 1
        return 0
    overlap = _overlap(room, start, length, content)
    if overlap == Overlap.SAME:
        counters.drop_ip_fragment_duplicate_packets += 1
        return 0
    if overlap != Overlap.NONE or not _fits(entry, packet, start + length):
        entry.state = ReassemblyState.SPOILT  # and all that follows is thrown away, too (RFC 5722 §4)
        counters.drop_ip_fragment_overlap_packets += 1
        return 0
    _store(entry, room, packet, content, length)
    if entry.received != entry.total:
        counters.used_ip_fragment_packets += 1
        return 0
    return _deliver(engine, entry, room, packet, counters)


@kernel
def _store(entry: Reassembly, room: int, packet: Packet, content: int, length: int) -> int:
    start = packet.fragment_offset
    copy(room + CONTENT + start, content, length)
    for unit in range((length + 7) >> 3):
        store8(room + MAP + (start >> 3) + unit, 1)
    entry.received += length
    entry.end = max(entry.end, start + length)
    if not packet.more_fragments:
        entry.total = start + length
    return _keep_header(entry, room, packet) if start == 0 else 0


@kernel
def _keep_header(entry: Reassembly, room: int, packet: Packet) -> int:
    """Keep the first fragment's headers, in front of the content; the fragment header is taken out of its chain."""
    length = _header_length(packet)
    at = room + CONTENT - length
    copy(at, packet.frame, length)
    entry.header_length = length
    entry.first_length = _content_length(packet)
    if not is_ipv4(packet.source_high, packet.source_low):
        store8(at + packet.fragment_next_at - packet.frame, load8(packet.fragment))
    return 0


@kernel
def _mend_header(frame: int, header: int, total: int, is_4: int) -> int:
    """Write the length of the whole packet, which is no fragment any more."""
    network = frame + ETHERNET_HEADER
    if not is_4:
        return store16be(network + 4, header - ETHERNET_HEADER - IPV6_HEADER + total)
    store16be(network + 2, header - ETHERNET_HEADER + total)
    store16be(network + 6, 0)
    store16be(network + 10, 0)
    return store16be(network + 10, checksum(network, header - ETHERNET_HEADER))


@kernel
def _deliver(engine: Engine, entry: Reassembly, room: int, packet: Packet, counters: EngineCounters) -> int:
    """Let the packet record name the whole packet."""
    header = entry.header_length
    frame = room + CONTENT - header
    whole = header + entry.total
    _mend_header(frame, header, entry.total, is_ipv4(packet.source_high, packet.source_low))
    if whole <= FRAME_SIZE:
        copy(packet.frame, frame, whole)
        entry.state = ReassemblyState.FREE
    elif packet.protocol == PROTOCOL_TCP:  # no peer has been told that it may send so much in one segment
        entry.state = ReassemblyState.FREE
        counters.drop_ip_fragment_bad_packets += 1
        return 0
    else:
        packet.frame = frame
        entry.state = ReassemblyState.WHOLE
        entry.started_at = engine.now
    packet.length = whole
    packet.network = packet.frame + ETHERNET_HEADER
    packet.network_length = whole - ETHERNET_HEADER
    packet.checksum = Checksum.UNKNOWN
    counters.reassembled_packets += 1
    return 1


@kernel
def expire_reassemblies(engine: Engine) -> int:
    """Give up what has been under way for too long, and set the next look."""
    engine.reassembly_at = 0
    for number in range(engine.reassembly_count):
        entry = reassembly_of(engine, number)
        if entry.state != ReassemblyState.FILLING and entry.state != ReassemblyState.SPOILT:
            continue
        due = entry.started_at + TIMEOUT_US
        if due <= engine.now:
            if entry.state == ReassemblyState.FILLING:
                counters_of(engine).reassembly_timeouts += 1
                if entry.header_length:  # RFC 792, RFC 4443 §3.3: only if the first fragment is there
                    tell_time_exceeded(engine, entry, room_of(engine, number))
            entry.state = ReassemblyState.FREE
        elif engine.reassembly_at == 0 or due < engine.reassembly_at:
            engine.reassembly_at = due
    return 0
