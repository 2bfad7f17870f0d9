"""The appliance's own responses. Control code: made once, at the start, as bytes."""

from __future__ import annotations

from typing import Final, NamedTuple

REASONS: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}


class ErrorResponse(NamedTuple):
    """A whole response; the first ``head_length`` bytes of it answer a HEAD request."""

    message: bytes
    head_length: int


def error_response(status: int) -> ErrorResponse:
    """Return the response of a status of `REASONS`; the connection is closed after it.

    Raises:
        KeyError: the appliance never says this status itself.
    """
    title = f"{status} {REASONS[status]}"
    body = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    head = (
        f"HTTP/1.1 {title}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return ErrorResponse((head + body).encode("ascii"), len(head))


def error_responses() -> dict[int, ErrorResponse]:
    """Return all of them by status."""
    return {status: error_response(status) for status in REASONS}
