"""The server's side of an HTTP vServer: responses are read, judged, rewritten and passed back."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.access.notes import note_cut_off, note_response
from ncore_ray.engine.balance.choose import NO_SERVICE
from ncore_ray.engine.buffer import Chain, chain_drop, chain_gather, chain_move, first_piece, first_piece_length
from ncore_ray.engine.connection import (
    Tcb,
    Work,
    bytes_moved,
    hold_chain,
    mark,
    moved_on,
    peer_of,
    send_chain,
    tcb_of,
    undelivered,
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
)
from ncore_ray.engine.http.leave import is_leaving
from ncore_ray.engine.http.message import chunk_syntax
from ncore_ray.engine.http.message.body import body_begin, body_step
from ncore_ray.engine.http.message.framing import BodyKind, response_body
from ncore_ray.engine.http.message.head import MAX_FIELDS, Head, scan_head
from ncore_ray.engine.http.message.response import parse_response
from ncore_ray.engine.http.message.rewrite import write_response
from ncore_ray.engine.http.pool import let_go, obtain_server
from ncore_ray.engine.http.respond import BAD_GATEWAY, GATEWAY_TIMEOUT, SERVICE_UNAVAILABLE, close_client, respond
from ncore_ray.engine.latency.histogram import note_answered, note_whole
from ncore_ray.engine.lifecycle import destroy, unpair
from ncore_ray.engine.partition import Engine, base_of, counters_of, service_stats
from ncore_ray.engine.proxy.relay import count_received, count_waiting, hold, queue_bytes, reconnect, relay, relay_end
from ncore_ray.engine.tcp.acknowledge import drop_acknowledged
from ncore_ray.engine.tcp.segment import whole_room
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import abort, close_unread, send_room
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import RowState, vserver_of

_MAX_HEAD: Final = 16384
_SWITCHING_PROTOCOLS: Final = 101
_ERROR: Final = -1


@kernel
def server_established(engine: Engine, tcb: Tcb) -> int:
    """The service answered: from now on its time to respond counts."""
    count_waiting(engine, tcb)
    service_stats(engine, tcb.service).requests += 1
    tcb.application_at = engine.now + vserver_of(base_of(engine), tcb.vserver).server_us
    return 0


@kernel
def server_data(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    """Take bytes in order from a service."""
    if not tcb.peer:
        return abort(engine, tcb)  # nobody asked for them
    count_received(engine, tcb, length)
    if tcb.snd_una == tcb.acknowledged_at_request:
        return _unasked(engine, tcb)
    while length > 0 and hold_chain(tcb).length == 0:
        taken = _step(engine, tcb, address, length)
        if taken == _ERROR:
            return 0
        if taken == 0:
            break
        address += taken
        length -= taken
        if _finish_if_whole(engine, tcb):
            return 0 if length == 0 else abort(engine, tcb)  # bytes behind the response's end
    if not hold(engine, tcb, address, length):
        return _give_up(engine, tcb)
    if hold_chain(tcb).length > length:
        return pump_server(engine, tcb)
    return 0


@kernel
def _unasked(engine: Engine, tcb: Tcb) -> int:
    """Take bytes that a server of the pool sent before it had any of the request: so they answer another one, or none.

    RFC 9112 §9.2: what comes with no request outstanding is no response; usually it is a 408 to an idle connection.
    """
    client = peer_of(engine, tcb)
    unpair(engine, tcb)
    _send_again_or_fail(engine, tcb, client, 1 if tcb.retain else 0)
    return abort(engine, tcb)


@kernel
def _give_up(engine: Engine, tcb: Tcb) -> int:
    """Reset both sides."""
    if tcb.peer:
        note_cut_off(engine, peer_of(engine, tcb))
        abort(engine, peer_of(engine, tcb))
    return abort(engine, tcb)


@kernel
def pump_server(engine: Engine, tcb: Tcb) -> int:
    """Take held bytes as far as the client takes them; then the end of the stream, if it came."""
    chain = hold_chain(tcb)
    while chain.length > 0:
        taken = _step_held(engine, tcb, chain)
        if taken == _ERROR:
            return 0
        if taken == 0:
            break
        chain_drop(engine, chain, taken)
        mark(engine, tcb, Work.OUTPUT)
        rest = chain.length
        if _finish_if_whole(engine, tcb):
            return 0 if rest == 0 else abort(engine, tcb)
    return _end_of_stream(engine, tcb) if tcb.fin_received else 0


@kernel
def _step_held(engine: Engine, tcb: Tcb, chain: Chain) -> int:
    """Take a part of the held bytes; a head that does not lie in one piece is put together first."""
    length = first_piece_length(engine, chain)
    taken = _step(engine, tcb, first_piece(engine, chain), length)
    if taken or length == chain.length or exchange_of(engine, tcb).phase != Phase.READ_HEAD:
        return taken
    address = gather_scratch(engine)
    return _step(engine, tcb, address, chain_gather(engine, chain, address, GATHER_ROOM))


@kernel
def _step(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    """Take a part of the bytes; return how many, 0 if nothing can be done now, _ERROR if the connection is over."""
    exchange = exchange_of(engine, tcb)
    if exchange.phase == Phase.READ_HEAD:
        return _read_response(engine, tcb, address, length)
    if exchange.phase == Phase.RELAY_BODY:
        return _relay_body(engine, tcb, exchange, address, min(length, send_room(engine, peer_of(engine, tcb))))
    return relay(engine, peer_of(engine, tcb), address, length)


@kernel
def _bad_gateway(engine: Engine, tcb: Tcb) -> int:
    respond(engine, peer_of(engine, tcb), BAD_GATEWAY)
    return _ERROR


@kernel
def _read_response(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    limit = min(_MAX_HEAD, whole_room(engine, tcb))
    end, _ = scan_head(address, min(length, limit), 0)
    if end < 0:
        return 0 if length < limit else _bad_gateway(engine, tcb)
    head = head_scratch(engine)
    if parse_response(address, end, head, fields_scratch(engine), MAX_FIELDS) != 0:
        return _bad_gateway(engine, tcb)
    client = peer_of(engine, tcb)
    request = exchange_of(engine, client)
    if head.status == _SWITCHING_PROTOCOLS:
        # Not before the request's end (RFC 9110 §7.8), and not without the protocol's name (§15.2.2).
        if not (request.upgrade and head.upgrade) or request.phase != Phase.WAIT:
            return _bad_gateway(engine, tcb)
        return end if _begin_tunnel(engine, client, tcb, head, address) else _bad_gateway(engine, tcb)
    if head.status < 200:
        return end if _forward_interim(engine, client, request, head, address) else _bad_gateway(engine, tcb)
    return end if _forward_head(engine, client, tcb, head, address) else _bad_gateway(engine, tcb)


@kernel
def _queue_head(engine: Engine, client: Tcb, head: Head, source: int, close: int, keep: int) -> int:
    """Queue a response's head for the client; without Transfer-Encoding for one of HTTP/1.0 (RFC 9112 §6.1)."""
    options = rewrite_options(engine)
    options.via = vserver_of(base_of(engine), client.vserver).via
    options.close = close
    options.keep_alive = keep
    options.unchunk = 1 - exchange_of(engine, client).version_minor
    target = rewrite_scratch(engine)
    length = write_response(head, fields_scratch(engine), source, target, REWRITE_ROOM, options)
    return queue_bytes(engine, client, target, length) if length > 0 else 0


@kernel
def _forward_interim(engine: Engine, client: Tcb, request: Exchange, head: Head, source: int) -> int:
    """Pass on 100 (Continue) and its like, but not to a client of HTTP/1.0 (RFC 9110 §15.2)."""
    if request.version_minor == 0:
        return 1
    return _queue_head(engine, client, head, source, 0, 0)


@kernel
def _begin_tunnel(engine: Engine, client: Tcb, tcb: Tcb, head: Head, source: int) -> int:
    """After 101 (Switching Protocols) bytes go both ways unread (RFC 9110 §7.8)."""
    if not _queue_head(engine, client, head, source, 0, 0):
        return 0
    _response_begun(engine, client, tcb)
    note_response(engine, client, head.status, 0, tcb.service)
    exchange_of(engine, client).phase = Phase.TUNNEL
    exchange_of(engine, tcb).phase = Phase.TUNNEL
    client.application_at = engine.now + vserver_of(base_of(engine), client.vserver).client_idle_us
    tcb.application_at = 0
    mark(engine, client, Work.PUMP)
    return 1


@kernel
def _response_begun(engine: Engine, client: Tcb, tcb: Tcb) -> int:
    """The final response is here: the request will not be sent again."""
    request = exchange_of(engine, client)
    request.responding = 1
    counters_of(engine).http_responses += 1
    note_answered(engine, client, tcb, request)
    tcb.retain = 0
    return drop_acknowledged(engine, tcb)


@kernel
def _forward_head(engine: Engine, client: Tcb, tcb: Tcb, head: Head, source: int) -> int:
    request = exchange_of(engine, client)
    exchange = exchange_of(engine, tcb)
    kind = response_body(head, request.method)
    exchange.unchunk = 1 if kind == BodyKind.CHUNKED and request.version_minor == 0 else 0
    last = client.fin_received and hold_chain(client).length == 0
    leaves = is_leaving(engine, client) or vserver_of(base_of(engine), client.vserver).state == RowState.DRAINING
    if kind == BodyKind.UNTIL_CLOSE or exchange.unchunk or last or leaves:
        request.persistent = 0
    exchange.persistent = head.persistent if kind != BodyKind.UNTIL_CLOSE else 0
    keep_old = 1 if request.persistent and request.version_minor == 0 else 0
    close = 0 if request.persistent else 1
    if not _queue_head(engine, client, head, source, close, keep_old):
        return 0
    _response_begun(engine, client, tcb)
    request.status = head.status
    body_begin(body_of(engine, tcb), kind, head.content_length)
    exchange.phase = Phase.RELAY_BODY
    return 1


@kernel
def _relay_body(engine: Engine, tcb: Tcb, exchange: Exchange, address: int, length: int) -> int:
    """Pass back a part of a response's body, without the chunk framing where the client knows none."""
    client = peer_of(engine, tcb)
    body = body_of(engine, tcb)
    taken = 0
    good = 1
    while taken < length and body.phase != chunk_syntax.Phase.DONE and body.phase != chunk_syntax.Phase.ERROR:
        count, is_content = body_step(body, address + taken, length - taken)
        if exchange.unchunk and is_content:
            good &= queue_bytes(engine, client, address + taken, count)
        taken += count
    if taken and not exchange.unchunk:
        good &= queue_bytes(engine, client, address, taken)
    if not good or body.phase == chunk_syntax.Phase.ERROR:
        _give_up(engine, tcb)
        return _ERROR
    return taken


@kernel
def _finish_if_whole(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if the response is whole now: then its exchange is over."""
    exchange = exchange_of(engine, tcb)
    if exchange.phase != Phase.RELAY_BODY or body_of(engine, tcb).phase != chunk_syntax.Phase.DONE:
        return 0
    _finish(engine, peer_of(engine, tcb), tcb, exchange)
    return 1


@kernel
def _finish(engine: Engine, client: Tcb, tcb: Tcb, exchange: Exchange) -> int:
    """The response is whole: both connections go on to whatever comes next."""
    request = exchange_of(engine, client)
    note_whole(engine, client, request)
    note_response(engine, client, request.status, body_of(engine, tcb).content, tcb.service)
    if request.phase == Phase.RELAY_BODY:  # answered before the request's end: neither side is at a message border
        request.persistent = 0
        exchange.persistent = 0
    let_go(engine, tcb, exchange)
    if not request.persistent:
        return close_client(engine, client)
    request.phase = Phase.READ_HEAD
    client.application_at = engine.now + vserver_of(base_of(engine), client.vserver).client_idle_us
    if hold_chain(client).length or client.fin_received:
        mark(engine, client, Work.PUMP)
    return 0


@kernel
def _relay_held(engine: Engine, tcb: Tcb, exchange: Exchange) -> int:
    """Pass back all that is held of a response's body, as nothing comes behind it; return _ERROR if that broke both.

    That takes no more memory, because the receive window counts what is held and what waits in the peer.
    """
    chain = hold_chain(tcb)
    while chain.length > 0 and exchange.phase == Phase.RELAY_BODY:
        taken = _relay_body(engine, tcb, exchange, first_piece(engine, chain), first_piece_length(engine, chain))
        if taken == _ERROR:
            return _ERROR
        chain_drop(engine, chain, taken)
        if _finish_if_whole(engine, tcb):
            break
    return 0


@kernel
def _end_of_stream(engine: Engine, tcb: Tcb) -> int:
    """Take the end of what the service sends, if all before it that can be taken is taken."""
    if not tcb.peer:
        return close_unread(engine, tcb)
    exchange = exchange_of(engine, tcb)
    client = peer_of(engine, tcb)
    if exchange.phase == Phase.TUNNEL:
        return relay_end(engine, tcb)
    if hold_chain(tcb).length and exchange.phase != Phase.READ_HEAD:
        return 0
    if exchange.phase == Phase.RELAY_BODY and body_of(engine, tcb).kind == BodyKind.UNTIL_CLOSE:
        return _finish(engine, client, tcb, exchange)
    _broken(engine, tcb, exchange, client)
    return abort(engine, tcb)


@kernel
def server_closed(engine: Engine, tcb: Tcb) -> int:
    """Take the service's FIN: what it sent before still counts."""
    return pump_server(engine, tcb)


@kernel
def _broken(engine: Engine, tcb: Tcb, exchange: Exchange, client: Tcb) -> int:
    """The connection ended before the response's end: tell the client, or send the request again (RFC 9112 §9.3.1).

    The connection itself, which has no peer any more, is left for the caller to end.
    """
    if exchange_of(engine, client).responding:
        note_cut_off(engine, client)
    unpair(engine, tcb)
    untouched = exchange.phase == Phase.READ_HEAD and tcb.received_at_request == tcb.received_bytes
    return _send_again_or_fail(engine, tcb, client, 1 if tcb.retain and untouched else 0)


@kernel
def _send_again_or_fail(engine: Engine, tcb: Tcb, client: Tcb, again: int) -> int:
    """Move the request, kept whole in the send chain, to a new connection; or tell the client."""
    if not again:
        return respond(engine, client, BAD_GATEWAY)
    number = obtain_server(engine, client, NO_SERVICE, 1)
    if number == 0:
        return respond(engine, client, SERVICE_UNAVAILABLE)
    chain_move(engine, send_chain(tcb), send_chain(tcb_of(engine, number - 1)))
    counters_of(engine).http_retried_requests += 1
    return 0


@kernel
def server_lost(engine: Engine, tcb: Tcb) -> int:
    """The service reset the connection, refused it, or does not answer."""
    if tcb.state == TcpState.SYN_SENT and tcb.peer:
        return _try_another(engine, tcb, peer_of(engine, tcb))
    counters_of(engine).connections_reset += 1
    if tcb.peer and _relay_held(engine, tcb, exchange_of(engine, tcb)) == _ERROR:
        return 0
    if tcb.peer:
        _broken(engine, tcb, exchange_of(engine, tcb), peer_of(engine, tcb))
    return destroy(engine, tcb)


@kernel
def _try_another(engine: Engine, tcb: Tcb, client: Tcb) -> int:
    number = reconnect(engine, client, tcb)
    if number == 0:
        respond(engine, client, SERVICE_UNAVAILABLE)
    else:
        begin_exchange(engine, tcb_of(engine, number - 1))
    return destroy(engine, tcb)


@kernel
def server_timeout(engine: Engine, tcb: Tcb) -> int:
    """Take the deadline of a service: to connect, to respond, or of an idle connection."""
    if not tcb.peer:
        return close_unread(engine, tcb)
    if tcb.state == TcpState.SYN_SENT:
        return server_lost(engine, tcb)
    client = peer_of(engine, tcb)
    limit = vserver_of(base_of(engine), tcb.vserver).server_us
    active_at = tcb.last_received_at
    progress = bytes_moved(tcb)
    request = exchange_of(engine, client)
    if request.responding or request.phase == Phase.RELAY_BODY:  # it may be the client that is slow
        active_at = max(active_at, client.last_received_at)
        progress += bytes_moved(client)
    waits = client.virtual and undelivered(client)  # for its turn, if the engine that has the client says that it lives
    if engine.now - active_at < limit and (moved_on(tcb, progress) or waits):
        tcb.application_at = active_at + limit
        return 0
    counters_of(engine).connections_timed_out += 1
    return respond(engine, client, GATEWAY_TIMEOUT)
