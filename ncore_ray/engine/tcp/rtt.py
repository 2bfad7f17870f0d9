"""The retransmission timer (RFC 6298)."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.timestamps import UNKNOWN_INSTANT
from ncore_ray.machine.jit import kernel

INITIAL_RTO_US: Final = 1_000_000
_RTO_AFTER_LOST_SYN_US: Final = 3_000_000
_GRANULARITY_US: Final = 1_024
_LONGEST_US: Final = 1 << 27
"""Two minutes: scaled, it fits into 32 bits."""


@kernel
def take_sample(engine: Engine, tcb: Tcb, sample_us: int) -> int:
    """Enter a round-trip time (§2.2, §2.3); scaled integers: srtt × 8, rttvar × 4."""
    sample_us = min(sample_us, _LONGEST_US)
    if tcb.srtt == 0:
        tcb.srtt = sample_us << 3
        tcb.rttvar = sample_us << 1
    else:
        error = sample_us - (tcb.srtt >> 3)
        tcb.srtt += error
        tcb.rttvar += (error if error >= 0 else -error) - (tcb.rttvar >> 2)
    tcb.srtt = max(tcb.srtt, 1)
    return restore_rto(engine, tcb)


@kernel
def take_echo(engine: Engine, tcb: Tcb, sent_until: int) -> int:
    """Enter the round-trip time of what was echoed, where segments sent again allow no other sample (RFC 7323 §4).

    Timestamps are coarse; without them Karn's algorithm would keep a time-out that was backed off.
    """
    return take_sample(engine, tcb, max(engine.now - sent_until, 1)) if sent_until != UNKNOWN_INSTANT else 0


@kernel
def restore_rto(engine: Engine, tcb: Tcb) -> int:
    """Set the time-out by what was measured, without any back-off (§2.1, §2.3)."""
    rto = (tcb.srtt >> 3) + max(_GRANULARITY_US, tcb.rttvar) if tcb.srtt else INITIAL_RTO_US
    tcb.rto = min(max(rto, engine.min_rto_us), engine.max_rto_us)
    return 0


@kernel
def is_backed_off(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if the time-out is longer than what was measured asks for."""
    measured = (tcb.srtt >> 3) + max(_GRANULARITY_US, tcb.rttvar)
    return 1 if tcb.rto > max(measured, engine.min_rto_us) and tcb.srtt else 0


@kernel
def after_lost_syn(engine: Engine, tcb: Tcb) -> int:
    """Begin with a long time-out where a SYN had to be sent again, and nothing is measured yet (§5.7)."""
    tcb.rto = min(max(_RTO_AFTER_LOST_SYN_US, engine.min_rto_us), engine.max_rto_us)
    return 0


@kernel
def back_off(engine: Engine, tcb: Tcb) -> int:
    """Double the time-out (§5.5)."""
    tcb.rto = min(tcb.rto * 2, engine.max_rto_us)
    tcb.rtt_started_at = 0  # Karn: no sample from what is sent again (§3)
    return 0
