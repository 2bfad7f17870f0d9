"""The appliance's own answers: refusals of bad requests, and news of servers that failed; and the end of a client."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.access.notes import NO_SERVICE, note_cut_off, note_response
from ncore_ray.engine.connection import Tcb, peer_of, undelivered
from ncore_ray.engine.http.exchange import Phase, error_text, exchange_of, text_address
from ncore_ray.engine.http.message.head import Method
from ncore_ray.engine.partition import Engine, base_of, counters_of, vserver_stats
from ncore_ray.engine.proxy.relay import queue_bytes
from ncore_ray.engine.tcp.patience import fin_wait_of
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import abort, close_unread
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of

BAD_GATEWAY: Final = 502
SERVICE_UNAVAILABLE: Final = 503
GATEWAY_TIMEOUT: Final = 504


@kernel
def respond(engine: Engine, client: Tcb, status: int) -> int:
    """Answer a client with a status and close; its server connection, if any, is given up.

    If a part of the server's response has gone out already, nothing can be said any more: the connection is reset, so
    that the client sees that the response is incomplete (RFC 9112 §8).
    """
    exchange = exchange_of(engine, client)
    if exchange.responding:
        note_cut_off(engine, client)
    if client.peer:
        abort(engine, peer_of(engine, client))
    vserver_stats(engine, client.vserver).errors += 1
    if exchange.responding:
        return abort(engine, client)
    counters = counters_of(engine)
    if BAD_GATEWAY <= status <= GATEWAY_TIMEOUT:
        counters.http_failed_requests += 1
    else:
        counters.http_refused_requests += 1
    text = error_text(engine, status)
    length = text.head_length if exchange.method == Method.HEAD else text.length
    note_response(engine, client, status, length - text.head_length, NO_SERVICE)
    queue_bytes(engine, client, text_address(engine, text.offset), length)
    return close_client(engine, client)


@kernel
def close_client(engine: Engine, client: Tcb) -> int:
    """End a client's stream behind what is queued for it, and read no more."""
    exchange_of(engine, client).phase = Phase.CLOSING
    close_unread(engine, client)
    return await_close(engine, client)


@kernel
def await_close(engine: Engine, client: Tcb) -> int:
    """Give a client that is being closed its time: as an idle one while it still reads, then a short one to close."""
    if client.state == TcpState.TIME_WAIT:
        return 0
    idle_us = vserver_of(base_of(engine), client.vserver).client_idle_us
    client.close_at = engine.now + (idle_us if undelivered(client) else fin_wait_of(engine, client))
    return 0
