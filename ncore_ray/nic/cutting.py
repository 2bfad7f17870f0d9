"""Large TCP packets that the kernel has put together (TSO of a veth's other end, GRO): what can go on, and how.

Most go on as they came, in a chain of frames (`may_chain`). The others are cut: everything behind the reader then sees
packets that fit into a frame, each with the headers of the large one and its part of the bytes (RFC 9293 leaves the
boundaries of segments without a meaning).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, Checksum
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load8, load16be, load32be, store8, store16be, store32be
from ncore_ray.nic.local import ReaderLocal
from ncore_ray.wire.checksum import checksum, sum_bytes
from ncore_ray.wire.ethernet import ETHERNET_HEADER, TYPE_IPV4, TYPE_IPV6
from ncore_ray.wire.ipv4 import IPV4_HEADER, PROTOCOL_TCP
from ncore_ray.wire.ipv6 import IPV6_HEADER
from ncore_ray.wire.tcp import ACK, FIN, PSH, TCP_HEADER, begin_tcp_checksum

LARGEST: Final = 65_536 + 128
"""Room for the largest packet that the kernel puts together."""
CHAIN_FRAMES: Final = -(-LARGEST // FRAME_SIZE)
"""Frames that the largest packet takes."""
_LAST_ONLY: Final = FIN | PSH
_CWR: Final = 0x80
_ETHER_TYPE: Final = 12


@kernel
def headers_of(packet: int, length: int) -> int:
    """Return the bytes of the headers of a TCP packet that may be cut, or 0 if it is none."""
    if length < ETHERNET_HEADER + IPV4_HEADER + TCP_HEADER:
        return 0
    if load16be(packet + _ETHER_TYPE) != TYPE_IPV4:
        return _headers_of6(packet, length)
    network = packet + ETHERNET_HEADER
    network_header = (load8(network) & 15) * 4
    if load8(network) >> 4 != 4 or network_header < IPV4_HEADER or load8(network + 9) != PROTOCOL_TCP:
        return 0
    if load16be(network + 6) & 0x3FFF or ETHERNET_HEADER + network_header + TCP_HEADER > length:
        return 0
    transport_header = (load8(network + network_header + 12) >> 4) * 4
    headers = ETHERNET_HEADER + network_header + transport_header
    if transport_header < TCP_HEADER or headers >= length:
        return 0
    return headers if load16be(network + 2) == length - ETHERNET_HEADER else 0


@kernel
def _headers_of6(packet: int, length: int) -> int:
    """The same over IPv6 without extension headers."""
    if length < ETHERNET_HEADER + IPV6_HEADER + TCP_HEADER or load16be(packet + _ETHER_TYPE) != TYPE_IPV6:
        return 0
    network = packet + ETHERNET_HEADER
    if load8(network) >> 4 != 6 or load8(network + 6) != PROTOCOL_TCP:
        return 0
    transport_header = (load8(network + IPV6_HEADER + 12) >> 4) * 4
    headers = ETHERNET_HEADER + IPV6_HEADER + transport_header
    if transport_header < TCP_HEADER or headers >= length:
        return 0
    return headers if load16be(network + 4) == length - ETHERNET_HEADER - IPV6_HEADER else 0


@kernel
def _transport_of(packet: int) -> int:
    """Return the address of the TCP header of a packet that `headers_of` knows."""
    if load16be(packet + _ETHER_TYPE) != TYPE_IPV4:
        return packet + ETHERNET_HEADER + IPV6_HEADER
    return packet + ETHERNET_HEADER + (load8(packet + ETHERNET_HEADER) & 15) * 4


@kernel
def may_chain(packet: int, length: int, state: int) -> bool:
    """Tell from its headers whether a packet can go on in a chain of frames: bytes of a stream and nothing else.

    Those with flags that mean more than that are rare, and cut. So nobody has to deliver the end of a stream in pieces.
    """
    if state == Checksum.UNKNOWN or headers_of(packet, length) == 0 or length > LARGEST:
        return False
    return load8(_transport_of(packet) + 13) & ~PSH == ACK


@kernel
def begin_cutting(local: ReaderLocal, length: int, state: int) -> int:
    """Take the packet of ``length`` bytes in the room for large packets; return 1 if it can be cut.

    A checksum that nobody has looked at cannot be checked piece by piece.
    """
    headers = headers_of(local.large, length)
    if headers == 0 or state == Checksum.UNKNOWN:
        return 0
    local.large_headers = headers
    local.large_length = length
    local.large_at = headers
    local.large_checksum = state
    return 1


@kernel
def is_cutting(local: ReaderLocal) -> bool:
    """Tell whether a large packet has not been handed on whole."""
    return local.large_at < local.large_length


@kernel
def cut(local: ReaderLocal, frame: int) -> int:
    """Write the next part of a large packet, with headers, to a frame; return its length."""
    headers = local.large_headers
    part = min(FRAME_SIZE - headers, local.large_length - local.large_at)
    copy(frame, local.large, headers)
    copy(frame + headers, local.large + local.large_at, part)
    transport = _transport_of(frame)
    _change_network(frame, headers - ETHERNET_HEADER + part)
    sequence = load32be(transport + 4) + local.large_at - headers
    store32be(transport + 4, sequence & 0xFFFF_FFFF)
    flags = load8(transport + 13)
    if local.large_at > headers:
        flags &= ~_CWR
    local.large_at += part
    if is_cutting(local):
        flags &= ~_LAST_ONLY
    store8(transport + 13, flags)
    _begin_sum(frame, transport, headers - (transport - frame) + part)
    local.checksum = Checksum.PARTIAL
    return headers + part


@kernel
def _begin_sum(frame: int, transport: int, length: int) -> int:
    """Write the sum of the part's own pseudo header: the large packet's checksum is no part's, whatever it was."""
    network = frame + ETHERNET_HEADER
    is_4 = load16be(frame + _ETHER_TYPE) == TYPE_IPV4
    addresses = sum_bytes(network + 12, 8) if is_4 else sum_bytes(network + 8, 32)
    return begin_tcp_checksum(transport, addresses + PROTOCOL_TCP + length)


@kernel
def _change_network(frame: int, length: int) -> int:
    network = frame + ETHERNET_HEADER
    if load16be(frame + _ETHER_TYPE) != TYPE_IPV4:
        return store16be(network + 4, length - IPV6_HEADER)
    store16be(network + 2, length)
    store16be(network + 10, 0)
    return store16be(network + 10, checksum(network, (load8(network) & 15) * 4))
