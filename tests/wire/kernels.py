"""The wire kernels, callable from Python."""

from __future__ import annotations

from typing import Any

from ncore_ray.arena.frame import Checksum
from ncore_ray.lab.dry.arena import GuardedBytes
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new
from ncore_ray.wire import arp, ethernet, icmp, ipv4, tcp, udp
from ncore_ray.wire.checksum import checksum, fold, sum_bytes, sum_pseudo_header, update16
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP
from ncore_ray.wire.packet import Packet, Verdict, packet_at


@entry_kernel
def read_all(packet_address: int, frame: int, length: int, checksum_state: int) -> int:
    """Read a frame layer by layer; return the last verdict."""
    packet = packet_at(packet_address)
    packet.frame = frame
    packet.length = length
    packet.checksum = checksum_state
    verdict = ethernet.read_ethernet(packet)
    if verdict != Verdict.GOOD:
        return verdict
    if packet.ether_type == ethernet.TYPE_ARP:
        return arp.check_arp(packet)
    verdict = ipv4.read_ipv4(packet)
    if verdict != Verdict.GOOD:
        return verdict
    if packet.protocol == PROTOCOL_TCP:
        return tcp.read_tcp(packet)
    if packet.protocol == PROTOCOL_UDP:
        return udp.read_udp(packet)
    if packet.protocol == PROTOCOL_ICMP:
        return icmp.check_icmp(packet)
    return Verdict.OTHER_PROTOCOL


@entry_kernel
def arp_fields(packet_address: int, which: int) -> int:
    packet = packet_at(packet_address)
    if which == 0:
        return arp.arp_operation(packet)
    if which == 1:
        return arp.arp_sender_mac(packet)
    return arp.arp_sender(packet) if which == 2 else arp.arp_target(packet)


@entry_kernel
def icmp_fields(packet_address: int, which: int) -> int:
    packet = packet_at(packet_address)
    if which == 0:
        return icmp.icmp_type(packet)
    if which == 1:
        return icmp.is_icmp_error(packet)
    ports = icmp.quoted_ports(packet)
    if which == 2 or ports == 0:
        return ports - packet.transport if ports else 0
    if which == 3:
        return icmp.quoted_protocol(packet)
    return icmp.quoted_source(packet) if which == 4 else icmp.quoted_destination(packet)


@entry_kernel
def write_echo(target: int, packet_address: int) -> int:
    return icmp.write_echo_reply(target, packet_at(packet_address))


@entry_kernel
def write_arp(target: int, operation: int, mac: int, ipv4_address: int, other_mac: int, other: int) -> int:
    return arp.write_arp(target, operation, mac, ipv4_address, other_mac, other)


@entry_kernel
def write_ethernet(target: int, destination: int, source: int, ether_type: int) -> int:
    return ethernet.write_ethernet(target, destination, source, ether_type)


@entry_kernel
def write_ipv4(target: int, source_low: int, destination_low: int, protocol: int, length: int) -> int:
    return ipv4.write_ipv4(target, source_low, destination_low, protocol, length)


@entry_kernel
def write_tcp(
    target: int, source_port: int, destination_port: int, sequence: int, acknowledgment: int, flags: int, window: int
) -> int:
    """With the options of a SYN if the flags say so, and without a checksum."""
    options = 12 if flags & tcp.SYN else 0
    header = tcp.TCP_HEADER + options
    tcp.write_tcp(target, source_port, destination_port, sequence, acknowledgment, flags, window, header)
    if options:
        tcp.write_syn_options(target + tcp.TCP_HEADER, 1460, 7, 1)
    return header


@entry_kernel
def write_options(target: int, mss: int, window_scale: int, sack: int) -> int:
    return tcp.write_syn_options(target, mss, window_scale, sack)


@entry_kernel
def write_timestamps(target: int, value: int, echo: int) -> int:
    return tcp.write_timestamps(target, value, echo)


@entry_kernel
def finish_tcp(target: int, header: int, source_low: int, destination_low: int, payload: int) -> int:
    """The payload lies behind the header."""
    total = sum_pseudo_header(0, source_low, 0, destination_low, PROTOCOL_TCP, header + payload)
    return tcp.finish_tcp_checksum(target, header, total + sum_bytes(target + header, payload))


@entry_kernel
def write_udp(target: int, ports: int, source_low: int, destination_low: int, payload: int) -> int:
    """``ports``: source << 16 | destination; the payload lies behind the header."""
    total = sum_pseudo_header(0, source_low, 0, destination_low, PROTOCOL_UDP, udp.UDP_HEADER + payload)
    total += sum_bytes(target + udp.UDP_HEADER, payload)
    return udp.write_udp(target, ports >> 16, ports & 0xFFFF, payload, total)


@entry_kernel
def checksum_of(address: int, length: int) -> int:
    return checksum(address, length)


@entry_kernel
def fold_of(total: int) -> int:
    return fold(total)


@entry_kernel
def updated(old_checksum: int, old_word: int, new_word: int) -> int:
    return update16(old_checksum, old_word, new_word)


@entry_kernel
def pseudo_sum(
    source_high: int, source_low: int, destination_high: int, destination_low: int, protocol: int, length: int
) -> int:
    return sum_pseudo_header(source_high, source_low, destination_high, destination_low, protocol, length)


class Reader:
    """Reads frames that end where inaccessible memory begins."""

    def __init__(self) -> None:
        self.memory = GuardedBytes()
        self._bytes, self.packet, self.address = new(Packet)

    def read(self, data: bytes, state: Checksum = Checksum.UNKNOWN) -> Verdict:
        return Verdict(read_all(self.address, self.memory.put(data), len(data), state))

    def part(self, name: str) -> bytes:
        """Return the bytes of a part of the frame (`network`, `transport`, `payload`)."""
        record: Any = self.packet
        start = getattr(record, name) - record.frame
        memory = self.memory.get(record.length)
        return memory[start : start + getattr(record, f"{name}_length")]
