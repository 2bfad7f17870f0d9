"""The field lines of a head: syntax, and what the fields that matter say. Requests and responses have them alike."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.http.message.head import MAX_FIELDS, Field, Head, TargetForm, field_of
from ncore_ray.engine.http.message.host import is_host
from ncore_ray.engine.http.message.known import LAST_OF_ONE_HOP, Known, known_word
from ncore_ray.engine.http.message.text import (
    COLON,
    field_content_end,
    is_crlf,
    list_item,
    read_decimal,
    same_text,
    skip_space,
    token_end,
    trim_space,
)
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8

BAD_REQUEST: Final = 400
FIELDS_TOO_LARGE: Final = 431

MAX_CONTENT_LENGTH: Final = 1 << 53
"""Bytes: the largest integer that every program reads alike (2⁵³)."""
_LENGTH_DIGITS: Final = 16
_MAX_NOMINATIONS: Final = 32
"""Names in Connection fields; each is compared with each field."""


@kernel
def parse_fields(address: int, length: int, start: int, head: Head, fields: int, max_fields: int) -> int:
    """Read the field lines from an offset to the blank line, which has to be the last of ``length`` bytes.

    Returns:
        0, 400 or 431. What fields say together (Transfer-Encoding with Content-Length …) is the caller's to judge.
    """
    limit = min(max_fields, MAX_FIELDS)
    head.fields_start = start
    at = start
    while not is_crlf(address, at, length):
        if head.field_count >= limit:
            return FIELDS_TOO_LARGE
        field = field_of(fields, head.field_count)
        at = _read_line(address, length, at, field)
        if at < 0:
            return BAD_REQUEST
        status = _note_field(address, head, field)
        if status != 0:
            return status
        head.field_count += 1
    head.length = at + 2
    if head.length != length:
        return BAD_REQUEST
    return _apply_nominations(address, head, fields) if head.nominations != 0 else 0


@kernel
def _read_line(address: int, length: int, start: int, field: Field) -> int:
    """Fill a field's record from the line at an offset; return the next line's offset, or −1 (RFC 9112 §5).

    A name ends at the colon and nowhere else, so space before it and a folded line (obs-fold) are refused; a value
    ends at CR LF and nowhere else, so bare CR, bare LF and control characters are refused.
    """
    colon = token_end(address, start, length)
    if colon == start or colon >= length or load8(address + colon) != COLON:
        return -1
    value = skip_space(address, colon + 1, length)
    line_end = field_content_end(address, value, length)
    if not is_crlf(address, line_end, length):
        return -1
    field.name_start = start
    field.name_length = colon - start
    field.value_start = value
    field.value_length = trim_space(address, value, line_end) - value
    field.line_end = line_end + 2
    field.spare = 0
    return line_end + 2


@kernel
def _note_field(address: int, head: Head, field: Field) -> int:
    """Recognize the newest field and note what it says; return 0 or a status."""
    known = known_word(address + field.name_start, field.name_length)
    field.known = known
    field.drop = 1 if Known.OTHER < known <= LAST_OF_ONE_HOP else 0
    if known == Known.OTHER or known > Known.X_FORWARDED_FOR:
        return 0
    if known == Known.HOST:
        return _note_host(address, head, field)
    if known == Known.CONNECTION:
        return _note_connection(address, head, field)
    if known == Known.CONTENT_LENGTH:
        return _note_content_length(address, head, field)
    if known == Known.TRANSFER_ENCODING:
        return _note_transfer_encoding(address, head, field)
    if known == Known.UPGRADE:
        return _note_upgrade(address, head, field)
    if known == Known.EXPECT:
        return _note_expect(address, head, field)
    if known == Known.VIA:
        head.via = head.field_count
    if known == Known.X_FORWARDED_FOR:
        head.forwarded_for = head.field_count
    return 0


@kernel
def _note_host(address: int, head: Head, field: Field) -> int:
    """Take the one Host field of a request (RFC 9112 §3.2); in a response it means nothing."""
    if head.status != 0:
        return 0
    start, length = field.value_start, field.value_length
    if head.has_host != 0 or not is_host(address, start, start + length):
        return BAD_REQUEST
    head.has_host = 1
    if head.target_form == TargetForm.ABSOLUTE:
        field.drop = 1  # the target's authority takes its place (RFC 9112 §3.2.2)
    else:
        head.authority_start = start
        head.authority_length = length
    return 0


@kernel
def _note_content_length(address: int, head: Head, field: Field) -> int:
    """Take the one Content-Length; a list or a second one, even of the same value, is refused (RFC 9112 §6.3)."""
    value = read_decimal(address + field.value_start, field.value_length, _LENGTH_DIGITS)
    if head.content_length >= 0 or value < 0 or value > MAX_CONTENT_LENGTH:
        return BAD_REQUEST
    head.content_length = value
    return 0


@kernel
def _note_transfer_encoding(address: int, head: Head, field: Field) -> int:
    """Take a list of codings; nothing may follow chunked, and no member may be empty (RFC 9112 §6.1, §7)."""
    head.has_transfer_encoding = 1
    at = field.value_start
    end = at + field.value_length
    while at <= end:
        start, stop, at = list_item(address, at, end)
        if head.chunked != 0 or start == stop or token_end(address, start, stop) != stop:
            return BAD_REQUEST
        if known_word(address + start, stop - start) == Known.CHUNKED:
            head.chunked = 1
        else:
            head.unknown_coding = 1
    return 0


@kernel
def _note_connection(address: int, head: Head, field: Field) -> int:
    """Take a list of connection options (RFC 9110 §7.6.1)."""
    at = field.value_start
    end = at + field.value_length
    while at <= end:
        start, stop, at = list_item(address, at, end)
        if start == stop:
            continue
        if token_end(address, start, stop) != stop:
            return BAD_REQUEST
        option = known_word(address + start, stop - start)
        if option == Known.CLOSE:
            head.close = 1
        elif option == Known.KEEP_ALIVE:
            head.keep_alive = 1
        elif option == Known.UPGRADE:
            head.upgrade_nominated = 1
        elif option == Known.OTHER:
            head.nominations += 1
    return FIELDS_TOO_LARGE if head.nominations > _MAX_NOMINATIONS else 0


@kernel
def _note_upgrade(address: int, head: Head, field: Field) -> int:
    """Take a list of protocols (RFC 9110 §7.8). HTTP/2 would carry requests past us: it is not passed on."""
    at = field.value_start
    end = at + field.value_length
    while at <= end:
        start, stop, at = list_item(address, at, end)
        if start == stop:
            continue
        head.upgrade_offered = 1
        if known_word(address + start, stop - start) == Known.H2C:
            head.upgrade_to_h2c = 1
    return 0


@kernel
def _note_expect(address: int, head: Head, field: Field) -> int:
    """Take an expectation (RFC 9110 §10.1.1); HTTP/1.0 has none."""
    length = field.value_length
    if length > 0 and known_word(address + field.value_start, length) == Known.CONTINUE:
        head.expect_continue = head.version_minor
        field.drop = 1 - head.version_minor
    else:
        head.unknown_expectation = 1
    return 0


@kernel
def _apply_nominations(address: int, head: Head, fields: int) -> int:
    """Mark the fields that Connection lists as not passed on; known ones keep the mark that they have."""
    for i in range(head.field_count):
        field = field_of(fields, i)
        if field.known == Known.CONNECTION:
            at = field.value_start
            end = at + field.value_length
            while at <= end:
                start, stop, at = list_item(address, at, end)
                _drop_named(address, head, fields, start, stop - start)
    return 0


@kernel
def _drop_named(address: int, head: Head, fields: int, start: int, length: int) -> int:
    for i in range(head.field_count):
        field = field_of(fields, i)
        if field.known == Known.OTHER and field.name_length == length:
            if same_text(address + field.name_start, address + start, length):
                field.drop = 1
    return 0
