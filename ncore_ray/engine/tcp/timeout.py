"""What the timers of a connection do when they fire (RFC 9293 §3.8, RFC 6298 §5, RFC 1122 §4.2.3.6)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.engine.connection import Tcb, Work, mark
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp import congestion, recovery
from ncore_ray.engine.tcp.path import forget_probe, suspect_black_hole
from ncore_ray.engine.tcp.patience import (
    begin_silence,
    cut_to_patience,
    is_patience_over,
    keepalive_of,
    user_timeout_of,
)
from ncore_ray.engine.tcp.rtt import back_off
from ncore_ray.engine.tcp.state import Recheck, TcpState
from ncore_ray.engine.tcp.user import abort
from ncore_ray.machine.jit import kernel

_KEEPALIVE_PROBES: Final = 5
_KEEPALIVE_INTERVAL_US: Final = 5_000_000
"""Between probes without an answer; the silence that brings the first bounds it, or answers would be missed."""


class Expiry(IntEnum):
    """What came of a connection whose timers were looked at."""

    NOTHING = 0
    APPLICATION = 1
    """The owner's own deadline has come."""
    FAILED = 2
    """The peer does not answer: the connection is to be given up."""
    GONE = 3
    """The connection ended and is freed."""


@kernel
def tcp_expire(engine: Engine, tcb: Tcb) -> int:
    """Do what is due at `engine.now`; return an `Expiry`."""
    now = engine.now
    if tcb.close_at and tcb.close_at <= now:
        if tcb.state == TcpState.TIME_WAIT or tcb.state == TcpState.SPLICE_ENDED:
            destroy(engine, tcb)
        else:
            abort(engine, tcb)  # nobody reads here any more, and the peer did not close in time
        return Expiry.GONE
    if tcb.ack_at and tcb.ack_at <= now:
        tcb.ack_at = 0
        tcb.ack_now = 1
        counters_of(engine).delayed_acks += 1
        mark(engine, tcb, Work.OUTPUT)
    if tcb.recheck_at and tcb.recheck_at <= now:
        _expire_recheck(engine, tcb)
    if tcb.retransmit_at and tcb.retransmit_at <= now:
        if _expire_retransmission(engine, tcb) == Expiry.FAILED:
            return _failed(engine, tcb)
    if tcb.keepalive_at and tcb.keepalive_at <= now:
        if _expire_keepalive(engine, tcb) == Expiry.FAILED:
            return _failed(engine, tcb)
    if tcb.application_at and tcb.application_at <= now:
        tcb.application_at = 0
        return Expiry.APPLICATION
    return Expiry.NOTHING


@kernel
def _failed(engine: Engine, tcb: Tcb) -> int:
    """The peer does not answer; its owner is told, unless both streams have ended already."""
    counters_of(engine).connections_timed_out += 1
    if tcb.state < TcpState.CLOSING:
        return Expiry.FAILED
    destroy(engine, tcb)
    return Expiry.GONE


@kernel
def _expire_recheck(engine: Engine, tcb: Tcb) -> int:
    """Look again for losses, or probe for one at the tail; the retransmission timer then begins anew."""
    kind = tcb.recheck
    tcb.recheck = Recheck.NOTHING
    tcb.recheck_at = 0
    if tcb.unresolved or tcb.snd_una == tcb.snd_max:
        return 0
    mark(engine, tcb, Work.OUTPUT)
    if kind == Recheck.REORDERING:
        return recovery.on_reordering_timer(engine, tcb)
    if tcb.in_recovery or tcb.sacked_bytes:
        return 0  # that tells of losses without a probe
    tcb.probe_tail = 1
    tcb.retransmit_at = engine.now + tcb.rto
    return 0


@kernel
def _expire_retransmission(engine: Engine, tcb: Tcb) -> int:
    tcb.retransmit_at = 0
    mark(engine, tcb, Work.OUTPUT)
    if tcb.unresolved:
        return Expiry.NOTHING  # nothing went out: not a loss
    if tcb.probing:
        return _probe_window(engine, tcb)
    if tcb.state > TcpState.SYN_RECEIVED and tcb.snd_una == tcb.snd_max:
        return Expiry.NOTHING  # nothing is on its way
    tcb.retransmissions += 1
    opening = tcb.state <= TcpState.SYN_RECEIVED
    if opening and tcb.retransmissions > engine.syn_retries:
        return Expiry.FAILED
    if not opening and _is_given_up(engine, tcb):
        return Expiry.FAILED
    counters_of(engine).retransmission_timeouts += 1
    back_off(engine, tcb)
    if opening:
        tcb.snd_nxt = tcb.iss
        return Expiry.NOTHING
    forget_probe(tcb, engine.now)
    suspect_black_hole(engine, tcb)
    cut_to_patience(engine, tcb)
    if tcb.sack_permitted and tcb.snd_wnd > 0:
        return recovery.on_timeout(engine, tcb)
    congestion.on_timeout(tcb)
    congestion.on_silence(engine, tcb)
    tcb.snd_nxt = tcb.snd_una
    return Expiry.NOTHING


@kernel
def _is_given_up(engine: Engine, tcb: Tcb) -> int:
    """Return 1 when a peer has not answered for the user time-out, or without one as often as is asked."""
    if tcb.retransmissions == 1:
        begin_silence(tcb, engine.now if tcb.probing else engine.now - tcb.rto)
    if user_timeout_of(engine, tcb) == 0:
        return 1 if tcb.retransmissions > engine.retries else 0
    if not is_patience_over(engine, tcb):
        return 0
    counters_of(engine).user_timeouts += 1
    return 1


@kernel
def _probe_window(engine: Engine, tcb: Tcb) -> int:
    """Send one byte into a closed window; a peer that answers keeps the connection (RFC 9293 §3.8.6.1)."""
    tcb.retransmissions += 1
    if _is_given_up(engine, tcb):
        return Expiry.FAILED
    counters_of(engine).zero_window_probes += 1
    back_off(engine, tcb)
    cut_to_patience(engine, tcb)
    tcb.snd_nxt = tcb.snd_una
    tcb.probe_now = 1
    return Expiry.NOTHING


@kernel
def _expire_keepalive(engine: Engine, tcb: Tcb) -> int:
    limit = keepalive_of(engine, tcb)
    if limit == 0:  # no more, since the configuration changed
        tcb.keepalive_at = 0
        return Expiry.NOTHING
    idle_since = max(tcb.last_received_at, tcb.created_at)
    if engine.now - idle_since < limit:
        tcb.keepalive_at = idle_since + limit
        tcb.keepalive_probes = 0
        return Expiry.NOTHING
    if tcb.keepalive_probes >= _KEEPALIVE_PROBES:
        return Expiry.FAILED
    tcb.keepalive_probes += 1
    counters_of(engine).keepalive_probes += 1
    tcb.keepalive_at = engine.now + min(_KEEPALIVE_INTERVAL_US, limit)
    tcb.keepalive_due = 1
    mark(engine, tcb, Work.OUTPUT)
    return Expiry.NOTHING
