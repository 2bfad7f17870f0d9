"""The end of a spliced pair: both streams ended, a reset, silence, or a side that is left alone."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import NO_MAC, Role, Tcb, Work, index_of, mark, peer_of
from ncore_ray.engine.lifecycle import destroy, queue_time_wait
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.splice.judge import is_over
from ncore_ray.engine.splice.opening import syn_timeout
from ncore_ray.engine.splice.words import words_of
from ncore_ray.engine.tcp.patience import time_wait_of
from ncore_ray.engine.tcp.segment import send_reset
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.transmit import slots_left
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of

DOUBT_US: Final = 3_000_000
"""After a reset that may have been refused: who still says something within this span is alive."""


@kernel
def end_streams(engine: Engine, tcb: Tcb, peer: Tcb) -> int:
    """Both streams are over: for as long as TIME-WAIT lasts, what is sent again still goes on."""
    begin_change(engine, index_of(engine, tcb) + 1)
    _end_side(engine, tcb)
    _end_side(engine, peer)
    return end_change(engine)


@kernel
def _end_side(engine: Engine, tcb: Tcb) -> int:
    tcb.state = TcpState.SPLICE_ENDED
    tcb.application_at = 0
    tcb.close_at = engine.now + time_wait_of(engine, tcb)
    queue_time_wait(engine, tcb)
    return mark(engine, tcb, Work.OUTPUT)


@kernel
def destroy_pair(engine: Engine, tcb: Tcb) -> int:
    """Forget both sides; no host is told."""
    if tcb.peer:
        destroy(engine, peer_of(engine, tcb))
    return destroy(engine, tcb)


@kernel
def reset_pair(engine: Engine, tcb: Tcb) -> int:
    """End a pair, and tell both hosts."""
    _reset_side(engine, tcb)
    if tcb.peer:
        _reset_side(engine, peer_of(engine, tcb))
    return destroy_pair(engine, tcb)


@kernel
def abandon(engine: Engine, tcb: Tcb, peer: Tcb) -> int:
    """One side has given up, and the other one is told."""
    _reset_side(engine, peer)
    return destroy_pair(engine, tcb)


@kernel
def _reset_side(engine: Engine, tcb: Tcb) -> int:
    counters_of(engine).connections_reset += 1
    if slots_left(engine) and tcb.remote_mac != NO_MAC:
        send_reset(engine, tcb)
    return 0


@kernel
def end_by_reset(engine: Engine, tcb: Tcb) -> int:
    """One side has reset the pair, and the other heeds it."""
    begin_change(engine, index_of(engine, tcb) + 1)
    counters_of(engine).connections_reset += 1
    destroy_pair(engine, tcb)
    return end_change(engine)


@kernel
def doubt(engine: Engine, tcb: Tcb, peer: Tcb) -> int:
    """A reset went on that the other side need not heed (RFC 5961 §3.2): time will tell."""
    words_of(tcb).doubted = 1
    client = tcb if tcb.role == Role.CLIENT else peer
    client.application_at = engine.now + DOUBT_US
    return mark(engine, client, Work.OUTPUT)


@kernel
def settle_doubt(engine: Engine, tcb: Tcb, peer: Tcb) -> int:
    """Somebody goes on: the reset was forged, or came too late."""
    words_of(tcb).doubted = words_of(peer).doubted = 0
    client = tcb if tcb.role == Role.CLIENT else peer
    client.application_at = engine.now + vserver_of(base_of(engine), client.vserver).client_idle_us
    return 0


@kernel
def splice_timeout(engine: Engine, tcb: Tcb) -> int:
    """The deadline of a side has come."""
    if not tcb.peer:
        return destroy(engine, tcb)  # the other one had to make room
    if tcb.state == TcpState.SPLICE_OPENING:
        return syn_timeout(engine, tcb) if tcb.role == Role.SERVER else 0
    if tcb.state == TcpState.SPLICE_ANSWERED:
        counters_of(engine).connections_timed_out += 1
        return reset_pair(engine, tcb)
    return _look_for_life(engine, tcb, peer_of(engine, tcb))


@kernel
def _look_for_life(engine: Engine, tcb: Tcb, peer: Tcb) -> int:
    if is_over(tcb, peer):
        return destroy_pair(engine, tcb)  # whose engine died before it could say so
    if words_of(tcb).doubted or words_of(peer).doubted:
        counters_of(engine).connections_reset += 1
        return destroy_pair(engine, tcb)
    idle_us = vserver_of(base_of(engine), tcb.vserver).client_idle_us
    active_at = max(tcb.last_received_at, peer.last_received_at)
    if engine.now - active_at < idle_us:
        tcb.application_at = active_at + idle_us
        return 0
    counters_of(engine).connections_timed_out += 1
    return reset_pair(engine, tcb)
