"""Packets written by obviously correct Python; nothing here is shared with the code that reads them."""

from __future__ import annotations

import ipaddress
import struct

MAC_A = 0x0200_0000_00AA
MAC_B = 0x0200_0000_00BB


def internet_checksum(data: bytes) -> int:
    """RFC 1071, word by word."""
    total = 0
    for i in range(0, len(data), 2):
        total += int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big")
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def ip_bytes(text: str) -> bytes:
    """Return the bytes of an IP address."""
    return ipaddress.ip_address(text).packed


def ethernet(payload: bytes, ether_type: int = 0x0800, destination: int = MAC_B, source: int = MAC_A) -> bytes:
    """Return an Ethernet frame."""
    return destination.to_bytes(6, "big") + source.to_bytes(6, "big") + struct.pack(">H", ether_type) + payload


def ipv4(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    identification: int = 0,
    offset: int = 0,
    more: bool = False,
    options: bytes = b"",
    mark: int = 0,
) -> bytes:
    """Return an IPv4 packet, or a fragment; ``offset`` counts bytes, ``mark`` is the ECN field."""
    fragment = offset // 8 | 0x2000 * more
    start = struct.pack(
        ">BBHHHBB",
        0x40 | 5 + len(options) // 4,
        mark,
        20 + len(options) + len(payload),
        identification,
        fragment,
        64,
        protocol,
    )
    ends = ip_bytes(source) + ip_bytes(destination) + options
    sum_field = struct.pack(">H", internet_checksum(start + b"\0\0" + ends))
    return start + sum_field + ends + payload


def ipv6(source: str, destination: str, protocol: int, payload: bytes, *, hop_limit: int = 64) -> bytes:
    """Return an IPv6 packet; extension headers are a part of the payload, and ``protocol`` names the first."""
    start = struct.pack(">IHBB", 6 << 28, len(payload), protocol, hop_limit)
    return start + ip_bytes(source) + ip_bytes(destination) + payload


def fragment6(protocol: int, identification: int, offset: int, more: bool, payload: bytes) -> bytes:
    """Return an IPv6 fragment header (which is protocol 44) and its payload; ``offset`` counts bytes."""
    return struct.pack(">BBHI", protocol, 0, offset | more, identification) + payload


def ip(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """Return an IP packet of the addresses' family."""
    return (ipv6 if ":" in source else ipv4)(source, destination, protocol, payload)


def ip_frame(source: str, destination: str, protocol: int, payload: bytes, *macs: int) -> bytes:
    """Return an Ethernet frame with an IP packet; ``macs``: those of destination and source."""
    return ethernet(ip(source, destination, protocol, payload), 0x86DD if ":" in source else 0x0800, *macs)


def pseudo_header(source: str, destination: str, protocol: int, length: int) -> bytes:
    """Return what a transport checksum covers of the network header."""
    return ip_bytes(source) + ip_bytes(destination) + struct.pack(">IBBBB", length, 0, 0, 0, protocol)


def tcp(
    source: str,
    source_port: int,
    destination: str,
    destination_port: int,
    flags: int,
    payload: bytes = b"",
    *,
    sequence: int = 1,
    acknowledgment: int = 0,
    window: int = 65535,
    options: bytes = b"",
) -> bytes:
    """A segment with its checksum."""
    words = (source_port, destination_port, sequence, acknowledgment, (5 + len(options) // 4) << 4, flags, window)
    start = struct.pack(">HHIIBBH", *words)
    rest = b"\0\0" + options + payload
    whole = start + b"\0\0" + rest
    sum_field = internet_checksum(pseudo_header(source, destination, 6, len(whole)) + whole)
    return start + struct.pack(">H", sum_field) + rest


def udp(source: str, source_port: int, destination: str, destination_port: int, payload: bytes = b"") -> bytes:
    """Return a UDP datagram with its checksum."""
    start = struct.pack(">HHH", source_port, destination_port, 8 + len(payload))
    whole = start + b"\0\0" + payload
    total = internet_checksum(pseudo_header(source, destination, 17, len(whole)) + whole)
    return start + struct.pack(">H", total or 0xFFFF) + payload


def icmp(kind: int, code: int = 0, rest: bytes = b"\0\0\0\0") -> bytes:
    """Return an ICMP message; ``rest``: the four bytes behind the checksum and the data."""
    start = struct.pack(">BB", kind, code)
    return start + struct.pack(">H", internet_checksum(start + b"\0\0" + rest)) + rest


def icmpv6(source: str, destination: str, kind: int, code: int = 0, rest: bytes = b"\0\0\0\0") -> bytes:
    """Return an ICMPv6 message; ``rest``: the four bytes behind the checksum and the data."""
    start = struct.pack(">BB", kind, code)
    whole = start + b"\0\0" + rest
    total = internet_checksum(pseudo_header(source, destination, 58, len(whole)) + whole)
    return start + struct.pack(">H", total) + rest


def solicited_node(target: str) -> str:
    """Return the solicited-node multicast address of an address."""
    return str(ipaddress.IPv6Address(ip_bytes("ff02::1:ff00:0")[:13] + ip_bytes(target)[13:]))


def solicitation(
    source: str, target: str, mac: int | None, *, destination: str | None = None, hop_limit: int = 255
) -> bytes:
    """Return an Ethernet frame that asks for a neighbour; ``mac``: the sender's as it tells it, if it does."""
    to = destination or solicited_node(target)
    option = b"" if mac is None else b"\1\1" + mac.to_bytes(6, "big")
    message = icmpv6(source, to, 135, 0, bytes(4) + ip_bytes(target) + option)
    to_mac = 0x3333_0000_0000 | int.from_bytes(ip_bytes(to)[12:], "big")
    return ethernet(ipv6(source, to, 58, message, hop_limit=hop_limit), 0x86DD, to_mac, mac or MAC_A)


def advertisement(
    source: str, target: str, mac: int | None, to: str, flags: int, macs: tuple[int, int] = (MAC_B, MAC_A)
) -> bytes:
    """Return an Ethernet frame that advertises an address; ``macs`` are those of destination and source."""
    option = b"" if mac is None else b"\2\1" + mac.to_bytes(6, "big")
    message = icmpv6(source, to, 136, 0, struct.pack(">I", flags << 24) + ip_bytes(target) + option)
    return ethernet(ipv6(source, to, 58, message, hop_limit=255), 0x86DD, *macs)


def arp(operation: int, sender_mac: int, sender: str, target_mac: int, target: str) -> bytes:
    """Return an ARP packet: operation 1 asks, 2 answers."""
    start = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation)
    ends = sender_mac.to_bytes(6, "big") + ip_bytes(sender) + target_mac.to_bytes(6, "big") + ip_bytes(target)
    return start + ends


def tcp_packet(source: str, source_port: int, destination: str, destination_port: int, flags: int = 2) -> bytes:
    """Return an Ethernet frame with a segment without payload."""
    segment = tcp(source, source_port, destination, destination_port, flags)
    return ip_frame(source, destination, 6, segment)


def udp_packet(source: str, source_port: int, destination: str, destination_port: int, payload: bytes = b"x") -> bytes:
    """Return an Ethernet frame with a datagram."""
    return ip_frame(source, destination, 17, udp(source, source_port, destination, destination_port, payload))
