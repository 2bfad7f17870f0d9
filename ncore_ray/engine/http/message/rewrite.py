"""Heads as the proxy passes them on (RFC 9110 §7.6, RFC 9112 §3.2.2, §6.1)."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.http.message.address import LONGEST_ADDRESS, put_address
from ncore_ray.engine.http.message.head import Field, Head, Method, TargetForm, field_of
from ncore_ray.engine.http.message.known import Known
from ncore_ray.engine.http.message.text import constant_writer
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load8, store8
from ncore_ray.machine.record import I32, I64, Record, address_of, pointer_to


class Rewrite(Record):
    """How a head is to be rewritten. Plain data without addresses: it may lie in the arena. Flags are 0 or 1."""

    client_high: I64
    """The client's address; IPv4 as IPv4-mapped IPv6: 0 and 0xFFFF << 32 | address."""
    client_low: I64
    host: I64
    """Where the Host value stands that a request of HTTP/1.0 without one is given: bytes from this record's start."""
    host_length: I64
    forwarded_for: I32
    """Requests: add the client's address to X-Forwarded-For."""
    via: I32
    """Add ourselves to Via."""
    close: I32
    """Write Connection: close."""
    keep_alive: I32
    """Write Connection: keep-alive, for a client of HTTP/1.0."""
    unchunk: I32
    """Leave out Transfer-Encoding: only the content of a chunked body follows."""
    spare: I32


rewrite_at = pointer_to(Rewrite)

VIA_NAME: Final = "ncore"

_put_version = constant_writer("HTTP/1.1")
_put_version_line = constant_writer(" HTTP/1.1\r\n")
_put_space = constant_writer(" ")
_put_crlf = constant_writer("\r\n")
_put_comma = constant_writer(", ")
_put_host = constant_writer("Host: ")
_put_forwarded_for = constant_writer("X-Forwarded-For: ")
_put_via_name = constant_writer("Via: ")
_put_via_1_1 = constant_writer(f"1.1 {VIA_NAME}")
_put_via_1_0 = constant_writer(f"1.0 {VIA_NAME}")
_put_chunked = constant_writer("Transfer-Encoding: chunked\r\n")
_put_close = constant_writer("Connection: close\r\n")
_put_keep_alive = constant_writer("Connection: keep-alive\r\n")
_put_upgrade = constant_writer("Connection: upgrade\r\n")

REWRITE_SLACK: Final = LONGEST_ADDRESS + len(
    f"/ HTTP/1.1 Host: \r\nX-Forwarded-For: , \r\nVia: , 1.1 {VIA_NAME}\r\nTransfer-Encoding: chunked\r\n"
    "Connection: close\r\nConnection: keep-alive\r\nConnection: upgrade\r\n"
)
"""Bytes that a rewritten head can have more than the one received, apart from a given Host value."""
_SLASH: Final = 0x2F
_ASTERISK: Final = 0x2A


@kernel
def write_request(head: Head, fields: int, source: int, target: int, room: int, options: Rewrite) -> int:
    """Write an accepted request's head as it goes to the server: in origin-form, HTTP/1.1, without one hop's fields.

    Args:
        head: and ``fields``: as `parse_request` filled them.
        source: the address that the head was parsed at.
        target: where to write; apart from the source.
        room: bytes there; the length of the head, of the given host, and `REWRITE_SLACK` are asked for.
        options: what to add.

    Returns:
        Bytes written, or −1 if the room is too small.
    """
    if room < head.length + options.host_length + REWRITE_SLACK:
        return -1
    at = _put_request_line(head, source, target)
    at = _put_missing_host(head, source, at, options)
    at = _put_fields(head, fields, source, at, options)
    at = _put_framing(head, at, options)
    if options.forwarded_for != 0 and head.forwarded_for < 0:
        at = put_address(_put_forwarded_for(at), options.client_high, options.client_low)
        at = _put_crlf(at)
    at = _put_connection(head, at, options)
    return _put_crlf(at) - target


@kernel
def write_response(head: Head, fields: int, source: int, target: int, room: int, options: Rewrite) -> int:
    """Write an accepted response's head as it goes to the client: HTTP/1.1, without one hop's fields.

    Arguments and result are those of `write_request`.
    """
    if room < head.length + REWRITE_SLACK:
        return -1
    at = _put_space(_put_version(target))
    at = _put_space(_put(at, source + head.status_start, 3))
    at = _put_crlf(_put(at, source + head.reason_start, head.reason_length))
    at = _put_fields(head, fields, source, at, options)
    at = _put_framing(head, at, options)
    at = _put_connection(head, at, options)
    return _put_crlf(at) - target


@kernel
def _put(target: int, source: int, length: int) -> int:
    """Copy bytes; return the address after them."""
    copy(target, source, length)
    return target + length


@kernel
def _put_request_line(head: Head, source: int, target: int) -> int:
    if head.target_form != TargetForm.ABSOLUTE and head.version_minor == 1:
        return _put(target, source + head.start, head.fields_start - head.start)
    at = _put_space(_put(target, source + head.start, head.method_length))
    if head.path_length == 0 and head.method == Method.OPTIONS:
        store8(at, _ASTERISK)  # RFC 9112 §3.2.4: OPTIONS of an absolute URI without a path
        return _put_version_line(at + 1)
    if head.path_length == 0 or (head.target_form == TargetForm.ABSOLUTE and load8(source + head.path_start) != _SLASH):
        store8(at, _SLASH)
        at += 1
    return _put_version_line(_put(at, source + head.path_start, head.path_length))


@kernel
def _put_missing_host(head: Head, source: int, at: int, options: Rewrite) -> int:
    """Write the Host field if its value is not that of the field received (RFC 9112 §3.2.2)."""
    if head.target_form == TargetForm.ABSOLUTE:
        return _put_crlf(_put(_put_host(at), source + head.authority_start, head.authority_length))
    if head.has_host == 0:
        return _put_crlf(_put(_put_host(at), address_of(options) + options.host, options.host_length))
    return at


@kernel
def _put_fields(head: Head, fields: int, source: int, at: int, options: Rewrite) -> int:
    """Copy the fields that go on, neighbours at once, and lengthen the last X-Forwarded-For and the last Via."""
    run = head.fields_start
    for i in range(head.field_count):
        field = field_of(fields, i)
        grows = (options.forwarded_for != 0 and i == head.forwarded_for) or (options.via != 0 and i == head.via)
        if grows:
            value_end = field.value_start + field.value_length
            at = _put_member(head, field, _put(at, source + run, value_end - run), options)
            run = field.line_end
        elif field.drop != 0 and not (field.known == Known.UPGRADE and head.upgrade != 0):
            at = _put(at, source + run, field.name_start - run)
            run = field.line_end
    at = _put(at, source + run, head.length - 2 - run)
    if options.via != 0 and head.via < 0:
        at = _put_crlf(_put_via(head, _put_via_name(at)))
    return at


@kernel
def _put_member(head: Head, field: Field, at: int, options: Rewrite) -> int:
    """Add a member to the list that a field's value is, and end the line."""
    if field.value_length > 0:
        at = _put_comma(at)
    if field.known == Known.VIA:
        return _put_crlf(_put_via(head, at))
    return _put_crlf(put_address(at, options.client_high, options.client_low))


@kernel
def _put_via(head: Head, at: int) -> int:
    """Write our member of Via, which says the version received (RFC 9110 §7.6.3)."""
    return _put_via_1_1(at) if head.version_minor == 1 else _put_via_1_0(at)


@kernel
def _put_framing(head: Head, at: int, options: Rewrite) -> int:
    return _put_chunked(at) if head.chunked != 0 and options.unchunk == 0 else at


@kernel
def _put_connection(head: Head, at: int, options: Rewrite) -> int:
    """Write what this hop's connection is: nothing for one of HTTP/1.1 that goes on."""
    if head.upgrade != 0:
        at = _put_upgrade(at)
    if options.close != 0:
        at = _put_close(at)
    elif options.keep_alive != 0:
        at = _put_keep_alive(at)
    return at
