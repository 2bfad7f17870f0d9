"""Heads of messages: where one ends in a stream, and the records that hold what was read from it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.engine.http.message.text import CR, LF, find_line_feed
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import clear, load8
from ncore_ray.machine.record import I64, Record, address_of, pointer_to, size_of

MAX_FIELDS: Final = 128
"""Field records that a table of fields has."""


class Method(IntEnum):
    """Request methods; OTHER is any other token."""

    GET = 0
    HEAD = 1
    POST = 2
    PUT = 3
    DELETE = 4
    OPTIONS = 5
    TRACE = 6
    CONNECT = 7
    PATCH = 8
    OTHER = 9


class TargetForm(IntEnum):
    """Forms of a request target (RFC 9112 §3.2). The authority-form is CONNECT's alone, which is refused."""

    ORIGIN = 0
    ABSOLUTE = 1
    ASTERISK = 2


class Head(Record):
    """What a message's head says. Offsets count bytes from the address it was parsed at; flags are 0 or 1.

    Process-private scratch, valid until the next parse, like the table of `MAX_FIELDS` `Field` records beside it. So
    all are 64 bits wide: a kernel compiles once more for each width of integer that it is called with.
    """

    content_length: I64
    """−1: none."""
    start: I64
    """After the empty lines that may precede a request."""
    length: I64
    """Of the whole head, from offset 0 to after its blank line."""
    fields_start: I64
    field_count: I64

    method: I64
    """`Method`; requests only, like all of the target."""
    method_length: I64
    target_start: I64
    target_length: I64
    target_form: I64
    authority_start: I64
    """Host and port: of the target in absolute form, else the Host field's value."""
    authority_length: I64
    path_start: I64
    """Path and query: the target itself but in absolute form, where it may be empty or begin with ``?``."""
    path_length: I64

    version_minor: I64
    """0 or 1: HTTP/1.0, HTTP/1.1."""
    status: I64
    """Responses only, like the reason."""
    status_start: I64
    reason_start: I64
    reason_length: I64

    has_host: I64
    has_transfer_encoding: I64
    chunked: I64
    unknown_coding: I64
    """Transfer-Encoding names a coding that we do not know."""
    expect_continue: I64
    """The client waits for 100 (Continue); never set for HTTP/1.0."""
    unknown_expectation: I64
    close: I64
    """Connection: close."""
    keep_alive: I64
    """Connection: keep-alive."""
    persistent: I64
    """The sender lets the connection live after this message (RFC 9112 §9.3)."""
    upgrade: I64
    """Upgrade field present and nominated by Connection, HTTP/1.1, and not to cleartext HTTP/2."""
    upgrade_nominated: I64
    upgrade_offered: I64
    upgrade_to_h2c: I64
    nominations: I64
    """Field names that Connection lists, known ones not counted."""
    via: I64
    """Index of the last Via field, or −1."""
    forwarded_for: I64
    """Index of the last X-Forwarded-For field, or −1."""


class Field(Record):
    """One field line. Offsets count bytes from the address the head was parsed at; the value is trimmed."""

    name_start: I64
    name_length: I64
    value_start: I64
    value_length: I64
    line_end: I64
    """Offset after the line's LF."""
    known: I64
    """`Known` word that the name is, or OTHER."""
    drop: I64
    """1: not passed on, because it concerns one hop only, or is written anew."""
    spare: I64


head_at = pointer_to(Head)
field_at = pointer_to(Field)
_HEAD_SIZE: Final = size_of(Head)
FIELD_SIZE: Final = size_of(Field)
FIELDS_SIZE: Final = FIELD_SIZE * MAX_FIELDS
"""Bytes of a table of fields."""


@kernel
def head_clear(head: Head) -> int:
    """Make a head ready for a parse."""
    clear(address_of(head), _HEAD_SIZE)
    head.content_length = -1
    head.via = -1
    head.forwarded_for = -1
    return 0


@kernel
def field_of(fields: int, index: int) -> Field:
    """Return one record of the table of fields at an address."""
    return field_at(fields + index * FIELD_SIZE)


class _Scan(IntEnum):
    """Where a scan stands: after the bytes that it has seen."""

    LEADING = 0
    """Nothing but empty lines so far (RFC 9112 §2.2 lets them precede a request)."""
    LEADING_CR = 1
    IN_LINE = 2
    LINE_CR = 3
    LINE_START = 4
    BLANK_CR = 5
    FOUND = 6


@kernel
def _scan_step(state: int, byte: int) -> int:
    if byte == LF:
        if state == _Scan.LEADING_CR:
            return _Scan.LEADING
        return _Scan.LINE_START if state == _Scan.LINE_CR else _Scan.FOUND
    if byte != CR:
        return _Scan.IN_LINE
    if state == _Scan.LEADING:
        return _Scan.LEADING_CR
    return _Scan.BLANK_CR if state == _Scan.LINE_START else _Scan.LINE_CR


@kernel
def _scan_state(address: int, length: int) -> int:
    """Return the state after at least two bytes, the first line begun, and no end of the head in them."""
    last, before = load8(address + length - 1), load8(address + length - 2)
    if last == LF:
        return _Scan.LINE_START
    if last != CR:
        return _Scan.IN_LINE
    return _Scan.BLANK_CR if before == LF else _Scan.LINE_CR


@kernel
def scan_head(address: int, length: int, matched: int) -> tuple[int, int]:
    """Look for the end of a head in one more piece of a stream.

    The end is the LF of the first blank line that follows a line, or any LF that no CR precedes: such a head is wrong
    already, and the parser says so.

    Args:
        address: of the piece; each byte of the stream is given once.
        length: bytes of the piece, 0 allowed.
        matched: what the call for the piece before returned, 0 for the first.

    Returns:
        Bytes from the piece's start to the end of the head, or −1 if it goes on; and the new ``matched``.
    """
    state = matched
    at = 0
    while at < length and (at < 2 or state < _Scan.IN_LINE):
        state = _scan_step(state, load8(address + at))
        at += 1
        if state == _Scan.FOUND:
            return at, 0
    if at >= length:
        return -1, state
    while True:
        at = find_line_feed(address, at, length)
        if at >= length:
            return -1, _scan_state(address, length)
        at += 1
        if load8(address + at - 2) != CR or load8(address + at - 3) == LF:
            return at, 0
