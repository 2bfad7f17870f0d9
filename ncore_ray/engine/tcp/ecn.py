"""Explicit congestion notification: routers mark packets instead of dropping them (RFC 3168, RFC 8311).

Both ends agree in their SYNs. Then each packet with new data says that it may be marked; its receiver echoes a mark in
every acknowledgment until the sender has said that its window is smaller. A SYN that gets no answer is sent again
without the offer, as some hosts and boxes on the way drop those that have one (RFC 3168 §6.1.1.1).
"""

from __future__ import annotations

from enum import IntEnum

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp import congestion
from ncore_ray.engine.tcp.sequence import seq_lt
from ncore_ray.engine.tcp.state import Recovery
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.settings import EcnUse
from ncore_ray.wire.ecn import MARKED, ecn_field, make_capable
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import ACK, CWR, ECE


class Ecn(IntEnum):
    """What a connection has agreed and what it has to say (bits)."""

    NOTHING = 0
    OFFERED = 1
    """Our SYN offered it."""
    AGREED = 2
    CAPABLE = 4
    """What we send may be marked."""
    ECHO = 8
    """A mark came, and the peer has not said yet that it heeds it."""
    REDUCED = 16
    """Our window became smaller, which the peer is to be told with the next new data (CWR)."""


@kernel
def syn_flags(engine: Engine, tcb: Tcb, flags: int) -> int:
    """Return the further flags of a SYN of ours (§6.1.1)."""
    if flags & ACK:
        return ECE if tcb.ecn & Ecn.AGREED else 0
    if engine.ecn != EcnUse.OFFER or tcb.retransmissions:
        return 0
    tcb.ecn |= Ecn.OFFERED
    return ECE | CWR


@kernel
def take_syn_flags(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Take what the peer's SYN says, after the congestion control is chosen.

    An answer that has both flags is a mirror, not an agreement (§6.1.1.1).
    """
    said = packet.flags & (ECE | CWR)
    if packet.flags & ACK:
        agreed = tcb.ecn & Ecn.OFFERED and said == ECE
    else:
        agreed = engine.ecn != EcnUse.NEVER and said == ECE | CWR
    tcb.ecn &= Ecn.OFFERED
    if agreed:
        tcb.ecn |= Ecn.AGREED
        if congestion.heeds_marks(tcb):
            tcb.ecn |= Ecn.CAPABLE
        counters_of(engine).ecn_connections += 1
    return 0


@kernel
def take_mark(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Take the mark of an acceptable packet, and what the peer says of its window (§6.1.3)."""
    if packet.flags & CWR:
        tcb.ecn &= ~Ecn.ECHO
    if packet.payload_length and ecn_field(packet.network) == MARKED:
        counters_of(engine).ecn_marked_packets += 1
        tcb.ecn |= Ecn.ECHO
    return 0


@kernel
def take_echo_of_mark(engine: Engine, tcb: Tcb, packet: Packet, window: int) -> int:
    """Make the window smaller when the peer echoes a mark, once in a round trip (§6.1.2).

    ``window``: of before this acknowledgment, which does not let it grow.
    """
    if tcb.marked_until and seq_lt(tcb.marked_until - 1, tcb.snd_una):
        tcb.marked_until = 0
    if not packet.flags & ECE or tcb.in_recovery != Recovery.NONE:
        return 0
    tcb.cwnd = min(tcb.cwnd, window)
    if tcb.marked_until:
        return 0
    congestion.on_marked(tcb)
    tcb.marked_until = tcb.snd_max + 1
    tcb.ecn |= Ecn.REDUCED
    counters_of(engine).ecn_reductions += 1
    return 0


@kernel
def has_reduced(tcb: Tcb) -> int:
    """The window became smaller for a loss: a mark of the same round trip says nothing more (§6.1.2)."""
    tcb.marked_until = tcb.snd_max + 1
    tcb.ecn |= Ecn.REDUCED
    return 0


@kernel
def write_marks(tcb: Tcb, ip_header: int, flags: int, sequence: int, length: int) -> int:
    """Let a segment whose IP header is written say what there is to say; return its flags.

    Only new data may be marked: no acknowledgment, nothing sent again, no probe of a closed window (§6.1.4 to 6.1.6).
    """
    if tcb.ecn & Ecn.ECHO:
        flags |= ECE
    if length == 0 or not tcb.ecn & Ecn.CAPABLE or sequence != tcb.snd_max or tcb.probing:
        return flags
    make_capable(ip_header)
    if tcb.ecn & Ecn.REDUCED:
        tcb.ecn &= ~Ecn.REDUCED
        flags |= CWR
    return flags
