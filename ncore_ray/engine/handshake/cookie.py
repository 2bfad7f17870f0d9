"""SYN cookies: an initial sequence number that brings back what a SYN said (RFC 4987 §3.6).

Nothing is kept of the SYN. The number holds, from its low end, a bit of the time, three of the segment size and, where
no timestamps are spoken, one of SACK and three of the window scale; above them stands a keyed hash of the addresses,
the client's own number, the time and these bits. With timestamps (RFC 7323) the low six bits of the one that we send,
which the client echoes, hold the scale, SACK and ECN instead, and the hash has four bits more.

A cookie is good for one to two periods, at any engine of the appliance, and after the death of the one that made it:
the secret is the arena's.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.hash import MASK32, sip_begin, sip_end, sip_word
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.packet import Packet

_PERIOD_BITS: Final = 26
LIFETIME_US: Final = 2 << _PERIOD_BITS
"""134 s; at the least half of it."""
_KEY_0: Final = 0x5359_4E63
_KEY_1: Final = 0x6F6F_6B79
"""Let the hash be another one than those of the connection table and of initial sequence numbers."""
_SHORT: Final = 4
_LONG: Final = 8
"""Bits beside the hash, with timestamps and without."""
_SACK: Final = 1 << 4
_STAMP_BITS: Final = 6
_STAMP_SACK: Final = 1 << 4
_STAMP_NO_SCALE: Final = 15
_SIZES: Final = 64 | 536 << 11 | 1220 << 22 | 1360 << 33 | 1400 << 44
_LARGE_SIZES: Final = 1440 | 1452 << 11 | 1460 << 22
"""Segment sizes: the least, the default, IPv6's, and those of usual tunnels, PPPoE and Ethernet; 11 bits each."""
_SCALES: Final = 0x0 | 0x1 << 4 | 0x3 << 8 | 0x5 << 12 | 0x7 << 16 | 0x8 << 20 | 0x9 << 24 | 0xB << 28
"""Window scales plus 1, four bits each: none, 0, 2, 4, 6, 7, 8, 10."""
NO_DATA: Final = -1


@kernel
def size_of_class(number: int) -> int:
    """Return the segment size of a class (0 to 7)."""
    return _SIZES >> 11 * number & 0x7FF if number < 5 else _LARGE_SIZES >> 11 * (number - 5) & 0x7FF


@kernel
def scale_of_class(number: int) -> int:
    """Return the window scale of a class (0 to 7), −1 for none."""
    return (_SCALES >> 4 * number & 15) - 1


@kernel
def _class_of_size(mss: int) -> int:
    """Return the class of the largest size that is not above ``mss``; what is below the least is taken for it."""
    number = 7
    while number > 0 and size_of_class(number) > mss:
        number -= 1
    return number


@kernel
def _class_of_scale(scale: int) -> int:
    """Return the class of the largest scale that is not above: a peer's window is never thought too large."""
    number = 7
    while number > 0 and scale_of_class(number) > scale:
        number -= 1
    return number


@kernel
def _hash(engine: Engine, packet: Packet, first: int, salt: int) -> int:
    """Return 32 bits of a keyed hash of a packet's ends, its sender's initial sequence number and a salt."""
    arena = arena_at(base_of(engine))
    v0, v1, v2, v3 = sip_begin(arena.secret_0 ^ _KEY_0, arena.secret_1 ^ _KEY_1)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, packet.source_low & MASK32)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, packet.destination_low & MASK32)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, packet.source_port << 16 | packet.destination_port)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, first)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, salt)
    length = 20
    if not is_ipv4(packet.source_high, packet.source_low) or not is_ipv4(
        packet.destination_high, packet.destination_low
    ):
        for word in (packet.source_high, packet.destination_high):
            v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, word & MASK32)
            v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, word >> 32 & MASK32)
        for word in (packet.source_low, packet.destination_low):
            v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, word >> 32 & MASK32)
        length = 44
    return sip_end(v0, v1, v2, v3, length)


@kernel
def _salt(period: int, data: int, width: int) -> int:
    """Return the word that holds the time, the bits beside the hash and which of the two forms it is."""
    return (period & 0x7F_FFFF) << 9 | (1 if width == _SHORT else 0) << 8 | data


@kernel
def _number(engine: Engine, packet: Packet, first: int, period: int, data: int, width: int) -> int:
    found = _hash(engine, packet, first, _salt(period, data, width))
    low = (1 << width) - 1
    return found & ~low | (data ^ found >> (32 - width))  # so that the low end is no plain text


@kernel
def make_cookie(engine: Engine, packet: Packet, scale: int, sack: int, timestamps: int) -> int:
    """Return the initial sequence number for a SYN of which is kept: segment size, window scale (−1: none), SACK."""
    period = engine.now >> _PERIOD_BITS
    default = 536 if is_ipv4(packet.source_high, packet.source_low) else 1_220
    data = period & 1 | _class_of_size(packet.option_mss if packet.option_mss else default) << 1
    if timestamps:
        return _number(engine, packet, packet.sequence, period, data, _SHORT)
    data |= (_SACK if sack else 0) | _class_of_scale(scale) << 5
    return _number(engine, packet, packet.sequence, period, data, _LONG)


@kernel
def read_cookie(engine: Engine, packet: Packet, cookie: int, first: int, timestamps: int) -> int:
    """Return the bits that a cookie of this appliance holds, or NO_DATA if it is none, or too old.

    ``packet`` is the acknowledgment that brought it back, ``first`` the initial sequence number of its sender.
    """
    width = _SHORT if timestamps else _LONG
    data = (cookie ^ cookie >> (32 - width)) & (1 << width) - 1
    period = engine.now >> _PERIOD_BITS
    period -= (period ^ data) & 1
    return data if _number(engine, packet, first, period, data, width) == cookie else NO_DATA


@kernel
def stamp_with(stamp: int, scale: int, sack: int) -> int:
    """Return a timestamp not above ``stamp`` whose low bits hold what a SYN said (bit 5, for ECN, is not used yet)."""
    bits = (scale if scale >= 0 else _STAMP_NO_SCALE) | (_STAMP_SACK if sack else 0)
    low = (1 << _STAMP_BITS) - 1
    fixed = stamp & ~low | bits
    return (fixed if fixed <= stamp else fixed - low - 1) & MASK32


@kernel
def restore_options(packet: Packet, data: int, timestamps: int) -> int:
    """Write to the packet record of an acknowledgment what its sender's SYN said."""
    packet.option_mss = size_of_class(data >> 1 & 7)
    if not timestamps:
        packet.option_sack_permitted = 1 if data & _SACK else 0
        packet.option_window_scale = scale_of_class(data >> 5 & 7)
        return 0
    echo = packet.timestamp_echo
    packet.option_sack_permitted = 1 if echo & _STAMP_SACK else 0
    packet.option_window_scale = -1 if echo & 15 == _STAMP_NO_SCALE else echo & 15
    return 0
