"""Requests: the request line, and what a request as a whole may say (RFC 9112 §3, §6.1, §6.3)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.engine.http.message.fields import BAD_REQUEST, parse_fields
from ncore_ray.engine.http.message.head import Head, Method, TargetForm, head_clear
from ncore_ray.engine.http.message.host import is_host
from ncore_ray.engine.http.message.text import (
    SPACE,
    find_line_feed,
    find_path,
    is_crlf,
    packed_word,
    target_end,
    token_end,
    word_of,
)
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load32be, load64be


class Refusal(IntEnum):
    """Statuses that a request is refused with."""

    BAD_REQUEST = 400
    TARGET_TOO_LONG = 414
    EXPECTATION_FAILED = 417
    FIELDS_TOO_LARGE = 431
    NOT_IMPLEMENTED = 501
    VERSION_NOT_SUPPORTED = 505


_SLASH: Final = 0x2F
_ASTERISK: Final = 0x2A
_VERSION_SIZE: Final = 8
_HTTP: Final = word_of("HTTP")
_HTTP_1_0: Final = word_of("HTTP/1.0")
_HTTP_1_1: Final = word_of("HTTP/1.1")
_SCHEME_SIZE: Final = 7
_SCHEME_HTTP: Final = word_of("http")
_LOWER_4: Final = 0x2020_2020
_COLON_SLASHES: Final = word_of("://")

_GET: Final = word_of("GET")
_PUT: Final = word_of("PUT")
_HEAD: Final = word_of("HEAD")
_POST: Final = word_of("POST")
_TRACE: Final = word_of("TRACE")
_PATCH: Final = word_of("PATCH")
_DELETE: Final = word_of("DELETE")
_OPTIONS: Final = word_of("OPTIONS")
_CONNECT: Final = word_of("CONNECT")
_LONGEST_METHOD: Final = 7


@kernel
def method_of(address: int, length: int) -> int:
    """Return which `Method` a token is; case matters (RFC 9110 §9.1)."""
    if length > _LONGEST_METHOD:
        return Method.OTHER
    word = packed_word(address, length)
    if word == _GET:
        return Method.GET
    if word == _POST:
        return Method.POST
    if word == _HEAD:
        return Method.HEAD
    if word == _PUT:
        return Method.PUT
    if word == _DELETE:
        return Method.DELETE
    if word == _OPTIONS:
        return Method.OPTIONS
    if word == _TRACE:
        return Method.TRACE
    if word == _CONNECT:
        return Method.CONNECT
    return Method.PATCH if word == _PATCH else Method.OTHER


@kernel
def parse_request(address: int, length: int, head: Head, fields: int, max_line: int, max_fields: int) -> int:
    """Read a request's head, exactly as `scan_head` delimits it, and judge it.

    Args:
        address: of the head's first byte.
        length: bytes of the head, its blank line included.
        head: filled; complete only if 0 is returned.
        fields: address of `MAX_FIELDS` records, filled.
        max_line: bytes that the request line may have, CR LF not counted.
        max_fields: field lines that a request may have (at most `MAX_FIELDS`).

    Returns:
        0, or the status to refuse the request with (`Refusal`); the connection is closed after it.
    """
    head_clear(head)
    start = skip_empty_lines(address, length)
    head.start = start
    next_line, status = _parse_request_line(address, length, start, head)
    if status != 0:
        return status
    if next_line - 2 - start > max_line:
        return Refusal.TARGET_TOO_LONG
    status = _classify_target(address, head)
    if status != 0:
        return status
    status = parse_fields(address, length, next_line, head, fields, max_fields)
    return status if status != 0 else _judge(head)


@kernel
def skip_empty_lines(address: int, length: int) -> int:
    """Return the offset of the request line, or of what there is of it: empty lines may precede it (RFC 9112 §2.2)."""
    at = 0
    while is_crlf(address, at, length):
        at += 2
    return at


@kernel
def _parse_request_line(address: int, length: int, start: int, head: Head) -> tuple[int, int]:
    """Read method SP target SP version CR LF; return the next line's offset and 0, or a status."""
    space = token_end(address, start, length)
    if space == start or space >= length or load8(address + space) != SPACE:
        return 0, BAD_REQUEST
    target = space + 1
    version = target_end(address, target, length) + 1
    if version == target + 1 or not is_crlf(address, version + _VERSION_SIZE, length):
        return 0, BAD_REQUEST
    if load8(address + version - 1) != SPACE:
        return 0, BAD_REQUEST
    head.method = method_of(address + start, space - start)
    head.method_length = space - start
    head.target_start = target
    head.target_length = version - 1 - target
    return version + _VERSION_SIZE + 2, _parse_version(address + version, head)


@kernel
def _parse_version(address: int, head: Head) -> int:
    """Read the 8 bytes of HTTP-version (RFC 9112 §2.3)."""
    word = load64be(address)
    if word == _HTTP_1_1:
        head.version_minor = 1
        return 0
    if word == _HTTP_1_0:
        return 0
    major, minor = load8(address + 5) - 0x30, load8(address + 7) - 0x30
    if (word >> 32) != _HTTP or load8(address + 4) != 0x2F or load8(address + 6) != 0x2E:
        return Refusal.BAD_REQUEST
    if major < 0 or major > 9 or minor < 0 or minor > 9:
        return Refusal.BAD_REQUEST
    return Refusal.VERSION_NOT_SUPPORTED


@kernel
def _classify_target(address: int, head: Head) -> int:
    """Find the target's form and its path (RFC 9112 §3.2); return 0 or a status."""
    if head.method == Method.CONNECT:
        return Refusal.NOT_IMPLEMENTED  # a reverse proxy opens no tunnels (RFC 9110 §9.3.6)
    first = load8(address + head.target_start)
    head.path_start = head.target_start
    head.path_length = head.target_length
    if first == _SLASH:
        head.target_form = TargetForm.ORIGIN
        return 0
    if first == _ASTERISK and head.target_length == 1:
        head.target_form = TargetForm.ASTERISK
        return 0 if head.method == Method.OPTIONS else Refusal.BAD_REQUEST
    return _split_absolute(address, head)


@kernel
def _split_absolute(address: int, head: Head) -> int:
    """Find authority and path of ``http://authority/path?query``; another scheme is not served here."""
    start, end = head.target_start, head.target_start + head.target_length
    if head.target_length <= _SCHEME_SIZE or (load32be(address + start) | _LOWER_4) != _SCHEME_HTTP:
        return Refusal.BAD_REQUEST
    if packed_word(address + start + 4, 3) != _COLON_SLASHES:
        return Refusal.BAD_REQUEST
    authority = start + _SCHEME_SIZE
    path = find_path(address, authority, end)
    if not is_host(address, authority, path):
        return Refusal.BAD_REQUEST
    head.target_form = TargetForm.ABSOLUTE
    head.authority_start = authority
    head.authority_length = path - authority
    head.path_start = path
    head.path_length = end - path
    return 0


@kernel
def _judge(head: Head) -> int:
    """Judge what the fields say together, and draw what follows from it; return 0 or a status."""
    if head.has_transfer_encoding != 0:
        # RFC 9112 §6.1: with Content-Length, or from a sender of HTTP/1.0, it "ought to be handled as an error".
        if head.content_length >= 0 or head.version_minor == 0:
            return Refusal.BAD_REQUEST
        if head.chunked == 0:
            return Refusal.BAD_REQUEST  # RFC 9112 §6.3: nothing says where such a body ends
        if head.unknown_coding != 0:
            return Refusal.NOT_IMPLEMENTED
    if head.version_minor == 1 and head.has_host == 0:
        return Refusal.BAD_REQUEST
    if head.unknown_expectation != 0:
        return Refusal.EXPECTATION_FAILED
    if head.version_minor == 1:
        head.persistent = 1 - head.close
        head.upgrade = head.upgrade_nominated & head.upgrade_offered & (1 - head.upgrade_to_h2c)
    else:
        head.persistent = head.keep_alive & (1 - head.close)
    return 0


@kernel
def refuse_unfinished(address: int, length: int) -> int:
    """Return the status for a request whose head did not end within the room that the caller has for it."""
    start = skip_empty_lines(address, length)
    line_is_whole = find_line_feed(address, start, length) < length
    return Refusal.FIELDS_TOO_LARGE if line_is_whole else Refusal.TARGET_TOO_LONG
