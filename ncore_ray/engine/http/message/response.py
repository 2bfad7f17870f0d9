"""Responses: the status line, and what a response as a whole may say (RFC 9112 §4, §6)."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.http.message.fields import parse_fields
from ncore_ray.engine.http.message.framing import has_no_body
from ncore_ray.engine.http.message.head import Head, field_of, head_clear
from ncore_ray.engine.http.message.known import Known
from ncore_ray.engine.http.message.text import SPACE, field_content_end, is_crlf, read_decimal, word_of
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load64be

BAD_GATEWAY: Final = 502

_HTTP_1_0: Final = word_of("HTTP/1.0")
_HTTP_1_1: Final = word_of("HTTP/1.1")
_STATUS_START: Final = 9
_STATUS_END: Final = 12
_SHORTEST_LINE: Final = 14
"""Bytes of ``HTTP/1.1 200`` and CR LF."""


@kernel
def parse_response(address: int, length: int, head: Head, fields: int, max_fields: int) -> int:
    """Read a response's head, exactly as `scan_head` delimits it, and judge it.

    Arguments are those of `parse_request`. A server's head has to be as clean as a client's: where RFC 9112 lets a
    proxy repair it (§5.1 space before the colon, §5.2 obs-fold), it is refused.

    Returns:
        0, or 502.
    """
    head_clear(head)
    next_line = _parse_status_line(address, length, head)
    if next_line < 0 or parse_fields(address, length, next_line, head, fields, max_fields) != 0:
        return BAD_GATEWAY
    return _judge(head, fields)


@kernel
def _parse_status_line(address: int, length: int, head: Head) -> int:
    """Read version SP status SP reason CR LF; return the next line's offset, or −1.

    The second space may be missing where the reason is empty: servers are known to do so, and it misleads no one.
    """
    if length < _SHORTEST_LINE or load8(address + 8) != SPACE:
        return -1
    word = load64be(address)
    if word != _HTTP_1_1 and word != _HTTP_1_0:
        return -1
    head.version_minor = 1 if word == _HTTP_1_1 else 0
    head.status = read_decimal(address + _STATUS_START, 3, 3)
    if head.status < 100 or head.status > 599:  # RFC 9110 §15: values outside of this range are invalid
        return -1
    head.status_start = _STATUS_START
    reason = _STATUS_END + 1 if load8(address + _STATUS_END) == SPACE else _STATUS_END
    end = field_content_end(address, reason, length)
    if not is_crlf(address, end, length) or (reason == _STATUS_END and end > reason):
        return -1
    head.reason_start = reason
    head.reason_length = end - reason
    return end + 2


@kernel
def _judge(head: Head, fields: int) -> int:
    """Judge what the fields say together, and draw what follows from it; return 0 or 502."""
    if head.has_transfer_encoding != 0:
        if head.content_length >= 0 or head.version_minor == 0 or head.unknown_coding != 0:
            return BAD_GATEWAY
    if has_no_body(head.status) and head.status != 304:
        # RFC 9110 §8.6, RFC 9112 §6.1: neither field may be sent; a length of 0 is harmless, and left out.
        if head.has_transfer_encoding != 0 or head.content_length > 0:
            return BAD_GATEWAY
        if head.content_length == 0:
            _drop_content_length(head, fields)
    if head.version_minor == 1:
        head.persistent = 1 - head.close
        head.upgrade = head.upgrade_nominated & head.upgrade_offered & (1 - head.upgrade_to_h2c)
    else:
        head.persistent = head.keep_alive & (1 - head.close)
    return 0


@kernel
def _drop_content_length(head: Head, fields: int) -> int:
    for i in range(head.field_count):
        field = field_of(fields, i)
        if field.known == Known.CONTENT_LENGTH:
            field.drop = 1
    return 0
