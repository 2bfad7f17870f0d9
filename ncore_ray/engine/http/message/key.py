"""The field of a request that tells flows apart: the value of a cookie, of a parameter of the query, or of a header."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.engine.http.message.head import Head, field_of
from ncore_ray.engine.http.message.text import same_text, skip_space, trim_space
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8

_QUESTION_MARK: Final = 0x3F
_AMPERSAND: Final = 0x26
_SEMICOLON: Final = 0x3B
_EQUALS: Final = 0x3D
_COOKIE_LENGTH: Final = 6
_COOKIE: Final = (0x63, 0x6F, 0x6F, 0x6B, 0x69, 0x65)


class KeyKind(IntEnum):
    """What the key of a vServer is read from."""

    NONE = 0
    COOKIE = 1
    PARAMETER = 2
    HEADER = 3


@kernel
def find_key(head: Head, fields: int, source: int, kind: int, name: int, name_length: int) -> tuple[int, int]:
    """Return the address and length of the value, the first of its name; length 0 if there is none, or it is empty.

    Args:
        head: of a request that was parsed without fault, at ``source``.
        fields: its table of fields.
        source: address of the request's first byte.
        kind: a `KeyKind`, not NONE.
        name: address of the name's bytes. A header's name is compared without regard to case, a cookie's and a
            parameter's byte by byte, as they were sent.
        name_length: their number.
    """
    if kind == KeyKind.PARAMETER:
        return _find_parameter(source + head.path_start, head.path_length, name, name_length)
    for index in range(head.field_count):
        field = field_of(fields, index)
        at, value = source + field.name_start, source + field.value_start
        if kind == KeyKind.HEADER:
            if field.name_length == name_length and same_text(at, name, name_length):
                return value, field.value_length
        elif field.name_length == _COOKIE_LENGTH and _is_cookie(at):
            found, length = _find_pair(value, field.value_length, _SEMICOLON, name, name_length)
            if length:
                return found, length
    return 0, 0


@kernel
def _is_cookie(address: int) -> int:
    for i in range(_COOKIE_LENGTH):
        if load8(address + i) | 0x20 != _COOKIE[i]:
            return 0
    return 1


@kernel
def _find_parameter(address: int, length: int, name: int, name_length: int) -> tuple[int, int]:
    """Look in the query of a path (RFC 3986 §3.4), read as HTML forms write it."""
    query = _find_byte(address, 0, length, _QUESTION_MARK) + 1
    if query > length:
        return 0, 0
    return _find_pair(address + query, length - query, _AMPERSAND, name, name_length)


@kernel
def _find_byte(address: int, start: int, end: int, byte: int) -> int:
    at = start
    while at < end and load8(address + at) != byte:
        at += 1
    return at


@kernel
def _find_pair(address: int, length: int, separator: int, name: int, name_length: int) -> tuple[int, int]:
    """Look in a list of name=value (cookies: RFC 6265 §4.2.1); return address and length of the value."""
    at = 0
    while at < length:
        end = _find_byte(address, at, length, separator)
        start = skip_space(address, at, end)
        equals = _find_byte(address, start, end, _EQUALS)
        if equals < end and equals - start == name_length and _same_bytes(address + start, name, name_length):
            return address + equals + 1, trim_space(address, equals + 1, end) - equals - 1
        at = end + 1
    return 0, 0


@kernel
def _same_bytes(first: int, second: int, length: int) -> int:
    for i in range(length):
        if load8(first + i) != load8(second + i):
            return 0
    return 1
