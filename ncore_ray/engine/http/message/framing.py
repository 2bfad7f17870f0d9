"""Which body a message has (RFC 9112 §6.3)."""

from __future__ import annotations

from enum import IntEnum

from ncore_ray.engine.http.message.head import Head, Method
from ncore_ray.machine.jit import kernel


class BodyKind(IntEnum):
    """How a body is delimited."""

    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3
    TUNNEL = 4
    """After 101 (Switching Protocols): both ways, until either side ends it."""


@kernel
def has_no_body(status: int) -> bool:
    """Return whether responses of a status end with their head, whatever their fields say."""
    return status < 200 or status == 204 or status == 304


@kernel
def request_body(head: Head) -> int:
    """Return the `BodyKind` of an accepted request."""
    if head.chunked != 0:
        return BodyKind.CHUNKED
    return BodyKind.LENGTH if head.content_length > 0 else BodyKind.NONE


@kernel
def response_body(head: Head, request_method: int) -> int:
    """Return the `BodyKind` of an accepted response to a request of this `Method`.

    The caller has made sure that a 101 answers a request to upgrade.
    """
    if head.status == 101:
        return BodyKind.TUNNEL
    if request_method == Method.HEAD or has_no_body(head.status):
        return BodyKind.NONE
    if head.chunked != 0:
        return BodyKind.CHUNKED
    if head.content_length < 0:
        return BodyKind.UNTIL_CLOSE
    return BodyKind.LENGTH if head.content_length > 0 else BodyKind.NONE
