"""What the headers of a packet say of its engine: the engine itself, why there is none, or what to ask next."""

from __future__ import annotations

from typing import Final

from ncore_ray.flow.key import key_of_addresses, key_of_ends, key_of_packet
from ncore_ray.flow.records import Distributor, Drop, Rule
from ncore_ray.flow.state import Event, tcp_event
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load16be
from ncore_ray.tables.own_address import AddressKind, find_address
from ncore_ray.tables.port_owner import port_owner
from ncore_ray.tables.service import ANY_PORT, NO_VSERVER, find_any
from ncore_ray.tables.settings import forwards_any
from ncore_ray.wire.address import ipv4_of, mapped
from ncore_ray.wire.arp import arp_sender, check_arp
from ncore_ray.wire.ethernet import TYPE_ARP, TYPE_IPV4, TYPE_IPV6, read_ethernet
from ncore_ray.wire.icmp import (
    ICMP_HEADER,
    Query,
    icmp_query,
    icmp_type,
    identifier_of,
    is_icmp_error,
    quoted_destination,
    quoted_ports,
    quoted_protocol,
    quoted_source,
)
from ncore_ray.wire.icmpv6 import is_icmpv6_error, quoted6_ports, quoted6_protocol, quoted6_word
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, read_ipv4
from ncore_ray.wire.ipv6 import PROTOCOL_ICMPV6, is_bad_source6, read_ipv6
from ncore_ray.wire.mld import is_mld_query
from ncore_ray.wire.ndp import SOLICITATION, is_ndp, ndp_target_high, ndp_target_low
from ncore_ray.wire.packet import Packet, Verdict
from ncore_ray.wire.tcp import TCP_HEADER, read_ports
from ncore_ray.wire.udp import UDP_HEADER

LOOK_UP: Final = 1000
"""Next step: look the key up in the flow table."""
BEGIN: Final = 1001
"""Next step: begin a flow."""
HASH_KEY: Final = 1002
"""Next step: ask the indirection table."""
_ANNOUNCER: Final = 0
"""The engine that makes own addresses, and the groups that belong to them, known."""
RECALL: Final = 1003
"""Next step: follow the first fragment."""


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
def aim(base: int, distributor: Distributor, packet: Packet) -> int:
    """Read the headers; return an engine, a `Drop`, or the next step."""
    verdict = read_ethernet(packet)
    if verdict != Verdict.GOOD:
        return _drop_of(verdict)
    if packet.ether_type == TYPE_IPV4:
        return _aim_ipv4(base, distributor, packet)
    if packet.ether_type == TYPE_IPV6:
        return _aim_ipv6(base, distributor, packet)
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
    key_of_addresses(distributor, 0, mapped(arp_sender(packet)), 0, mapped(0))
    return HASH_KEY


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
        return RECALL
    if packet.protocol == PROTOCOL_ICMP:
        return _aim_icmp(base, distributor, packet, kind)
    return _aim_transport(base, distributor, packet, kind)


@kernel
def _aim_ipv6(base: int, distributor: Distributor, packet: Packet) -> int:
    verdict = read_ipv6(packet)
    if verdict != Verdict.GOOD and verdict != Verdict.FRAGMENT:
        return _drop_of(verdict)
    if packet.protocol == PROTOCOL_ICMPV6 and verdict == Verdict.GOOD and is_ndp(packet):
        return _aim_ndp(base, distributor, packet)
    if packet.protocol == PROTOCOL_ICMPV6 and verdict == Verdict.GOOD and is_mld_query(packet):
        distributor.rule = Rule.ARP
        return _ANNOUNCER
    if is_bad_source6(packet.source_high, packet.source_low):
        return Drop.BAD_SOURCE
    kind = find_address(base, packet.destination_high, packet.destination_low).kind
    if kind == AddressKind.FOREIGN:
        return Drop.NOT_FOR_US
    if packet.fragment_offset:
        return RECALL
    if packet.protocol == PROTOCOL_ICMPV6:
        return _aim_icmpv6(base, distributor, packet, kind)
    return _aim_transport(base, distributor, packet, kind)


@kernel
def _aim_ndp(base: int, distributor: Distributor, packet: Packet) -> int:
    """What is asked for our addresses, and every advertisement; that of a neighbour goes to one engine, as ARP does."""
    high, low = ndp_target_high(packet), ndp_target_low(packet)
    if icmp_type(packet) == SOLICITATION and find_address(base, high, low).kind == AddressKind.FOREIGN:
        return Drop.NOT_FOR_US
    distributor.rule = Rule.ARP
    key_of_addresses(distributor, packet.source_high, packet.source_low, 0, 0)
    return HASH_KEY


@kernel
def _aim_transport(base: int, distributor: Distributor, packet: Packet, kind: int) -> int:
    if packet.protocol != PROTOCOL_TCP and packet.protocol != PROTOCOL_UDP:
        return _aim_other(base, distributor, packet, kind)
    verdict = _check_transport(distributor, packet)
    if verdict != Verdict.GOOD:
        return _drop_of(verdict)
    return _aim_ports(base, distributor, packet, kind)


@kernel
def _aim_other(base: int, distributor: Distributor, packet: Packet, kind: int) -> int:
    """Bring all packets of a protocol without ports, which a vServer of protocol ANY forwards, to one engine.

    The answer of a server says nothing of the client that it is for: only an engine that has both directions can know.
    """
    if kind == AddressKind.VIP:
        forwarded = find_any(base, packet.destination_high, packet.destination_low) != NO_VSERVER
    else:
        forwarded = forwards_any(base) != 0
    if not forwarded:
        return Drop.OTHER_PROTOCOL
    distributor.rule = Rule.PROTOCOL
    key_of_addresses(distributor, 0, mapped(0), 0, mapped(packet.protocol))
    return HASH_KEY


@kernel
def _check_transport(distributor: Distributor, packet: Packet) -> Verdict:
    return _check_tcp(distributor, packet) if packet.protocol == PROTOCOL_TCP else _check_udp(distributor, packet)


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
    return LOOK_UP


@kernel
def _aim_icmp(base: int, distributor: Distributor, packet: Packet, kind: int) -> int:
    if packet.transport_length < ICMP_HEADER:
        return Drop.TRUNCATED
    if is_icmp_error(packet):
        return _aim_icmp_error(base, distributor, packet)
    return _aim_query(base, distributor, packet, kind)


@kernel
def _aim_query(base: int, distributor: Distributor, packet: Packet, kind: int) -> int:
    """What a vServer of protocol ANY forwards is a flow by its identifier, and its answer comes back as by a port."""
    query = icmp_query(packet)
    if query == Query.REPLY:
        owner = _owner(base, distributor, kind, identifier_of(packet))
        if owner >= 0:
            return owner
    elif query == Query.REQUEST and kind == AddressKind.VIP:
        if find_any(base, packet.destination_high, packet.destination_low) != NO_VSERVER:
            packet.source_port = identifier_of(packet)
            packet.destination_port = ANY_PORT
            distributor.event = Event.DATAGRAM
            key_of_packet(distributor, packet)
            return LOOK_UP
    return _aim_addresses(distributor, packet)


@kernel
def _aim_addresses(distributor: Distributor, packet: Packet) -> int:
    distributor.rule = Rule.ADDRESSES
    key_of_addresses(
        distributor, packet.source_high, packet.source_low, packet.destination_high, packet.destination_low
    )
    return HASH_KEY


@kernel
def _aim_icmpv6(base: int, distributor: Distributor, packet: Packet, kind: int) -> int:
    if packet.transport_length < ICMP_HEADER:
        return Drop.TRUNCATED
    if is_icmpv6_error(packet):
        return _aim_icmpv6_error(base, distributor, packet)
    return _aim_query(base, distributor, packet, kind)


@kernel
def _aim_icmp_error(base: int, distributor: Distributor, packet: Packet) -> int:
    """Follow the quoted packet, which one of our engines sent: its flow's ends are the quoted ones, reversed."""
    ports = quoted_ports(packet)
    if ports == 0:
        return Drop.UNRELATED_ICMP
    source, destination = mapped(quoted_source(packet)), mapped(quoted_destination(packet))
    kind = find_address(base, 0, source).kind
    if kind == AddressKind.FOREIGN:
        return Drop.UNRELATED_ICMP
    owner = _owner(base, distributor, kind, load16be(ports))
    if owner >= 0:
        return owner
    key_of_ends(distributor, 0, destination, load16be(ports + 2), 0, source, load16be(ports), quoted_protocol(packet))
    distributor.event = Event.QUOTED
    return LOOK_UP


@kernel
def _aim_icmpv6_error(base: int, distributor: Distributor, packet: Packet) -> int:
    """Follow the quoted packet, as with ICMP for IPv4."""
    ports = quoted6_ports(packet)
    if ports == 0:
        return Drop.UNRELATED_ICMP
    kind = find_address(base, quoted6_word(packet, 0), quoted6_word(packet, 1)).kind
    if kind == AddressKind.FOREIGN:
        return Drop.UNRELATED_ICMP
    owner = _owner(base, distributor, kind, load16be(ports))
    if owner >= 0:
        return owner
    key_of_ends(
        distributor,
        quoted6_word(packet, 2),
        quoted6_word(packet, 3),
        load16be(ports + 2),
        quoted6_word(packet, 0),
        quoted6_word(packet, 1),
        load16be(ports),
        quoted6_protocol(packet),
    )
    distributor.event = Event.QUOTED
    return LOOK_UP
