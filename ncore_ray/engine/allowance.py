"""How many answers to strangers an engine gives: a token bucket for each kind of them.

What anybody can bring about with a forged address (resets, ICMP errors, echo replies) has a limit, or the appliance
would throw a flood at whom the forger names (RFC 4443 §2.4 (f), RFC 1812 §4.3.2.8, RFC 5961 §7).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.partition import Engine
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, address_of, offset_of, pointer_to

_SECOND: Final = 1_000_000


class Allowance(Record):
    """Two words of an engine's header."""

    tokens: I64
    """Answers that may go out at once …"""
    filled_at: I64
    """… and when that was worked out, µs."""


_allowance_at = pointer_to(Allowance)
_RESETS: Final = offset_of(Engine, "reset_tokens")
_ERRORS: Final = offset_of(Engine, "error_tokens")
_ECHOES: Final = offset_of(Engine, "echo_tokens")


@kernel
def may_reset(engine: Engine) -> int:
    """Take a token for a reset that answers a segment of no connection; 0: there is none."""
    return _take(engine, _RESETS, engine.reset_limit)


@kernel
def may_tell_error(engine: Engine) -> int:
    """Take a token for an ICMP error; 0: there is none."""
    return _take(engine, _ERRORS, engine.error_limit)


@kernel
def may_echo(engine: Engine) -> int:
    """Take a token for an echo reply; 0: there is none."""
    return _take(engine, _ECHOES, engine.echo_limit)


@kernel
def _take(engine: Engine, offset: int, per_second: int) -> int:
    """The bucket holds what comes in half a second, one at the least."""
    allowance = _allowance_at(address_of(engine) + offset)
    fresh = min(engine.now - allowance.filled_at, _SECOND) * per_second // _SECOND
    if fresh > 0:
        allowance.tokens = min(allowance.tokens + fresh, max(per_second >> 1, 1))
        allowance.filled_at = engine.now
    if allowance.tokens <= 0:
        return 0
    allowance.tokens -= 1
    return 1
