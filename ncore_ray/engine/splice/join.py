"""A proxied pair that becomes a spliced one: two connections of ours that nobody reads any more become one of the ends.

That is possible at an instant at which nothing is under way: all that came has gone on, is acknowledged, and has been
acknowledged by us. Numbers and timestamps go on where either side is; a window is told in the scale that was agreed.
"""

from __future__ import annotations

from ncore_ray.engine.connection import Role, Tcb, Work, hold_chain, mark, peer_of, send_chain
from ncore_ray.engine.http.exchange import Phase, exchange_of
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.splice.words import words_of
from ncore_ray.engine.tcp import congestion
from ncore_ray.engine.tcp.ecn import Ecn
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.tcp.spans import clear_spans
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.timestamps import TICK_BITS
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import VserverProtocol, vserver_of
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.tcp import TIMESTAMPS


@kernel
def try_join(engine: Engine, tcb: Tcb) -> int:
    """Join a pair that nobody reads, if nothing is under way; return 1 if it is spliced now."""
    if not _is_quiet(tcb) or not tcb.peer:
        return 0
    peer = peer_of(engine, tcb)
    if not _is_quiet(peer) or not _agree(tcb, peer) or not _is_unread(engine, tcb, peer):
        return 0
    _join_side(engine, tcb, peer)
    _join_side(engine, peer, tcb)
    client = tcb if tcb.role == Role.CLIENT else peer
    client.application_at = engine.now + vserver_of(base_of(engine), client.vserver).client_idle_us
    counters_of(engine).spliced_connections += 1
    counters_of(engine).joined_connections += 1
    return mark(engine, peer, Work.OUTPUT) + 1


@kernel
def _is_unread(engine: Engine, tcb: Tcb, peer: Tcb) -> int:
    """Return 1 for both sides of a vServer that splices, which are proxied, of HTTP after an upgrade."""
    if not (tcb.role == Role.CLIENT and peer.role == Role.SERVER) and not (
        tcb.role == Role.SERVER and peer.role == Role.CLIENT
    ):
        return 0
    vserver = vserver_of(base_of(engine), tcb.vserver)
    if not vserver.splice:
        return 0
    return 1 if vserver.protocol == VserverProtocol.TCP or exchange_of(engine, tcb).phase == Phase.TUNNEL else 0


@kernel
def _is_quiet(tcb: Tcb) -> int:
    """Return 1 if nothing waits on a side, in either direction."""
    if tcb.state != TcpState.ESTABLISHED or tcb.fin_wanted or tcb.fin_received or tcb.discard or tcb.retain:
        return 0
    if send_chain(tcb).length or hold_chain(tcb).length or tcb.out_of_order_count:
        return 0
    if tcb.snd_una != tcb.snd_max or tcb.snd_nxt != tcb.snd_max or tcb.in_recovery:
        return 0
    if tcb.ack_now or tcb.ack_pending or tcb.last_ack_sent != tcb.rcv_nxt:
        return 0
    return 0 if tcb.work & Work.PUMP else 1


@kernel
def _agree(tcb: Tcb, peer: Tcb) -> int:
    """Return 1 if both ends understand the same: IP, selective acknowledgments, timestamps, marks."""
    if is_ipv4(tcb.remote_high, tcb.remote_low) != is_ipv4(peer.remote_high, peer.remote_low):
        return 0
    if (tcb.sack_permitted == 0) != (peer.sack_permitted == 0) or tcb.timestamps != peer.timestamps:
        return 0
    if tcb.ecn & Ecn.AGREED != peer.ecn & Ecn.AGREED or (tcb.ecn | peer.ecn) & Ecn.ECHO:
        return 0
    return 1


@kernel
def _join_side(engine: Engine, tcb: Tcb, peer: Tcb) -> int:
    """Let a side be one of a spliced pair; what it says goes on in the numbers of the other connection."""
    congestion.end(engine, tcb)
    clear_spans(engine, tcb)
    tcb.state = TcpState.SPLICED
    tcb.retransmit_at = tcb.recheck_at = tcb.ack_at = tcb.keepalive_at = tcb.application_at = 0
    tcb.pace_waits = 0
    if tcb.timestamps:
        tcb.mss += TIMESTAMPS
    words = words_of(tcb)
    words.sequence_shift = seq_add(peer.snd_max, -tcb.rcv_nxt)
    words.timestamp_shift = seq_add(peer.iss + (engine.now >> TICK_BITS), -tcb.ts_recent)
    words.ended = words.doubted = 0
    return 0
