"""The appliance's own answers: refusals of bad requests, and news of servers that failed."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb, peer_of
from ncore_ray.engine.http.exchange import Phase, error_text, exchange_of, text_address
from ncore_ray.engine.http.message.head import Method
from ncore_ray.engine.partition import Engine, counters_of, vserver_stats
from ncore_ray.engine.tcp.user import abort, close_unread, send_bytes
from ncore_ray.machine.jit import kernel

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
    send_bytes(engine, client, text_address(engine, text.offset), length)
    exchange.phase = Phase.CLOSING
    return close_unread(engine, client)
