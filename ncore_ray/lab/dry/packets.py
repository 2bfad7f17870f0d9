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
) -> bytes:
    """Return an IPv4 packet, or a fragment; ``offset`` counts bytes."""
    fragment = offset // 8 | 0x2000 * more
    start = struct.pack(
        ">BBHHHBB",
        0x40 | 5 + len(options) // 4,
        0,
        20 + len(options) + len(payload),
        identification,
        fragment,
        64,
        protocol,
    )
    ends = ip_bytes(source) + ip_bytes(destination) + options
    sum_field = struct.pack(">H", internet_checksum(start + b"\0\0" + ends))
    return start + sum_field + ends + payload


def pseudo_header(source: str, destination: str, protocol: int, length: int) -> bytes:
    """Return what a transport checksum covers of the network header."""
    return ip_bytes(source) + ip_bytes(destination) + struct.pack(">BBH", 0, protocol, length)


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


def arp(operation: int, sender_mac: int, sender: str, target_mac: int, target: str) -> bytes:
    """Return an ARP packet: operation 1 asks, 2 answers."""
    start = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation)
    ends = sender_mac.to_bytes(6, "big") + ip_bytes(sender) + target_mac.to_bytes(6, "big") + ip_bytes(target)
    return start + ends


def tcp_packet(source: str, source_port: int, destination: str, destination_port: int, flags: int = 2) -> bytes:
    """Return an Ethernet frame with a segment without payload."""
    segment = tcp(source, source_port, destination, destination_port, flags)
    return ethernet(ipv4(source, destination, 6, segment))


def udp_packet(source: str, source_port: int, destination: str, destination_port: int, payload: bytes = b"x") -> bytes:
    """Return an Ethernet frame with a datagram."""
    return ethernet(ipv4(source, destination, 17, udp(source, source_port, destination, destination_port, payload)))
