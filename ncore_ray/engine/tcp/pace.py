"""Pacing: segments go out at a rate instead of in bursts, with an instant before which the next one may not.

The instant stands in the connection and comes up through the timer wheel, whose ticks of 1,024 µs are the granularity.
So at a rate of more than a segment per tick, a tick's worth of segments goes out at once; time that a late tick has
lost is made good, up to two ticks. Connections whose congestion control has a rate of its own are always paced, all
others if the configuration says so (`tcp.pacing`), at a rate somewhat above what the window allows.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.bbr import bbr_of
from ncore_ray.engine.tcp.state import Wait
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import Congestion

_SECOND_US: Final = 1_000_000
_TICK_US: Final = 1_024
_CREDIT_US: Final = 2 * _TICK_US
_SLOW_START_PERCENT: Final = 200
"""The window doubles in a round trip, so the rate has to be twice that of the window."""
_AVOIDANCE_PERCENT: Final = 120
_FEWEST_SEGMENTS: Final = 2


@kernel
def is_paced(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if a connection's segments are paced."""
    return 1 if engine.pacing or tcb.congestion == Congestion.BBR else 0


@kernel
def pacing_rate(engine: Engine, tcb: Tcb) -> int:
    """Return the bytes per second at which a connection sends; 0: no round-trip time is known yet."""
    if tcb.rate_block:
        return bbr_of(engine, tcb).pacing_rate
    percent = _SLOW_START_PERCENT if tcb.cwnd < tcb.ssthresh >> 1 else _AVOIDANCE_PERCENT
    return tcb.cwnd * percent // 100 * _SECOND_US // (tcb.srtt >> 3) if tcb.srtt >> 3 else 0


@kernel
def may_send(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if the next segment may go out now; else the connection comes up again when it may."""
    if engine.now >= tcb.pace_at:
        return 1
    tcb.pace_waits = Wait.PACED
    return 0


@kernel
def note_paced(engine: Engine, tcb: Tcb, length: int) -> int:
    """Set the instant of the next segment after ``length`` bytes."""
    rate = pacing_rate(engine, tcb)
    if rate:
        tcb.pace_at = max(tcb.pace_at, engine.now - _CREDIT_US) + length * _SECOND_US // rate
    return 0


@kernel
def most_at_once(engine: Engine, tcb: Tcb, most: int) -> int:
    """Return the most bytes of one large segment: those of a tick, two segments at the least."""
    tick = pacing_rate(engine, tcb) * _TICK_US // _SECOND_US // tcb.mss
    return min(most, max(tick, _FEWEST_SEGMENTS) * tcb.mss)
