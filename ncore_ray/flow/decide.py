"""Which engine a packet goes to, or why it goes no further.

The distributor reads no more of a packet than that takes: the engine reads it again and checks the transport checksum.
First `_aim` reads the headers; what it cannot answer itself it leaves as a key and a next step. Each step has one place
in the code, because a kernel's compile time is that of everything it calls, at every level.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.flow.assignment import assign, engine_by_hash
from ncore_ray.flow.fragments import UNKNOWN, key_of_fragment, recall_fragment, remember_fragment
from ncore_ray.flow.key import hash_for_engine, hash_for_lookup, key_of_addresses, key_of_ends4, key_of_packet
from ncore_ray.flow.records import Distributor, Drop, FlowState, Rule
from ncore_ray.flow.state import Event, first_state, next_state, tcp_event
from ncore_ray.flow.table import (
    claim_room,
    engine_of,
    enter_flow,
    find_flow,
    first_bucket,
    give_up_room,
    lock_bucket,
    set_state,
    state_of,
    touch_flow,
    unlock_bucket,
)
from ncore_ray.machine.atomic import load_acquire
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load16be
from ncore_ray.tables.own_address import AddressKind, find_address
from ncore_ray.tables.port_owner import port_owner
from ncore_ray.tables.service import NO_VSERVER, find_vserver
from ncore_ray.wire.address import ipv4_of, mapped
from ncore_ray.wire.arp import arp_sender, check_arp
from ncore_ray.wire.ethernet import TYPE_ARP, TYPE_IPV4, read_ethernet
from ncore_ray.wire.icmp import (
    ICMP_HEADER,
    is_icmp_error,
    quoted_destination,
    quoted_ports,
    quoted_protocol,
    quoted_source,
)
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, read_ipv4
from ncore_ray.wire.packet import Packet, Verdict
from ncore_ray.wire.tcp import TCP_HEADER, read_ports
from ncore_ray.wire.udp import UDP_HEADER

_LOOK_UP: Final = 1000
"""Next step: look the key up in the flow table."""
_BEGIN: Final = 1001
"""Next step: begin a flow."""
_HASH: Final = 1002
"""Next step: ask the indirection table."""
_RECALL: Final = 1003
"""Next step: follow the first fragment."""


@kernel
def decide(base: int, distributor: Distributor, packet: Packet, now: int) -> int:
    """Return the number of the engine for a packet (frame, length and NIC are filled in), or a `Drop`."""
    distributor.rule = Rule.NONE
    distributor.state = FlowState.FREE
    packet.more_fragments = 0
    step = _aim(base, distributor, packet)
    if step == _LOOK_UP:
        step = _look_up(base, distributor, packet, now)
    if step == _BEGIN:
        step = _begin(base, distributor, packet.length, now)
    if step == _HASH:
        step = engine_by_hash(base, distributor, hash_for_engine(base, distributor))
    if step == _RECALL or (packet.more_fragments and step >= 0):
        step = _decide_fragment(base, distributor, packet, step, now)
    return step


@kernel
def _drop_of(verdict: Verdict) -> int:
    if verdict == Verdict.TRUNCATED:
        return Drop.TRUNCATED
    if verdict == Verdict.BAD_CHECKSUM:
        return Drop.BAD_CHECKSUM
    if verdict == Verdict.OTHER_PROTOCOL:
        return Drop.OTHER_PROTOCOL
    return Drop.BAD_HEADER


@kernel
def _aim(base: int, distributor: Distributor, packet: Packet) -> int:
    """Read the headers; return an engine, a `Drop`, or the next step."""
    verdict = read_ethernet(packet)
    if verdict != Verdict.GOOD:
        return _drop_of(verdict)
    if packet.ether_type == TYPE_IPV4:
        return _aim_ipv4(base, distributor, packet)
    if packet.ether_type == TYPE_ARP:
        return _aim_arp(distributor, packet)
    return Drop.OTHER_ETHER_TYPE


@kernel
def _aim_arp(distributor: Distributor, packet: Packet) -> int:
    """Every ARP packet of a neighbour goes to the same engine while the set of active engines stays the same."""
    verdict = check_arp(packet)
    if verdict != Verdict.GOOD:
        return _drop_of(verdict)
    distributor.rule = Rule.ARP
    key_of_addresses(distributor, arp_sender(packet), 0)
    return _HASH


@kernel
def _is_bad_source(source_low: int) -> int:
    """Return 1 for "this" network, loopback, multicast and reserved addresses: no source (RFC 1122 §3.2.1.3)."""
    network = ipv4_of(source_low) >> 24
    return 1 if network == 0 or network == 127 or network >= 224 else 0


@kernel
def _aim_ipv4(base: int, distributor: Distributor, packet: Packet) -> int:
    verdict = read_ipv4(packet)
    if verdict != Verdict.GOOD and verdict != Verdict.FRAGMENT:
        return _drop_of(verdict)
    if _is_bad_source(packet.source_low):
        return Drop.BAD_SOURCE
    kind = find_address(base, packet.destination_high, packet.destination_low).kind
    if kind == AddressKind.FOREIGN:
        return Drop.NOT_FOR_US
    if packet.fragment_offset:
        return _RECALL
    if packet.protocol == PROTOCOL_ICMP:
        return _aim_icmp(base, distributor, packet)
    verdict = _check_transport(distributor, packet)
    if verdict != Verdict.GOOD:
        return _drop_of(verdict)
    return _aim_ports(base, distributor, packet, kind)


@kernel
def _check_transport(distributor: Distributor, packet: Packet) -> Verdict:
    if packet.protocol == PROTOCOL_TCP:
        return _check_tcp(distributor, packet)
    if packet.protocol == PROTOCOL_UDP:
        return _check_udp(distributor, packet)
    return Verdict.OTHER_PROTOCOL


@kernel
def _check_tcp(distributor: Distributor, packet: Packet) -> Verdict:
    """Check the header's length and read the flags. A first fragment too holds the whole header (RFC 1858 §3)."""
    if packet.transport_length < TCP_HEADER:
        return Verdict.TRUNCATED
    word = load16be(packet.transport + 12)
    header_length = (word >> 12) * 4
    if header_length < TCP_HEADER:
        return Verdict.BAD_HEADER
    if header_length > packet.transport_length:
        return Verdict.TRUNCATED
    packet.flags = word & 0x3F
    distributor.event = tcp_event(packet.flags)
    return Verdict.GOOD


@kernel
def _check_udp(distributor: Distributor, packet: Packet) -> Verdict:
    if packet.transport_length < UDP_HEADER:
        return Verdict.TRUNCATED
    length = load16be(packet.transport + 4)
    if length < UDP_HEADER:
        return Verdict.BAD_HEADER
    if length > packet.transport_length and not packet.more_fragments:
        return Verdict.TRUNCATED
    distributor.event = Event.DATAGRAM
    return Verdict.GOOD


@kernel
def _owner(base: int, distributor: Distributor, kind: int, port: int) -> int:
    """Return the engine that uses a port of an own address towards servers, or −1."""
    if kind != AddressKind.SNIP:
        return -1
    owner = port_owner(base, port)
    if owner >= distributor.engine_count:
        return -1
    distributor.rule = Rule.PORT_OWNER
    return owner


@kernel
def _aim_ports(base: int, distributor: Distributor, packet: Packet, kind: int) -> int:
    """A server's answer goes by port; all else, also what comes to a vServer on a SNIP, is a client's flow."""
    read_ports(packet)
    owner = _owner(base, distributor, kind, packet.destination_port)
    if owner >= 0:
        return owner
    key_of_packet(distributor, packet)
    return _LOOK_UP


@kernel
def _aim_icmp(base: int, distributor: Distributor, packet: Packet) -> int:
    if packet.transport_length < ICMP_HEADER:
        return Drop.TRUNCATED
    if is_icmp_error(packet):
        return _aim_icmp_error(base, distributor, packet)
    distributor.rule = Rule.ADDRESSES
    key_of_addresses(distributor, ipv4_of(packet.source_low), ipv4_of(packet.destination_low))
    return _HASH


@kernel
def _aim_icmp_error(base: int, distributor: Distributor, packet: Packet) -> int:
    """Follow the quoted packet, which one of our engines sent: its flow's ends are the quoted ones, reversed."""
    ports = quoted_ports(packet)
    if ports == 0:
        return Drop.UNRELATED_ICMP
    source, destination = mapped(quoted_source(packet)), mapped(quoted_destination(packet))
    kind = find_address(base, packet.source_high, source).kind
    if kind == AddressKind.FOREIGN:
        return Drop.UNRELATED_ICMP
    owner = _owner(base, distributor, kind, load16be(ports))
    if owner >= 0:
        return owner
    key_of_ends4(distributor, destination, load16be(ports + 2), source, load16be(ports), quoted_protocol(packet))
    distributor.event = Event.QUOTED
    return _LOOK_UP


@kernel
def _look_up(base: int, distributor: Distributor, packet: Packet, now: int) -> int:
    hash_for_lookup(base, distributor)
    event = distributor.event
    place = find_flow(base, distributor, now)
    if place:
        return _follow(distributor, place, packet.length, now)
    if event == Event.QUOTED:
        return Drop.UNRELATED_ICMP
    if (event == Event.OPEN or event == Event.DATAGRAM) and _has_vserver(base, packet):
        return _BEGIN
    distributor.rule = Rule.HASH
    return _HASH


@kernel
def _follow(distributor: Distributor, place: int, length: int, now: int) -> int:
    """Return the engine of an existing flow and note the packet."""
    word = load_acquire(place)
    state = state_of(word)
    distributor.rule = Rule.FLOW
    distributor.state = state
    if not distributor.read_only and distributor.event != Event.QUOTED:
        touch_flow(place, length, now)
        after = next_state(distributor, state)
        if after != state:
            set_state(place, word, after)
    return engine_of(word)


@kernel
def _has_vserver(base: int, packet: Packet) -> int:
    """Return 1 if anyone listens there: a scan of closed ports shall not fill the flow table."""
    is_udp = 1 if packet.protocol == PROTOCOL_UDP else 0
    if arena_at(base).vserver_count == 0:
        return 0
    found = find_vserver(base, packet.destination_high, packet.destination_low, packet.destination_port, is_udp)
    return 1 if found != NO_VSERVER else 0


@kernel
def _begin(base: int, distributor: Distributor, length: int, now: int) -> int:
    """Enter a new flow and return its engine."""
    distributor.rule = Rule.ASSIGNED
    bucket = first_bucket(base, distributor)
    if not distributor.read_only and not lock_bucket(distributor, bucket):
        return Drop.TABLE_BUSY
    place = find_flow(base, distributor, now) if distributor.deciders > 1 else 0
    faster = place != 0  # another decider was
    engine = _follow(distributor, place, length, now) if faster else _enter(base, distributor, length, now)
    if not distributor.read_only:
        unlock_bucket(bucket)
    return engine


@kernel
def _enter(base: int, distributor: Distributor, length: int, now: int) -> int:
    place = claim_room(base, distributor, now)
    if place == 0:
        return Drop.TABLE_FULL
    engine = assign(base, distributor)
    if distributor.read_only:
        return engine
    if engine < 0:
        give_up_room(place)
    else:
        enter_flow(base, distributor, place, engine, first_state(distributor), length, now)
    return engine


@kernel
def _decide_fragment(base: int, distributor: Distributor, packet: Packet, step: int, now: int) -> int:
    """Remember the engine of a first fragment, or (next step RECALL) return what is remembered."""
    key_of_fragment(base, distributor, packet)
    if step == _RECALL:
        distributor.rule = Rule.FRAGMENT
        engine = recall_fragment(base, distributor, now)
        return engine if engine != UNKNOWN else Drop.UNKNOWN_FRAGMENT
    return step if remember_fragment(base, distributor, step, now) else Drop.FRAGMENTS_FULL
