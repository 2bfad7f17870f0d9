"""Host and port as the Host field and a target's authority give them (RFC 9110 §7.2, RFC 3986 §3.2)."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.http.message.text import COLON, host_end, ip_literal_end, read_decimal
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8

_OPEN_BRACKET: Final = 0x5B
_CLOSE_BRACKET: Final = 0x5D
_PORT_DIGITS: Final = 5
_MAX_PORT: Final = 65_535


@kernel
def is_host(address: int, start: int, end: int) -> bool:
    """Return whether the bytes between two offsets are a host, not empty, with or without a port.

    Stricter than RFC 3986: no user information, no percent-encoding, no comma, no address of a future version.
    """
    if start == end:
        return False
    if load8(address + start) == _OPEN_BRACKET:
        at = ip_literal_end(address, start + 1, end)
        if at < start + 3 or at == end or load8(address + at) != _CLOSE_BRACKET:
            return False
        at += 1
    else:
        at = host_end(address, start, end)
    if at == end:
        return True
    return at > start and load8(address + at) == COLON and _is_port(address, at + 1, end)


@kernel
def _is_port(address: int, start: int, end: int) -> bool:
    """Return whether the bytes are a port; the RFC allows an empty one."""
    return start == end or 0 <= read_decimal(address + start, end - start, _PORT_DIGITS) <= _MAX_PORT
