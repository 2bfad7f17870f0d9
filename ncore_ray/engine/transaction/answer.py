"""Answers: they come from all engines at once, and go on to the client in the order of its requests."""

from __future__ import annotations

from ncore_ray.engine.buffer import chain_clear, chain_shift, first_piece_length
from ncore_ray.engine.connection import Tcb, Work, hold_chain, mark, send_chain, tcb_of
from ncore_ray.engine.http.exchange import exchange_of
from ncore_ray.engine.http.respond import SERVICE_UNAVAILABLE, close_client, respond
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.tcp.sequence import seq_diff
from ncore_ray.engine.tcp.user import abort, send_room
from ncore_ray.engine.transaction.leg import KEEP_US, dismiss, leave_split
from ncore_ray.engine.transaction.turn import LegState, dequeue, drop_idle, is_first, leg_window, put_idle, turn_of
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of


@kernel
def pump_leg(engine: Engine, leg: Tcb) -> int:
    """Pass on what has come of an answer if it is its turn, and if it was all of it let the next one follow.

    The leg's own output, with credit for more, comes right after a pump.
    """
    turn = turn_of(engine, leg)
    if turn.client == 0:
        return 0
    client = tcb_of(engine, turn.client - 1)
    if turn.state == LegState.IDLE:
        return _unasked(engine, client, leg)
    if not is_first(engine, leg):
        return 0
    _pass_on(engine, client, leg)
    if hold_chain(leg).length:
        return 0
    if turn.state == LegState.ANSWERED:
        return _complete(engine, client, leg)
    if leg.fin_received:
        return _close_after(engine, client)
    return _fail(engine, client, leg) if turn.state == LegState.LOST else 0


@kernel
def _unasked(engine: Engine, client: Tcb, leg: Tcb) -> int:
    """The other engine ends an idle leg: there is nothing to answer."""
    if hold_chain(leg).length == 0 and not leg.fin_received:
        return 0
    drop_idle(engine, client, leg)
    chain_clear(engine, hold_chain(leg))
    return dismiss(engine, leg)


@kernel
def _pass_on(engine: Engine, client: Tcb, leg: Tcb) -> int:
    """Move frames to the client's send chain as far as it takes them."""
    chain = hold_chain(leg)
    before = chain.length
    while chain.length > 0 and first_piece_length(engine, chain) <= send_room(engine, client):
        chain_shift(engine, chain, send_chain(client))
    if chain.length < before:
        turn_of(engine, leg).begun = 1
        mark(engine, client, Work.OUTPUT)
    return 0


@kernel
def _complete(engine: Engine, client: Tcb, leg: Tcb) -> int:
    """The answer has gone on whole: the leg is free for another request, and the next answer may follow."""
    turn = turn_of(engine, client)
    dequeue(engine, client)
    if leg.fin_received or seq_diff(leg.rcv_edge, leg.rcv_nxt) > leg_window(engine):
        dismiss(engine, leg)  # ended, or with more credit than an answer may have that waits for its turn
    else:
        put_idle(engine, client, leg)
        leg.application_at = engine.now + KEEP_US
    if turn.outstanding == 0:
        turn.alone = 0
        vserver = vserver_of(base_of(engine), client.vserver)
        begun = hold_chain(client).length
        client.application_at = engine.now + (vserver.header_us if begun else vserver.client_idle_us)
    else:
        mark(engine, tcb_of(engine, turn.first - 1), Work.PUMP | Work.OUTPUT)
    if hold_chain(client).length or client.fin_received:
        mark(engine, client, Work.PUMP)
    return 0


@kernel
def _close_after(engine: Engine, client: Tcb) -> int:
    """The other engine closes after this answer, and so the client's connection closes: later requests are given up."""
    dismiss(engine, tcb_of(engine, dequeue(engine, client) - 1))
    leave_split(engine, client)
    return close_client(engine, client)


@kernel
def _fail(engine: Engine, client: Tcb, leg: Tcb) -> int:
    """The other engine has no answer, or not all of it: the client is told if nothing of it has gone out."""
    begun, method = turn_of(engine, leg).begun, turn_of(engine, leg).method
    counters_of(engine).transactions_lost += 1
    leave_split(engine, client)
    if begun:
        return abort(engine, client)
    exchange_of(engine, client).method = method
    return respond(engine, client, SERVICE_UNAVAILABLE)
