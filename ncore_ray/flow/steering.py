"""A program for the kernel's packet fanout that brings each packet to the engine that will have its flow (`rss`).

Classic BPF (bpf(4), Linux: Documentation/networking/filter.rst), put together here: a server's answer goes by its
destination port, all else by the entry of the indirection table that its Toeplitz hash names. What the program cannot
know (flows assigned by another algorithm, fragments, ARP) is handed on by the engine that gets it.

Each bit of a Toeplitz hash is the parity of some of the input's bits, as the hash is linear: the program takes as many
parities as the indirection table's index has bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ncore_ray.flow.key import Field
from ncore_ray.flow.toeplitz import toeplitz_of

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant."""
Code = list[Instruction]

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_WORD_AT_X, _LOAD_HALF_AT_X = 0x40, 0x48
_LOAD_CONSTANT, _LOAD_MEMORY, _LOAD_X_MEMORY, _STORE = 0x00, 0x60, 0x61, 0x02
_LOAD_X_HEADER_LENGTH: Final = 0xB1
_AND, _OR_X, _XOR_X, _SHIFT_LEFT, _SHIFT_RIGHT, _SHIFT_RIGHT_X = 0x54, 0x4C, 0xAC, 0x64, 0x74, 0x7C
_JUMP, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x05, 0x15, 0x35, 0x45
_RETURN, _COPY_TO_X = 0x06, 0x07

_NETWORK: Final = 0xFFF0_0000
"""Offsets from here on count from the IP header (SKF_NET_OFF)."""
_ETHER_TYPE: Final = 0xFFFF_F000
"""SKF_AD_OFF + SKF_AD_PROTOCOL."""
_IPV4, _IPV6, _TCP, _UDP = 0x0800, 0x86DD, 6, 17
_OFFSET_BITS: Final = 0x1FFF
_SOURCE, _DESTINATION, _PORTS, _INDEX = range(4)
"""Words of the program's scratch memory …"""
_FIRST6: Final = 4
"""… and the first of nine of an IPv6 packet."""
_SNIP6: Final = 9
"""Instructions that compare an IPv6 address."""
_PORT: Final = (_LOAD_HALF_AT_X, 0, 0, _NETWORK + 2)
_PORT6: Final = (_LOAD_HALF, 0, 0, _NETWORK + 42)
"""What loads the destination port."""
_NIBBLE_PARITIES: Final = 0x6996
"""Bit n is the parity of n."""


@dataclass(frozen=True)
class Steering:
    """What the program has to know."""

    snips: tuple[int, ...]
    """IPv4 addresses towards servers: 32 bits each."""
    port_ranges: tuple[tuple[int, int], ...]
    """First port and number of ports of each engine."""
    hash_key: bytes
    key: Field
    indirection: tuple[int, ...]
    """Engine of each entry; as many as a power of two."""
    snips6: tuple[int, ...] = ()
    """IPv6 addresses towards servers: 128 bits each."""


def steering_program(steering: Steering, members: Sequence[int]) -> tuple[Instruction, ...]:
    """Return the program for a group in which engine ``members[n]`` reads the socket of number n."""
    number = {engine: place for place, engine in enumerate(members)}
    server = _by_port(steering, number)
    four = [*_check_header(), *_load_key(), *_is_snip(steering.snips, len(server)), *server]
    four += _by_hash(steering, _masks4)
    server = _by_port(steering, number, load=_PORT6)
    six = [*_check_header6(), *_load_key6(), *_is_snip6(steering.snips6, len(server)), *server]
    six += [*_by_hash(steering, _masks6), (_JUMP, 0, 0, len(four))]
    code: Code = [(_LOAD_HALF, 0, 0, _ETHER_TYPE), (_IF_EQUAL, 1, 0, _IPV6), (_JUMP, 0, 0, len(six)), *six, *four]
    return tuple(code + _leaf_of([number.get(engine, 0) for engine in steering.indirection]))


def _unless(jump: int, constant: int, then: Code) -> Code:
    """Return code that does ``then`` unless the comparison is true."""
    return [(jump, len(then), 0, constant), *then]


def _if(jump: int, constant: int, then: Code) -> Code:
    return [(jump, 0, len(then), constant), *then]


def _give(member: int) -> Code:
    return [(_RETURN, 0, 0, member)]


def _check_header() -> Code:
    """Packets without ports at a known place go to the first member."""
    code: Code = [*_unless(_IF_EQUAL, _IPV4, _give(0))]
    code += [(_LOAD_HALF, 0, 0, _NETWORK + 6), *_if(_IF_ANY_BIT, _OFFSET_BITS, _give(0))]
    code += [(_LOAD_BYTE, 0, 0, _NETWORK + 9), (_IF_EQUAL, 2, 0, _TCP), *_unless(_IF_EQUAL, _UDP, _give(0))]
    return code


def _load_key() -> Code:
    """Leave addresses and ports in the scratch memory, the destination address in the accumulator."""
    return [
        (_LOAD_X_HEADER_LENGTH, 0, 0, _NETWORK),
        (_LOAD_WORD_AT_X, 0, 0, _NETWORK),
        (_STORE, 0, 0, _PORTS),
        (_LOAD_WORD, 0, 0, _NETWORK + 12),
        (_STORE, 0, 0, _SOURCE),
        (_LOAD_WORD, 0, 0, _NETWORK + 16),
        (_STORE, 0, 0, _DESTINATION),
    ]


def _is_snip(snips: Sequence[int], skipped: int) -> Code:
    """Go on behind the next ``skipped`` instructions unless the destination is an address towards servers."""
    code: Code = [(_IF_EQUAL, len(snips) - place, 0, snip) for place, snip in enumerate(snips)]
    return [*code, (_JUMP, 0, 0, skipped)]


def _by_port(steering: Steering, number: dict[int, int], load: Instruction = _PORT) -> Code:
    """Return by the destination port, or go on if no engine owns it."""
    code: Code = [load]
    ranges = sorted(enumerate(steering.port_ranges), key=lambda row: -row[1][0])
    highest = max(first + count for first, count in steering.port_ranges)
    tests: Code = []
    for engine, (first, _) in ranges:
        tests += _if(_IF_AT_LEAST, first, _give(number.get(engine, 0)))
    return [*code, (_IF_AT_LEAST, len(tests), 0, highest), *tests]


def _check_header6() -> Code:
    """Packets with extension headers go to the first member, too."""
    return [(_LOAD_BYTE, 0, 0, _NETWORK + 6), (_IF_EQUAL, 2, 0, _TCP), *_unless(_IF_EQUAL, _UDP, _give(0))]


def _load_key6() -> Code:
    """Leave eight words of addresses and one of ports in the scratch memory."""
    code: Code = []
    for place in range(8):
        code += [(_LOAD_WORD, 0, 0, _NETWORK + 8 + 4 * place), (_STORE, 0, 0, _FIRST6 + place)]
    return [*code, (_LOAD_WORD, 0, 0, _NETWORK + 40), (_STORE, 0, 0, _FIRST6 + 8)]


def _is_snip6(snips: Sequence[int], skipped: int) -> Code:
    """Go on behind the next ``skipped`` instructions unless the destination is an address towards servers."""
    code: Code = []
    for left in reversed(range(len(snips))):
        snip = snips[len(snips) - 1 - left]
        for word in range(4):
            differs = _SNIP6 - 2 * (word + 1)
            code.append((_LOAD_MEMORY, 0, 0, _FIRST6 + 4 + word))
            code.append((_IF_EQUAL, 0, differs, snip >> 96 - 32 * word & 0xFFFF_FFFF))
        code.append((_JUMP, 0, 0, _SNIP6 * left + 1))
    return [*code, (_JUMP, 0, 0, skipped)]


def _parity_mask(key: bytes, word: int, words: int, bit: int) -> int:
    """Return which bits of one of the input's words a bit of the hash is the parity of."""
    mask = 0
    for place in range(32):
        data = bytes(4 * word) + (1 << place).to_bytes(4, "big") + bytes(4 * (words - 1 - word))
        mask |= (toeplitz_of(key, data) >> bit & 1) << place
    return mask


Masks = list[tuple[int, int]]
"""Words of the scratch memory, and which bits of each count."""


def _masks4(steering: Steering, bit: int) -> Masks:
    chosen = zip((_SOURCE, _DESTINATION, _PORTS), _chosen(steering.key), strict=True)
    return [(place, _parity_mask(steering.hash_key, word, 3, bit) & c) for word, (place, c) in enumerate(chosen)]


def _masks6(steering: Steering, bit: int) -> Masks:
    source, destination, ports = _chosen(steering.key)
    chosen = [source] * 4 + [destination] * 4 + [ports]
    return [(_FIRST6 + word, _parity_mask(steering.hash_key, word, 9, bit) & c) for word, c in enumerate(chosen)]


def _chosen(key: Field) -> tuple[int, int, int]:
    source = 0xFFFF_FFFF if key & Field.SOURCE_ADDRESS else 0
    destination = 0xFFFF_FFFF if key & Field.DESTINATION_ADDRESS else 0
    ports = (0xFFFF_0000 if key & Field.SOURCE_PORT else 0) | (0xFFFF if key & Field.DESTINATION_PORT else 0)
    return source, destination, ports


def _parity() -> Code:
    code: Code = []
    for shift in (16, 8, 4):
        code += [(_COPY_TO_X, 0, 0, 0), (_SHIFT_RIGHT, 0, 0, shift), (_XOR_X, 0, 0, 0)]
    code += [(_AND, 0, 0, 15), (_COPY_TO_X, 0, 0, 0), (_LOAD_CONSTANT, 0, 0, _NIBBLE_PARITIES)]
    return [*code, (_SHIFT_RIGHT_X, 0, 0, 0), (_AND, 0, 0, 1)]


def _by_hash(steering: Steering, masks: Callable[[Steering, int], Masks]) -> Code:
    """Leave the index of the indirection table's entry in the accumulator."""
    code: Code = [(_LOAD_CONSTANT, 0, 0, 0), (_STORE, 0, 0, _INDEX)]
    for bit in range(len(steering.indirection).bit_length() - 1):
        (first, mask), *others = [row for row in masks(steering, bit) if row[1]] or [(_PORTS, 0)]
        code += [(_LOAD_MEMORY, 0, 0, first), (_AND, 0, 0, mask)]
        for place, mask in others:
            code += [(_COPY_TO_X, 0, 0, 0), (_LOAD_MEMORY, 0, 0, place), (_AND, 0, 0, mask), (_XOR_X, 0, 0, 0)]
        code += [*_parity(), (_SHIFT_LEFT, 0, 0, bit), (_LOAD_X_MEMORY, 0, 0, _INDEX), (_OR_X, 0, 0, 0)]
        code.append((_STORE, 0, 0, _INDEX))
    return code


def _leaf_of(leaves: Sequence[int], first: int = 0) -> Code:
    """Return the member that stands at the accumulator's place among the leaves: a binary search."""
    if len(set(leaves)) == 1:
        return _give(leaves[0])
    half = len(leaves) // 2
    left, right = _leaf_of(leaves[:half], first), _leaf_of(leaves[half:], first + half)
    return [(_IF_AT_LEAST, len(left), 0, first + half), *left, *right]
