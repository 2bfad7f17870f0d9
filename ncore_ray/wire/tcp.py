"""TCP headers and options (RFC 9293 §3.1, §3.2; RFC 2018 §2, §3; RFC 7323 §2, §3)."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import Checksum
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, load32be, store8, store16be, store32be
from ncore_ray.wire.checksum import fold, sum_bytes, sum_pseudo_header
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet, Verdict

TCP_HEADER: Final = 20
FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80

_OPTION_END: Final = 0
_OPTION_NOP: Final = 1
_OPTION_MSS: Final = 2
_OPTION_WINDOW_SCALE: Final = 3
_OPTION_SACK_PERMITTED: Final = 4
_OPTION_SACK: Final = 5
_OPTION_TIMESTAMPS: Final = 8
_OPTION_FAST_OPEN: Final = 34
_TIMESTAMPS_HEAD: Final = _OPTION_NOP << 24 | _OPTION_NOP << 16 | _OPTION_TIMESTAMPS << 8 | 10
MAX_WINDOW_SCALE: Final = 14
TIMESTAMPS: Final = 12
"""Bytes of the timestamps option with its padding."""
SACK_BLOCK: Final = 8
FAST_OPEN: Final = 12
"""Bytes of the Fast Open option with a cookie of 8 bytes, and padding."""
NO_FAST_OPEN: Final = -1
MAX_SACK_BLOCKS: Final = 4
"""Three beside timestamps."""


@kernel
def read_ports(packet: Packet) -> Verdict:
    """Read only the ports (TCP and UDP have them in the same place): what the flow distributor needs."""
    if packet.transport_length < 8:
        return Verdict.TRUNCATED
    packet.source_port = load16be(packet.transport)
    packet.destination_port = load16be(packet.transport + 2)
    return Verdict.GOOD


@kernel
def read_tcp(packet: Packet) -> Verdict:
    """Read the transport header and options into the packet record and check lengths and checksum."""
    at = packet.transport
    if packet.transport_length < TCP_HEADER:
        return Verdict.TRUNCATED
    header_length = (load8(at + 12) >> 4) * 4
    if header_length < TCP_HEADER:
        return Verdict.BAD_HEADER
    if header_length > packet.transport_length:
        return Verdict.TRUNCATED
    if packet.checksum == Checksum.UNKNOWN and not _sum_is_right(packet):
        return Verdict.BAD_CHECKSUM
    packet.source_port = load16be(at)
    packet.destination_port = load16be(at + 2)
    packet.sequence = load32be(at + 4)
    packet.acknowledgment = load32be(at + 8)
    packet.flags = load8(at + 13)
    packet.window = load16be(at + 14)
    packet.payload = at + header_length
    packet.payload_length = packet.transport_length - header_length
    packet.option_mss = 0
    packet.option_window_scale = -1
    packet.option_sack_permitted = 0
    packet.sack_count = 0
    packet.has_timestamp = 0
    if packet.flags & SYN:
        packet.fast_open = NO_FAST_OPEN
        return _read_syn_options(packet, at + TCP_HEADER, at + header_length)
    if header_length >= TCP_HEADER + SACK_BLOCK:
        _read_options(packet, at + TCP_HEADER, at + header_length)
    return Verdict.GOOD


@kernel
def _sum_is_right(packet: Packet) -> int:
    length = packet.transport_length
    total = sum_bytes(packet.transport, length) + sum_pseudo_header(
        packet.source_high,
        packet.source_low,
        packet.destination_high,
        packet.destination_low,
        PROTOCOL_TCP,
        length,
    )
    return 1 if fold(total) == 0xFFFF else 0


@kernel
def _read_syn_options(packet: Packet, at: int, end: int) -> Verdict:
    """Read the options that only a SYN carries; unknown ones are passed over (RFC 9293 MUST-6)."""
    while at < end:
        kind = load8(at)
        if kind == _OPTION_END:
            return Verdict.GOOD
        if kind == _OPTION_NOP:
            at += 1
            continue
        length = load8(at + 1) if at + 1 < end else 0
        if length < 2 or at + length > end:
            return Verdict.BAD_HEADER
        if kind == _OPTION_MSS and length == 4:
            packet.option_mss = load16be(at + 2)
        elif kind == _OPTION_WINDOW_SCALE and length == 3:
            packet.option_window_scale = min(load8(at + 2), MAX_WINDOW_SCALE)  # RFC 7323 §2.3
        elif kind == _OPTION_SACK_PERMITTED and length == 2:
            packet.option_sack_permitted = 1
        elif kind == _OPTION_TIMESTAMPS and length == 10:
            _read_timestamps(packet, at + 2)
        elif kind == _OPTION_FAST_OPEN:
            _read_fast_open(packet, at + 2, length - 2)
        at += length
    return Verdict.GOOD


@kernel
def _read_fast_open(packet: Packet, at: int, length: int) -> int:
    """Read a Fast Open option (RFC 7413 §4.1.1): a request, or a cookie; one of another length was never ours."""
    packet.fast_open = length
    packet.fast_open_high = load32be(at) if length == 8 else 0
    packet.fast_open_low = load32be(at + 4) if length == 8 else 0
    return 0


@kernel
def _read_timestamps(packet: Packet, at: int) -> int:
    packet.has_timestamp = 1
    packet.timestamp = load32be(at)
    packet.timestamp_echo = load32be(at + 4)
    return 0


@kernel
def _read_options(packet: Packet, at: int, end: int) -> int:
    """Read the options of a segment that is no SYN; what stands behind a broken one is passed over."""
    if end - at >= TIMESTAMPS and load32be(at) == _TIMESTAMPS_HEAD:  # as nearly everybody writes them
        _read_timestamps(packet, at + 4)
        at += TIMESTAMPS
    while at < end and load8(at) != _OPTION_END:
        if load8(at) == _OPTION_NOP:
            at += 1
            continue
        length = load8(at + 1) if at + 1 < end else 0
        if length < 2 or at + length > end:
            return 0
        if load8(at) == _OPTION_SACK and length > 2 and length % SACK_BLOCK == 2:
            packet.sack_blocks = at + 2
            packet.sack_count = length // SACK_BLOCK
        elif load8(at) == _OPTION_TIMESTAMPS and length == 10:
            _read_timestamps(packet, at + 2)
        at += length
    return 0


@kernel
def write_tcp(
    target: int,
    source_port: int,
    destination_port: int,
    sequence: int,
    acknowledgment: int,
    flags: int,
    window: int,
    header_length: int,
) -> int:
    """Write the first 20 bytes of a header of ``header_length`` bytes with a checksum of 0; return 20."""
    store16be(target, source_port)
    store16be(target + 2, destination_port)
    store32be(target + 4, sequence)
    store32be(target + 8, acknowledgment)
    store8(target + 12, header_length << 2)
    store8(target + 13, flags)
    store16be(target + 14, window)
    store32be(target + 16, 0)
    return TCP_HEADER


@kernel
def write_syn_options(target: int, mss: int, window_scale: int, sack: int) -> int:
    """Write the options of a SYN; a negative scale and a ``sack`` of 0 leave theirs out. Return their 4 to 12 bytes."""
    store8(target, _OPTION_MSS)
    store8(target + 1, 4)
    store16be(target + 2, mss)
    at = target + 4
    if sack:
        store32be(at, _OPTION_NOP << 24 | _OPTION_NOP << 16 | _OPTION_SACK_PERMITTED << 8 | 2)
        at += 4
    if window_scale >= 0:
        store32be(at, _OPTION_NOP << 24 | _OPTION_WINDOW_SCALE << 16 | 3 << 8 | window_scale)
        at += 4
    return at - target


@kernel
def write_sack_option(target: int, blocks: int) -> int:
    """Write the head of a selective acknowledgment, with padding, before ``blocks`` blocks; return its 4 bytes."""
    store32be(target, _OPTION_NOP << 24 | _OPTION_NOP << 16 | _OPTION_SACK << 8 | 2 + SACK_BLOCK * blocks)
    return 4


@kernel
def write_timestamps(target: int, value: int, echo: int) -> int:
    """Write the timestamps option, with padding before it; return its 12 bytes."""
    store32be(target, _TIMESTAMPS_HEAD)
    store32be(target + 4, value)
    store32be(target + 8, echo)
    return TIMESTAMPS


@kernel
def write_fast_open(target: int, high: int, low: int) -> int:
    """Write a Fast Open cookie, with padding before it; return the option's 12 bytes."""
    store32be(target, _OPTION_NOP << 24 | _OPTION_NOP << 16 | _OPTION_FAST_OPEN << 8 | 10)
    store32be(target + 4, high)
    store32be(target + 8, low)
    return FAST_OPEN


@kernel
def begin_tcp_checksum(target: int, pseudo: int) -> int:
    """Write the sum of the pseudo header where the checksum stands: whoever sends the packet completes it."""
    return store16be(target + 16, fold(pseudo))


@kernel
def finish_tcp_checksum(target: int, header_length: int, pseudo_and_payload: int) -> int:
    """Write the checksum of a header whose checksum field is 0; the argument sums pseudo header and payload."""
    total = fold(pseudo_and_payload + sum_bytes(target, header_length))
    return store16be(target + 16, total ^ 0xFFFF)
