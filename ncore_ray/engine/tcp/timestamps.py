"""Timestamps (RFC 7323 §3 to §5): what a segment was sent at, echoed by its receiver; and protection against old ones.

A tick is 1,024 µs. Each connection counts from its initial sequence number, which nobody outside can guess.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import RST, TIMESTAMPS, write_timestamps

TICK_BITS: Final = 10
_VALID_US: Final = 24 * 86_400 * 1_000_000
"""So long what a peer said last is good for comparison (§5.5)."""
UNKNOWN_INSTANT: Final = 1 << 62


class Age(IntEnum):
    """What a timestamp says of a segment."""

    FRESH = 0
    REFUSED = 1


@kernel
def options_length(tcb: Tcb) -> int:
    """Return the bytes of options in each segment of a connection."""
    return TIMESTAMPS if tcb.timestamps else 0


@kernel
def write_own_timestamps(engine: Engine, tcb: Tcb, target: int) -> int:
    """Write the option of a segment that is sent now; return its bytes."""
    return write_timestamps(target, seq_add(tcb.iss, engine.now >> TICK_BITS), tcb.ts_recent)


@kernel
def begin_timestamps(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Take what a peer's SYN says: both ends have to offer timestamps (§3.2)."""
    tcb.timestamps = engine.timestamps & packet.has_timestamp
    if tcb.timestamps:
        tcb.mss -= TIMESTAMPS  # which counts without options (RFC 6691)
        tcb.ts_recent = packet.timestamp
        tcb.ts_recent_at = engine.now
    return 0


@kernel
def judge_age(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Refuse a segment that is older than what came before it (§5.3, R1), or that has no timestamp (§3.2).

    A reset is never refused for its age.
    """
    if packet.flags & RST:
        return Age.FRESH
    if not packet.has_timestamp:
        counters_of(engine).drop_tcp_no_timestamp_packets += 1
        return Age.REFUSED
    if not seq_lt(packet.timestamp, tcb.ts_recent) or engine.now - tcb.ts_recent_at > _VALID_US:
        return Age.FRESH
    counters_of(engine).drop_tcp_old_timestamp_packets += 1
    return Age.REFUSED


@kernel
def note_timestamp(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Keep what is to be echoed: that of the segment at the left edge of what was acknowledged last (§4.3)."""
    newer = not seq_lt(packet.timestamp, tcb.ts_recent) or engine.now - tcb.ts_recent_at > _VALID_US
    if packet.has_timestamp and newer and seq_le(packet.sequence, tcb.last_ack_sent):
        tcb.ts_recent = packet.timestamp
        tcb.ts_recent_at = engine.now
    return 0


@kernel
def echoed_until(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Return the last instant at which the segment that an acknowledgment echoes can have been sent, µs.

    Without timestamps nothing is known of it: UNKNOWN_INSTANT.
    """
    if not tcb.timestamps or not packet.has_timestamp:
        return UNKNOWN_INSTANT
    ticks = engine.now >> TICK_BITS
    age = seq_diff(seq_add(tcb.iss, ticks), packet.timestamp_echo)
    if age < 0 or age > ticks:
        return UNKNOWN_INSTANT  # nothing that was ever sent
    return ((ticks - age + 1) << TICK_BITS) - 1
