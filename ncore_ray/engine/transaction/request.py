"""Requests of a client whose transactions are shared out: where each one ends, and which engine gets it.

Only what is needed to find a request's end is looked at here. Whatever is not a plain request, and all that follows it,
is left to this engine as its own client, once the answers before it have gone out: heads that are wrong, requests to
upgrade, and a request after which the connection closes and which is the only one.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.buffer import chain_drop, chain_gather, chain_shift, first_piece, first_piece_length
from ncore_ray.engine.connection import Role, Tcb, Work, hold_chain, mark, send_chain, tcb_of
from ncore_ray.engine.http.exchange import (
    GATHER_ROOM,
    Exchange,
    Phase,
    body_of,
    exchange_of,
    fields_scratch,
    gather_scratch,
    head_scratch,
)
from ncore_ray.engine.http.message import chunk_syntax
from ncore_ray.engine.http.message.body import body_begin, body_step
from ncore_ray.engine.http.message.framing import request_body
from ncore_ray.engine.http.message.head import Head, Method, scan_head
from ncore_ray.engine.http.message.request import parse_request, skip_empty_lines
from ncore_ray.engine.http.respond import SERVICE_UNAVAILABLE, respond
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.proxy.relay import hold
from ncore_ray.engine.tcp.segment import whole_room
from ncore_ray.engine.tcp.user import abort, close_send, send_bytes, send_room
from ncore_ray.engine.transaction.leg import leave_split, obtain_leg, watch_interval
from ncore_ray.engine.transaction.turn import MOST_OUTSTANDING, Turn, enqueue, put_idle, turn_of
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import Vserver, vserver_of

_PENDING_LIMIT: Final = 16 << 10
"""The next request waits while more than so many bytes of the one before it are on their way to its engine."""


@kernel
def take_requests(engine: Engine, client: Tcb, address: int, length: int) -> int:
    """Take bytes in order from the client: hand on what can go on, hold the rest. Its role may change."""
    before = hold_chain(client).length
    while length > 0 and before == 0:
        taken = _step(engine, client, address, length)
        if taken == 0:
            break
        address += taken
        length -= taken
    if client.role != Role.SPLIT:
        return 0
    if not hold(engine, client, address, length):
        leave_split(engine, client)
        return abort(engine, client)
    return take_held(engine, client) if before else 0


@kernel
def take_held(engine: Engine, client: Tcb) -> int:
    """Hand on what is held as far as it can go on."""
    chain = hold_chain(client)
    before = chain.length
    while chain.length > 0 and client.role == Role.SPLIT:
        if _step_held(engine, client) == 0:
            break
    if client.role == Role.SPLIT and chain.length < before:
        mark(engine, client, Work.OUTPUT)
    return 0


@kernel
def _step_held(engine: Engine, client: Tcb) -> int:
    """Take a part of the held bytes; a head that does not lie in one piece is put together first."""
    chain = hold_chain(client)
    address, length = first_piece(engine, chain), first_piece_length(engine, chain)
    if exchange_of(engine, client).phase != Phase.READ_HEAD:
        return _shift_body(engine, client)
    if not _may_begin(engine, client, turn_of(engine, client)):
        return 0
    taken = _step(engine, client, address, length)
    if taken == 0 and length < chain.length and client.role == Role.SPLIT and not turn_of(engine, client).stays:
        address = gather_scratch(engine)
        taken = _step(engine, client, address, chain_gather(engine, chain, address, GATHER_ROOM))
    if taken and client.role == Role.SPLIT:
        chain_drop(engine, chain, taken)
    return taken


@kernel
def _step(engine: Engine, client: Tcb, address: int, length: int) -> int:
    """Take a part of the bytes; return how many, 0 if nothing can be done with them now."""
    exchange = exchange_of(engine, client)
    if exchange.phase == Phase.READ_HEAD:
        return _read_request(engine, client, exchange, address, length)
    leg = tcb_of(engine, turn_of(engine, client).last - 1)
    taken = _walk_body(engine, client, exchange, address, min(length, send_room(engine, leg)))
    return _queue(engine, client, leg, address, taken)


@kernel
def _queue(engine: Engine, client: Tcb, leg: Tcb, address: int, length: int) -> int:
    """Queue bytes of a body for the engine that gets it; without memory the connection is given up."""
    if length and not send_bytes(engine, leg, address, length):
        leave_split(engine, client)
        abort(engine, client)
        return 0
    return length


@kernel
def _shift_body(engine: Engine, client: Tcb) -> int:
    """Move held bytes of a body on: whole frames by reference."""
    chain = hold_chain(client)
    leg = tcb_of(engine, turn_of(engine, client).last - 1)
    address, length = first_piece(engine, chain), first_piece_length(engine, chain)
    taken = _walk_body(engine, client, exchange_of(engine, client), address, min(length, send_room(engine, leg)))
    if taken == length:
        chain_shift(engine, chain, send_chain(leg))
        mark(engine, leg, Work.OUTPUT)
        return taken
    if _queue(engine, client, leg, address, taken):
        chain_drop(engine, chain, taken)
    return taken


@kernel
def _walk_body(engine: Engine, client: Tcb, exchange: Exchange, address: int, length: int) -> int:
    """Return how many of the bytes belong to the request's body.

    From a wrong byte on all do: the engine that has it refuses the request, and the connection closes.
    """
    body = body_of(engine, client)
    taken = 0
    while taken < length and body.phase != chunk_syntax.Phase.DONE and body.phase != chunk_syntax.Phase.ERROR:
        count, _ = body_step(body, address + taken, length - taken)
        taken += count
    if body.phase == chunk_syntax.Phase.DONE:
        exchange.phase = Phase.READ_HEAD
    return length if body.phase == chunk_syntax.Phase.ERROR else taken


@kernel
def _may_begin(engine: Engine, client: Tcb, turn: Turn) -> int:
    """Return 1 if another request may be worked on now."""
    if turn.stays or send_room(engine, client) == 0:
        return 0  # it does not read its answers: no more of them for now
    if turn.outstanding == 0:
        return 1
    if turn.alone or turn.outstanding >= MOST_OUTSTANDING:
        return 0
    return 1 if send_chain(tcb_of(engine, turn.last - 1)).length <= _PENDING_LIMIT else 0


@kernel
def _read_request(engine: Engine, client: Tcb, exchange: Exchange, address: int, length: int) -> int:
    turn = turn_of(engine, client)
    if not _may_begin(engine, client, turn):
        return 0
    vserver = vserver_of(base_of(engine), client.vserver)
    limit = min(vserver.max_header, whole_room(engine, client))
    end, _ = scan_head(address, min(length, limit), 0)
    if end < 0:
        empty = skip_empty_lines(address, length)
        if empty:
            return empty
        turn.stays = 1 if length >= limit else 0
        return _await_head(engine, client, turn, vserver)
    head = head_scratch(engine)
    status = parse_request(address, end, head, fields_scratch(engine), vserver.max_request_line, vserver.max_fields)
    if status != 0 or not _is_plain(head, turn):
        turn.stays = 1
        return 0
    if turn.outstanding and not _is_safe(head.method):
        return 0
    return _hand_on(engine, client, exchange, head, address, end)


@kernel
def _await_head(engine: Engine, client: Tcb, turn: Turn, vserver: Vserver) -> int:
    """Begin to count the time for the head with its first bytes; while answers are due it does not count."""
    if turn.outstanding == 0:
        deadline = engine.now + vserver.header_us
        client.application_at = deadline if hold_chain(client).length == 0 else min(client.application_at, deadline)
    return 0


@kernel
def _is_plain(head: Head, turn: Turn) -> int:
    """Return 0 for what stays with this engine. (A last request in a row goes on like those before it.)"""
    if head.upgrade or head.method == Method.CONNECT:
        return 0
    return 1 if head.persistent or turn.outstanding else 0


@kernel
def _is_safe(method: int) -> int:
    """RFC 9110 §9.2.1. RFC 9112 §9.3.2: only safe requests may be worked on in parallel."""
    return (
        1 if method == Method.GET or method == Method.HEAD or method == Method.OPTIONS or method == Method.TRACE else 0
    )


@kernel
def _hand_on(engine: Engine, client: Tcb, exchange: Exchange, head: Head, address: int, end: int) -> int:
    """Give an accepted request to an engine; return the bytes of its head, 0 if it has to wait or is refused."""
    turn = turn_of(engine, client)
    number = obtain_leg(engine, client)
    if number == 0:
        return 0 if turn.outstanding else _refuse(engine, client, head.method)
    leg = tcb_of(engine, number - 1)
    if not send_bytes(engine, leg, address, end):
        put_idle(engine, client, leg)
        return 0 if turn.outstanding else _refuse(engine, client, head.method)
    enqueue(engine, client, leg)
    counters_of(engine).transactions += 1
    turn_of(engine, leg).method = head.method
    turn.alone = 1 - _is_safe(head.method)
    leg.application_at = engine.now + watch_interval(engine, leg)
    client.application_at = 0
    body = body_of(engine, client)
    body_begin(body, request_body(head), head.content_length)
    exchange.phase = Phase.READ_HEAD if body.phase == chunk_syntax.Phase.DONE else Phase.RELAY_BODY
    return end


@kernel
def _refuse(engine: Engine, client: Tcb, method: int) -> int:
    """There is no place or memory for a request, and none will become free by this client."""
    counters_of(engine).transactions_lost += 1
    leave_split(engine, client)
    exchange_of(engine, client).method = method
    respond(engine, client, SERVICE_UNAVAILABLE)
    return 0


@kernel
def end_of_requests(engine: Engine, client: Tcb) -> int:
    """Take the end of what the client sends, if all before it that can be handed on is; return 1 if it may be closed.

    A request without its end is ended where it is worked on: that engine gives it up.
    """
    turn = turn_of(engine, client)
    if exchange_of(engine, client).phase == Phase.READ_HEAD:
        return 1 if turn.outstanding == 0 and send_room(engine, client) else 0
    if hold_chain(client).length == 0:
        close_send(engine, tcb_of(engine, turn.last - 1))
    return 0
