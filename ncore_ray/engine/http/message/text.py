"""Text in kernels: looking for characters sixteen at a time, constant text, decimal numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from llvmlite import ir

from ncore_ray.machine.jit import kernel, machine_code
from ncore_ray.machine.memory import load8, load16be, store8

_I64: Final = ir.IntType(64)
_LANES: Final = 16
_BYTES: Final = ir.VectorType(ir.IntType(8), _LANES)

CR: Final = 0x0D
LF: Final = 0x0A
HTAB: Final = 0x09
SPACE: Final = 0x20
COMMA: Final = 0x2C
COLON: Final = 0x3A
_CRLF: Final = 0x0D0A

ALL: Final = frozenset(range(256))
DIGITS: Final = frozenset(b"0123456789")
HEX_DIGITS: Final = DIGITS | frozenset(b"abcdefABCDEF")
LETTERS: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
VISIBLE: Final = frozenset(range(0x21, 0x7F))
"""VCHAR (RFC 5234)."""
TOKEN: Final = DIGITS | LETTERS | frozenset(b"!#$%&'*+-.^_`|~")
"""tchar (RFC 9110 §5.6.2)."""
FIELD_CONTENT: Final = VISIBLE | frozenset(range(0x80, 0x100)) | {SPACE, HTAB}
"""What a field value is made of (RFC 9110 §5.5), obs-text included."""
TARGET: Final = VISIBLE - frozenset(b"#")
"""What passes in a request target: more than in RFC 3986, because browsers send ``|`` and ``{`` as they are."""
HOST: Final = DIGITS | LETTERS | frozenset(b"-._~!$&'()*+;=")
"""reg-name (RFC 3986 §3.2.2) without ``%`` and ``,``, which different programs read differently."""


def _ranges(members: Iterable[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for byte in sorted(members):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1] = (ranges[-1][0], byte)
        else:
            ranges.append((byte, byte))
    return ranges


def _splat(byte: int) -> ir.Constant:
    return ir.Constant(_BYTES, [byte] * _LANES)


def _in_range(builder: Any, lanes: Any, low: int, high: int) -> Any:
    if low == high:
        return builder.icmp_unsigned("==", lanes, _splat(low))
    return builder.icmp_unsigned("<=", builder.sub(lanes, _splat(low)), _splat(high - low))


def _mask_of(stops: frozenset[int]) -> Callable[[int], int]:
    """Return the kernel that gives, for 16 bytes at an address, one bit for each that is in ``stops``."""
    inside, outside = _ranges(stops), _ranges(ALL - stops)
    inverted = len(outside) < len(inside)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.PointerType())
        lanes = builder.load(pointer, align=1, typ=_BYTES)
        hits = None
        for low, high in outside if inverted else inside:
            hit = _in_range(builder, lanes, low, high)
            hits = hit if hits is None else builder.or_(hits, hit)
        mask = builder.bitcast(hits, ir.IntType(_LANES))
        return builder.zext(builder.not_(mask) if inverted else mask, _I64)

    @machine_code(codegen)
    def mask(address: int) -> int:
        return sum(1 << place for place, byte in enumerate(ctypes.string_at(address, _LANES)) if byte in stops)

    return mask


def _count_trailing_zeros(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))


@machine_code(_count_trailing_zeros)
def lowest_bit(value: int) -> int:
    """Return the place of the lowest bit that is set; the value is not 0."""
    return (value & -value).bit_length() - 1


def finder(stops: frozenset[int]) -> Callable[[int, int, int], int]:
    """Return a kernel ``find(address, start, end)``: the offset of the first byte in ``stops``, or ``end``.

    Offsets count from ``address``. It reads sixteen bytes at a time, the last ones once more rather than any beyond
    ``end``, so it never reads outside of ``address … address + end``. Measured with `benchmarks/http_message.py`: a
    browser's head is scanned, parsed and rewritten in 420 ns; with a table of 256 entries, byte by byte, in 1,090 ns.
    """
    mask_at = _mask_of(stops)
    member: Any = np.array([byte in stops for byte in range(256)], np.uint8)

    @kernel
    def find(address: int, start: int, end: int) -> int:
        at = start
        while at + 16 <= end:
            mask = mask_at(address + at)
            if mask != 0:
                return at + lowest_bit(mask)
            at += 16
        if at >= end:
            return end
        if end >= 16:
            mask = mask_at(address + end - 16) >> (at + 16 - end)
            return at + lowest_bit(mask) if mask != 0 else end
        while at < end and member[load8(address + at)] == 0:
            at += 1
        return at

    return find


find_line_feed = finder(frozenset({LF}))
token_end = finder(ALL - TOKEN)
field_content_end = finder(ALL - FIELD_CONTENT)
target_end = finder(ALL - TARGET)
host_end = finder(ALL - HOST)
ip_literal_end = finder(ALL - HEX_DIGITS - frozenset(b":."))
find_comma = finder(frozenset({COMMA}))
find_path = finder(frozenset(b"/?"))


@kernel
def is_crlf(address: int, at: int, end: int) -> bool:
    """Return whether CR LF stands at an offset."""
    return at + 2 <= end and load16be(address + at) == _CRLF


@kernel
def skip_space(address: int, at: int, end: int) -> int:
    """Return the offset of the first byte that is neither space nor tab, or ``end``."""
    while at < end:
        byte = load8(address + at)
        if byte != SPACE and byte != HTAB:
            break
        at += 1
    return at


@kernel
def trim_space(address: int, start: int, end: int) -> int:
    """Return the offset after the last byte that is neither space nor tab, or ``start``."""
    while end > start:
        byte = load8(address + end - 1)
        if byte != SPACE and byte != HTAB:
            break
        end -= 1
    return end


@kernel
def list_item(address: int, at: int, end: int) -> tuple[int, int, int]:
    """Return start and end of the list member at an offset, and where the next one begins (``end + 1``: no other).

    The member may be empty, or no token; a list's walk is ``while at <= end`` (RFC 9110 §5.6.1).
    """
    comma = find_comma(address, at, end)
    start = skip_space(address, at, comma)
    return start, trim_space(address, start, comma), comma + 1


@kernel
def lower(byte: int) -> int:
    """Return a byte of ASCII in lower case."""
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte


@kernel
def same_text(first: int, second: int, length: int) -> bool:
    """Return whether the bytes at two addresses are the same, upper and lower case letters alike."""
    at = 0
    while at < length and lower(load8(first + at)) == lower(load8(second + at)):
        at += 1
    return at == length


@kernel
def packed_word(address: int, length: int) -> int:
    """Return up to 7 bytes as one integer, the first byte highest: what `word_of` says of a constant."""
    word = 0
    for i in range(length):
        word = (word << 8) | load8(address + i)
    return word


def word_of(text: str) -> int:
    """Return what `packed_word` gives for a text of up to 7 bytes; `load64be` for one of 8."""
    return int.from_bytes(text.encode("ascii"), "big")


@kernel
def read_decimal(address: int, length: int, digits: int) -> int:
    """Return the number that 1 … ``digits`` (at most 18) digits say, or −1 if the text is anything else."""
    if length < 1 or length > digits:
        return -1
    value = 0
    for i in range(length):
        digit = load8(address + i) - 0x30
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@kernel
def put_octet(target: int, value: int) -> int:
    """Write 0 … 255 in decimal; return the address after it."""
    if value >= 100:
        store8(target, 0x30 + value // 100)
        target += 1
    if value >= 10:
        store8(target, 0x30 + value // 10 % 10)
        target += 1
    store8(target, 0x30 + value % 10)
    return target + 1


def constant_writer(text: str) -> Callable[[int], int]:
    """Return a kernel that writes a constant at an address, exactly its bytes, and returns the address after it."""
    content = text.encode("ascii")

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = 0
        for size in (8, 4, 2, 1):
            while len(content) - at >= size:
                integer = ir.IntType(8 * size)
                place = builder.add(arguments[0], ir.Constant(_I64, at))
                value = ir.Constant(integer, int.from_bytes(content[at : at + size], "little"))
                builder.store(value, builder.inttoptr(place, ir.PointerType()), align=1)
                at += size
        return builder.add(arguments[0], ir.Constant(_I64, len(content)))

    @machine_code(codegen)
    def write(target: int) -> int:
        ctypes.memmove(target, content, len(content))
        return target + len(content)

    return write
