"""Challenge ACKs (RFC 5961 §3.2, §4.2, §5.2), and how many of them go out (§7).

A limit that all connections share tells a stranger, by whether his own challenges come, whether somebody else's
connection was challenged (CVE-2016-5696). So each connection has a limit of its own, which comes first, and how many
the engine still sends in a second is another number each time, which nobody outside can know.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.connection import Tcb, Work, mark
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.machine.hash import hash_tuple
from ncore_ray.machine.jit import kernel

_INTERVAL_US: Final = 500_000
"""Between two challenges of one connection: RFC 5961 §7 proposes ten in five seconds."""
_WINDOW_US: Final = 1_000_000


@kernel
def challenge(engine: Engine, tcb: Tcb) -> int:
    """Send an acknowledgment that lets a true peer prove itself; return 1 if it goes out."""
    if not may_challenge(engine, tcb):
        return 0
    tcb.ack_now = 1
    mark(engine, tcb, Work.OUTPUT)
    return 1


@kernel
def may_challenge(engine: Engine, tcb: Tcb) -> int:
    """Return 1, and count it, if a challenge may go out on a connection now."""
    counters = counters_of(engine)
    if (tcb.refused_at and engine.now - tcb.refused_at < _INTERVAL_US) or not _allowance(engine):
        counters.challenge_acks_suppressed += 1
        return 0
    engine.challenges_left -= 1
    tcb.refused_at = engine.now
    counters.challenge_acks += 1
    return 1


@kernel
def _allowance(engine: Engine) -> int:
    """Return how many challenges may still go out in this window; each begins with half of the limit or more."""
    if engine.now - engine.challenge_window_at >= _WINDOW_US:
        engine.challenge_window_at = engine.now
        arena = arena_at(base_of(engine))
        draw = hash_tuple(arena.secret_0, arena.secret_1, engine.now, engine.index, 0, 0, -1)
        engine.challenges_left = engine.challenge_limit - draw % (engine.challenge_limit // 2 + 1)
    return engine.challenges_left
