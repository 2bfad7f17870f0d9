"""Connections to services, shared by all clients of an engine."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Drain
from ncore_ray.engine.balance.choose import NO_SERVICE, choose_service
from ncore_ray.engine.buffer import NO_FRAME
from ncore_ray.engine.connection import Tcb, send_chain, tcb_of
from ncore_ray.engine.http.exchange import Exchange, Phase, begin_exchange, exchange_of
from ncore_ray.engine.lifecycle import enter_pool, leave_pool, unpair
from ncore_ray.engine.partition import Engine, base_of, counters_of, service_stats
from ncore_ray.engine.proxy.relay import connect_to, pair
from ncore_ray.engine.tcp.user import abort, close_unread
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of

IDLE_SERVER_US: Final = 30_000_000
"""How long an idle connection to a service is kept."""


@kernel
def obtain_server(engine: Engine, client: Tcb, avoid: int, fresh: int) -> int:
    """Pair a client with a connection to a service, an idle one unless ``fresh``; return its number plus 1, or 0."""
    service = choose_service(engine, client.vserver, avoid)
    if service == NO_SERVICE:
        return 0
    number = 0 if fresh else _newest_idle(engine, service)
    if number:
        _take_idle(engine, client, tcb_of(engine, number - 1))
    else:
        number = connect_to(engine, client, service)
        if number == 0:
            return 0
        begin_exchange(engine, tcb_of(engine, number - 1))
    return number


@kernel
def _newest_idle(engine: Engine, service: int) -> int:
    """Return the number plus 1 of the idle connection that was used last, or 0.

    One with bytes behind a gap is ended: nobody asked for them, and what closes the gap would pass for a response.
    """
    stats = service_stats(engine, service)
    while stats.idle_first and tcb_of(engine, stats.idle_first - 1).out_of_order != NO_FRAME:
        abort(engine, tcb_of(engine, stats.idle_first - 1))
    return stats.idle_first


@kernel
def _take_idle(engine: Engine, client: Tcb, server: Tcb) -> int:
    leave_pool(engine, server)
    pair(engine, client, server)
    begin_exchange(engine, server)
    exchange_of(engine, server).reused = 1
    server.received_at_request = server.received_bytes
    server.acknowledged_at_request = server.snd_una
    server.application_at = engine.now + vserver_of(base_of(engine), client.vserver).server_us
    service_stats(engine, server.service).requests += 1
    counters_of(engine).http_reused_connections += 1
    return 0


@kernel
def let_go(engine: Engine, server: Tcb, exchange: Exchange) -> int:
    """After a response: keep the connection for the next request if both ends allow it, else close it."""
    if server.busy:
        server.busy = 0
        service_stats(engine, server.service).busy -= 1
    full = service_stats(engine, server.service).idle_connections >= engine.idle_limit
    full |= engine.draining == Drain.LEAVE
    unsent = send_chain(server).length  # it answered before it had all of the request
    if full or unsent or not exchange.persistent or server.fin_received or server.fin_wanted:
        return close_unread(engine, server)
    unpair(engine, server)
    exchange.phase = Phase.READ_HEAD
    server.application_at = engine.now + IDLE_SERVER_US
    return enter_pool(engine, server)
