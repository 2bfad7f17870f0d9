"""The client's side of an HTTP vServer: requests are read, judged, rewritten and passed on."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.access.notes import note_cut_off, note_request
from ncore_ray.engine.balance.choose import NO_SERVICE
from ncore_ray.engine.buffer import Chain, chain_drop, chain_gather, first_piece, first_piece_length
from ncore_ray.engine.connection import (
    Role,
    Tcb,
    Work,
    bytes_moved,
    hold_chain,
    mark,
    moved_on,
    peer_of,
    send_chain,
    tcb_of,
)
from ncore_ray.engine.http.exchange import (
    GATHER_ROOM,
    REWRITE_ROOM,
    Exchange,
    Phase,
    begin_exchange,
    body_of,
    exchange_of,
    fields_scratch,
    gather_scratch,
    head_scratch,
    rewrite_options,
    rewrite_scratch,
    text_address,
)
from ncore_ray.engine.http.message import chunk_syntax
from ncore_ray.engine.http.message.body import body_begin, body_step
from ncore_ray.engine.http.message.framing import request_body
from ncore_ray.engine.http.message.head import Head, Method, scan_head
from ncore_ray.engine.http.message.request import parse_request, refuse_unfinished, skip_empty_lines
from ncore_ray.engine.http.message.rewrite import write_request
from ncore_ray.engine.http.pool import obtain_server
from ncore_ray.engine.http.respond import SERVICE_UNAVAILABLE, close_client, respond
from ncore_ray.engine.latency.histogram import note_asked
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of, vserver_stats
from ncore_ray.engine.proxy.relay import count_received, hold, queue_bytes, relay, relay_end, wake_peer
from ncore_ray.engine.tcp.acknowledge import drop_acknowledged
from ncore_ray.engine.tcp.segment import whole_room, window_step
from ncore_ray.engine.tcp.sequence import seq_diff
from ncore_ray.engine.tcp.user import abort, send_room
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import address_of
from ncore_ray.tables.service import Vserver, service_of, vserver_of

_BODY_TOO_LARGE: Final = 413
_REQUEST_TIMEOUT: Final = 408
_BAD_REQUEST: Final = 400
_RETAIN_LIMIT: Final = 16384
"""Bytes of a request that are kept, at most, so that it can be sent again."""


@kernel
def client_established(engine: Engine, tcb: Tcb) -> int:
    """Begin with a new client."""
    begin_exchange(engine, tcb)
    tcb.application_at = engine.now + vserver_of(base_of(engine), tcb.vserver).header_us
    return 0


@kernel
def client_data(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    """Take bytes in order from a client: pass on what can go on, hold the rest."""
    count_received(engine, tcb, length)
    while length > 0 and hold_chain(tcb).length == 0:
        taken = _step(engine, tcb, address, length)
        if tcb.role == Role.FREE or tcb.discard:
            return 0
        if taken == 0:
            break
        address += taken
        length -= taken
    if not hold(engine, tcb, address, length):
        return _give_up(engine, tcb)
    if hold_chain(tcb).length > length:
        return pump_client(engine, tcb)
    return 0


@kernel
def _give_up(engine: Engine, tcb: Tcb) -> int:
    """Reset both sides."""
    note_cut_off(engine, tcb)
    if tcb.peer:
        abort(engine, peer_of(engine, tcb))
    return abort(engine, tcb)


@kernel
def pump_client(engine: Engine, tcb: Tcb) -> int:
    """Take held bytes as far as the exchange has come; then the end of the stream, if it came."""
    chain = hold_chain(tcb)
    while chain.length > 0:
        taken = _step_held(engine, tcb, chain)
        if tcb.role == Role.FREE or tcb.discard:
            return 0
        if taken == 0:
            break
        chain_drop(engine, chain, taken)
        mark(engine, tcb, Work.OUTPUT)
    return _end_of_stream(engine, tcb) if tcb.fin_received else 0


@kernel
def _step_held(engine: Engine, tcb: Tcb, chain: Chain) -> int:
    """Take a part of the held bytes; a head that does not lie in one piece is put together first."""
    length = first_piece_length(engine, chain)
    taken = _step(engine, tcb, first_piece(engine, chain), length)
    if taken or tcb.role == Role.FREE or tcb.discard or length == chain.length:
        return taken
    if exchange_of(engine, tcb).phase != Phase.READ_HEAD:
        return 0
    address = gather_scratch(engine)
    return _step(engine, tcb, address, chain_gather(engine, chain, address, GATHER_ROOM))


@kernel
def _step(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    """Take a part of the bytes; return how many, 0 if nothing can be done with them now."""
    exchange = exchange_of(engine, tcb)
    if exchange.phase == Phase.READ_HEAD:
        return _read_request(engine, tcb, exchange, address, length)
    if exchange.phase == Phase.RELAY_BODY:
        return _relay_body(engine, tcb, exchange, address, length)
    if exchange.phase == Phase.TUNNEL and tcb.peer:
        return relay(engine, peer_of(engine, tcb), address, length)
    return 0


@kernel
def _read_request(engine: Engine, tcb: Tcb, exchange: Exchange, address: int, length: int) -> int:
    if send_room(engine, tcb) == 0:
        return 0  # it does not read its responses: no more of them for now
    vserver = vserver_of(base_of(engine), tcb.vserver)
    limit = min(vserver.max_header, whole_room(engine, tcb))  # a longer one may never get into the window
    end, _ = scan_head(address, min(length, limit), 0)
    exchange.responding = 0
    exchange.method = Method.GET
    if end < 0:
        empty = skip_empty_lines(address, length)
        if empty:
            return empty  # thrown away: no request has begun with them
        if length < limit:
            _await_head(engine, tcb, vserver)
            return 0
        respond(engine, tcb, refuse_unfinished(address, limit))
        return 0
    head = head_scratch(engine)
    status = parse_request(address, end, head, fields_scratch(engine), vserver.max_request_line, vserver.max_fields)
    exchange.method = head.method
    if status == 0 and vserver.max_body >= 0 and head.content_length > vserver.max_body:
        status = _BODY_TOO_LARGE
    if status == 0:
        status = _forward_head(engine, tcb, exchange, head, address)
    if status != 0:
        respond(engine, tcb, status)
        return 0
    return end


@kernel
def _await_head(engine: Engine, tcb: Tcb, vserver: Vserver) -> int:
    """Begin to count the time for the head with its first bytes, or, if they came early, when it is their turn."""
    deadline = engine.now + vserver.header_us
    tcb.application_at = deadline if hold_chain(tcb).length == 0 else min(tcb.application_at, deadline)
    return 0


@kernel
def _forward_head(engine: Engine, tcb: Tcb, exchange: Exchange, head: Head, source: int) -> int:
    """Pass an accepted request's head on; return 0, or the status to refuse it with."""
    counters_of(engine).http_requests += 1
    vserver_stats(engine, tcb.vserver).requests += 1
    note_asked(engine, exchange)
    note_request(engine, tcb, exchange, head, source)
    number = obtain_server(engine, tcb, NO_SERVICE, 0)
    if number == 0:
        return SERVICE_UNAVAILABLE
    server = tcb_of(engine, number - 1)
    tcb.attempts = 0
    length = _write_head(engine, tcb, server, head, source)
    if length < 0 or not queue_bytes(engine, server, rewrite_scratch(engine), length):
        return SERVICE_UNAVAILABLE
    body = body_of(engine, tcb)
    body_begin(body, request_body(head), head.content_length)
    exchange.version_minor = head.version_minor
    exchange.persistent = head.persistent
    exchange.upgrade = head.upgrade
    exchange.phase = Phase.WAIT if body.phase == chunk_syntax.Phase.DONE else Phase.RELAY_BODY
    tcb.application_at = 0
    if exchange.phase == Phase.RELAY_BODY:
        tcb.application_at = engine.now + vserver_of(base_of(engine), tcb.vserver).client_idle_us
    # Only what the server of an idle connection may never have seen is kept, to be sent again (RFC 9112 §9.3.1).
    server.retain = exchange_of(engine, server).reused & _is_idempotent(head.method)
    return _limit_retained(engine, server, exchange, 0)


@kernel
def _limit_retained(engine: Engine, server: Tcb, exchange: Exchange, more: int) -> int:
    """Keep a request whose body still comes only while that takes no room that the rest of it needs."""
    limit = min(_RETAIN_LIMIT, engine.send_limit >> 1, engine.receive_limit >> 1)
    if server.retain and exchange.phase == Phase.RELAY_BODY and send_chain(server).length + more > limit:
        server.retain = 0
        drop_acknowledged(engine, server)
    return 0


@kernel
def _is_idempotent(method: int) -> int:
    """RFC 9110 §9.2.2: doing it twice is as good as once."""
    unsafe = method == Method.POST or method == Method.PATCH or method == Method.OTHER or method == Method.CONNECT
    return 0 if unsafe else 1


@kernel
def _write_head(engine: Engine, tcb: Tcb, server: Tcb, head: Head, source: int) -> int:
    vserver = vserver_of(base_of(engine), tcb.vserver)
    service = service_of(base_of(engine), server.service)
    options = rewrite_options(engine)
    options.client_high = tcb.remote_high
    options.client_low = tcb.remote_low
    options.host = text_address(engine, service.host) - address_of(options)
    options.host_length = service.host_length
    options.forwarded_for = vserver.x_forwarded_for
    options.via = vserver.via
    return write_request(head, fields_scratch(engine), source, rewrite_scratch(engine), REWRITE_ROOM, options)


@kernel
def _relay_body(engine: Engine, tcb: Tcb, exchange: Exchange, address: int, length: int) -> int:
    """Pass on a part of a request's body, framing and all, after it was found good."""
    if not tcb.peer:
        return 0
    server = peer_of(engine, tcb)
    _limit_retained(engine, server, exchange, length)
    length = min(length, send_room(engine, server))
    body = body_of(engine, tcb)
    taken = 0
    while taken < length and body.phase != chunk_syntax.Phase.DONE and body.phase != chunk_syntax.Phase.ERROR:
        count, _ = body_step(body, address + taken, length - taken)
        taken += count
    limit = vserver_of(base_of(engine), tcb.vserver).max_body
    if body.phase == chunk_syntax.Phase.ERROR or (limit >= 0 and body.content > limit):
        respond(engine, tcb, _BAD_REQUEST if body.phase == chunk_syntax.Phase.ERROR else _BODY_TOO_LARGE)
        return 0
    if taken and not queue_bytes(engine, server, address, taken):
        _give_up(engine, tcb)
        return 0
    if body.phase == chunk_syntax.Phase.DONE:
        exchange.phase = Phase.WAIT
        tcb.application_at = 0
    return taken


@kernel
def _end_of_stream(engine: Engine, tcb: Tcb) -> int:
    """Take the end of what the client sends, if all before it that can be taken is taken."""
    exchange = exchange_of(engine, tcb)
    if exchange.phase == Phase.READ_HEAD and send_room(engine, tcb):
        return close_client(engine, tcb)
    if exchange.phase == Phase.TUNNEL and tcb.peer:
        return relay_end(engine, tcb)
    if exchange.phase == Phase.RELAY_BODY and hold_chain(tcb).length == 0:
        return _give_up(engine, tcb)  # a request without its end
    return 0


@kernel
def client_closed(engine: Engine, tcb: Tcb) -> int:
    """Take the client's FIN: what it sent before still counts."""
    return pump_client(engine, tcb)


@kernel
def client_lost(engine: Engine, tcb: Tcb) -> int:
    """The client was reset or does not answer."""
    counters_of(engine).connections_reset += 1
    note_cut_off(engine, tcb)
    if tcb.peer:
        abort(engine, peer_of(engine, tcb))
    return destroy(engine, tcb)


@kernel
def client_reads(engine: Engine, tcb: Tcb) -> int:
    """The client took a part of what waits for it: the service may send more, or the next request may be read."""
    if exchange_of(engine, tcb).phase == Phase.READ_HEAD and (hold_chain(tcb).length or tcb.fin_received):
        mark(engine, tcb, Work.PUMP)
    return wake_peer(engine, tcb)


@kernel
def _extend(engine: Engine, tcb: Tcb, exchange: Exchange, idle_us: int) -> int:
    """Return 1, and set a new deadline, if a body or a tunnel moved on lately.

    A client that may not send, as the service takes nothing, is not late: the service is, and has its own deadline.
    """
    active_at = tcb.last_received_at
    progress = bytes_moved(tcb)
    if tcb.peer and exchange.phase == Phase.TUNNEL:
        active_at = max(active_at, peer_of(engine, tcb).last_received_at)
        progress += bytes_moved(peer_of(engine, tcb))
    elif seq_diff(tcb.rcv_edge, tcb.rcv_nxt) < window_step(engine, tcb):
        tcb.application_at = engine.now + idle_us
        return 1
    if engine.now - active_at >= idle_us or not moved_on(tcb, progress):
        return 0
    tcb.application_at = active_at + idle_us
    return 1


@kernel
def client_timeout(engine: Engine, tcb: Tcb) -> int:
    """Take the deadline of a client: silent between requests, slow with a head, or with a body."""
    exchange = exchange_of(engine, tcb)
    vserver = vserver_of(base_of(engine), tcb.vserver)
    streams = exchange.phase == Phase.RELAY_BODY or exchange.phase == Phase.TUNNEL
    if streams and _extend(engine, tcb, exchange, vserver.client_idle_us):
        return 0
    counters_of(engine).connections_timed_out += 1
    late = hold_chain(tcb).length and send_room(engine, tcb)  # not one whose next head nobody has looked at
    if exchange.phase == Phase.READ_HEAD and not late:
        return close_client(engine, tcb)
    if exchange.phase == Phase.TUNNEL:
        return _give_up(engine, tcb)
    return respond(engine, tcb, _REQUEST_TIMEOUT)
