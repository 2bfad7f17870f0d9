"""The client whose requests are shared out among engines: what happens to its connection."""

from __future__ import annotations

from ncore_ray.engine.connection import Role, Tcb, Work, hold_chain, mark, tcb_of
from ncore_ray.engine.http.client import client_timeout
from ncore_ray.engine.http.exchange import Phase, begin_exchange, exchange_of
from ncore_ray.engine.http.respond import close_client
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.remote.arrival import serve_here
from ncore_ray.engine.remote.link import engine_of_half, is_shared
from ncore_ray.engine.remote.opening import WATCH_US
from ncore_ray.engine.tcp.receive import Event
from ncore_ray.engine.tcp.user import send_room
from ncore_ray.engine.transaction.leg import is_alive, leave_split
from ncore_ray.engine.transaction.request import end_of_requests, take_held, take_requests
from ncore_ray.engine.transaction.turn import begin_turn, turn_of
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of


@kernel
def split_event(engine: Engine, client: Tcb, events: int, address: int, length: int) -> int:
    """Take what happened to the client."""
    if events & Event.RESET:
        return split_lost(engine, client)
    if events & Event.ESTABLISHED:
        begin_exchange(engine, client)
        begin_turn(engine, client)
        client.application_at = engine.now + vserver_of(base_of(engine), client.vserver).header_us
    if events & Event.FREED:
        _reads(engine, client)
    if events & Event.DATA:
        take_requests(engine, client, address, length)
        _stay_if_due(engine, client)
    if events & Event.FIN and client.role == Role.SPLIT:
        mark(engine, client, Work.PUMP)
    return 0


@kernel
def _reads(engine: Engine, client: Tcb) -> int:
    """The client took a part of what waits for it: more of the answer may follow, or the next request be read."""
    turn = turn_of(engine, client)
    if turn.first:
        mark(engine, tcb_of(engine, turn.first - 1), Work.PUMP | Work.OUTPUT)
    if hold_chain(client).length or client.fin_received:
        mark(engine, client, Work.PUMP)
    return 0


@kernel
def _stay_if_due(engine: Engine, client: Tcb) -> int:
    """Let this engine serve the client from now on, if that was decided and all answers have gone out."""
    if client.role != Role.SPLIT or not turn_of(engine, client).stays or turn_of(engine, client).outstanding:
        return 0
    leave_split(engine, client)
    return serve_here(engine, client)


@kernel
def pump_split(engine: Engine, client: Tcb) -> int:
    """Take held bytes as far as they can go on; then the end of the stream, if it came."""
    take_held(engine, client)
    _stay_if_due(engine, client)
    if client.role == Role.SPLIT and client.fin_received and end_of_requests(engine, client):
        leave_split(engine, client)
        return close_client(engine, client)
    return 0


@kernel
def split_lost(engine: Engine, client: Tcb) -> int:
    """The client was reset or does not answer: nobody needs its answers."""
    counters_of(engine).connections_reset += 1
    leave_split(engine, client)
    return destroy(engine, client)


@kernel
def split_timeout(engine: Engine, client: Tcb) -> int:
    """Take the client's deadline: silent between requests, or slow with a head, which is answered as ever."""
    if turn_of(engine, client).outstanding:
        return 0
    late = hold_chain(client).length and send_room(engine, client)
    leave_split(engine, client)
    if late:
        serve_here(engine, client)
        client.application_at = 0
        return client_timeout(engine, client)
    counters_of(engine).connections_timed_out += 1
    return close_client(engine, client)


@kernel
def is_quiet(engine: Engine, client: Tcb) -> int:
    """Return 1 if a SPLIT client is between two requests."""
    busy = turn_of(engine, client).outstanding or hold_chain(client).length
    return 0 if busy or exchange_of(engine, client).phase != Phase.READ_HEAD else 1


@kernel
def serves_leg(engine: Engine, tcb: Tcb) -> int:
    """Return 1 for the end of a leg at which its requests are served."""
    if not tcb.virtual or tcb.role != Role.CLIENT:
        return 0
    return is_shared(engine, tcb.vserver)


@kernel
def served_timeout(engine: Engine, tcb: Tcb) -> int:
    """Take the deadline of a leg's other end: between two requests the engine that opened it has all time-outs."""
    if exchange_of(engine, tcb).phase != Phase.READ_HEAD or hold_chain(tcb).length:
        return client_timeout(engine, tcb)
    if not is_alive(engine, engine_of_half(engine, tcb.virtual - 1)):
        return destroy(engine, tcb)
    tcb.application_at = engine.now + WATCH_US
    return 0
