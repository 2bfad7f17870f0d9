"""Tail loss probes (RFC 8985 §7): the last segments of a flight have none behind them that would tell of their loss.

After two round trips of silence one more segment goes out, a new one or the last one again. Its acknowledgment shows
what is missing, long before the retransmission timer would expire. Only for connections with SACK.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.sequence import seq_diff, seq_lt
from ncore_ray.engine.tcp.state import Recheck
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.packet import Packet

_LEAST_US: Final = 10_000
"""Hosts with one core for many programs may well answer so late."""
_WITHOUT_RTT_US: Final = 1_000_000
_MOST_ACK_DELAY_US: Final = 60_000
"""TLP.max_ack_delay: so long a host keeps the acknowledgment of a lone segment back; most wait 40 ms."""


class TailProbe(IntEnum):
    """The probe in flight."""

    NONE = 0
    NEW = 1
    """New bytes: their acknowledgment says all."""
    AGAIN = 2
    """The last segment once more: who tells whether the first one had arrived?"""


@kernel
def set_tail_timer(engine: Engine, tcb: Tcb) -> int:
    """Begin the probe time-out anew after new bytes were sent or acknowledged, where a probe makes sense (§7.2)."""
    if tcb.recheck == Recheck.REORDERING:
        return 0
    flying = seq_diff(tcb.snd_max, tcb.snd_una)
    if flying == 0 or tcb.in_recovery or tcb.sacked_bytes or tcb.tail_probe or tcb.probing:
        tcb.recheck_at = 0
        return 0
    span = max(tcb.srtt >> 2, _LEAST_US) if tcb.srtt else _WITHOUT_RTT_US
    if flying <= tcb.mss:
        span += _MOST_ACK_DELAY_US
    due = engine.now + span
    tcb.recheck_at = min(due, tcb.retransmit_at) if tcb.retransmit_at else due
    tcb.recheck = Recheck.TAIL
    return 0


@kernel
def take_tail_acknowledgment(tcb: Tcb, packet: Packet, acked: int) -> int:
    """Return 1 if an acknowledgment shows that the probe repaired a loss, unseen by anybody else (§7.4.2)."""
    if tcb.tail_probe == TailProbe.NONE or seq_lt(packet.acknowledgment, tcb.tail_end):
        return 0
    if tcb.tail_probe == TailProbe.NEW or packet.duplicate_end == tcb.tail_end:
        tcb.tail_probe = TailProbe.NONE
        return 0
    if seq_lt(tcb.tail_end, packet.acknowledgment):
        tcb.tail_probe = TailProbe.NONE
        return 1
    if acked == 0 and packet.sack_count == 0 and packet.payload_length == 0:
        tcb.tail_probe = TailProbe.NONE  # a peer without duplicate SACK got the segment twice
    return 0
