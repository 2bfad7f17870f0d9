"""A client whose engine is not known yet: its addresses decide it, or what it says first (`vservers[].key`)."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.buffer import chain_gather, first_piece, first_piece_length
from ncore_ray.engine.connection import Role, Tcb, Work, hold_chain, mark
from ncore_ray.engine.http.client import client_established, client_timeout
from ncore_ray.engine.http.exchange import (
    GATHER_ROOM,
    fields_scratch,
    gather_scratch,
    head_scratch,
    text_address,
)
from ncore_ray.engine.http.message.head import scan_head
from ncore_ray.engine.http.message.key import find_key
from ncore_ray.engine.http.message.request import parse_request
from ncore_ray.engine.http.respond import SERVICE_UNAVAILABLE, respond
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.proxy.relay import count_received, hold
from ncore_ray.engine.remote.choice import engine_of_hash, hash_client, hash_value
from ncore_ray.engine.remote.opening import open_virtual
from ncore_ray.engine.tcp.receive import Event
from ncore_ray.engine.tcp.segment import whole_room
from ncore_ray.engine.tcp.user import abort
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import Arrival, Vserver, VserverProtocol, vserver_of

_HERE: Final = -1
_LATER: Final = -2


@kernel
def arriving_event(engine: Engine, tcb: Tcb, events: int, address: int, length: int) -> int:
    """Take what happened to a client whose engine is not known yet; what it sends is held."""
    if events & Event.RESET:
        counters_of(engine).connections_reset += 1
        return destroy(engine, tcb)
    vserver = vserver_of(base_of(engine), tcb.vserver)
    if events & Event.ESTABLISHED:
        tcb.application_at = engine.now + vserver.header_us
    if events & Event.DATA:
        if hold_chain(tcb).length == 0:
            tcb.application_at = engine.now + vserver.header_us
        if not hold(engine, tcb, address, length):
            return abort(engine, tcb)
    other = _LATER
    if vserver.arrival == Arrival.FUNCTION:
        other = _by_addresses(engine, tcb, vserver)
    elif events & Event.DATA:
        other = _by_key(engine, tcb, vserver)
    if other == _LATER and events & Event.FIN:
        other = _HERE
    return _go_to(engine, tcb, other) if other != _LATER else 0


@kernel
def arriving_timeout(engine: Engine, tcb: Tcb) -> int:
    """The client was too slow with its first request: it is answered here."""
    serve_here(engine, tcb)
    tcb.application_at = 0
    return client_timeout(engine, tcb)


@kernel
def serve_here(engine: Engine, tcb: Tcb) -> int:
    """Make the client one of this engine's own, with what it has sent so far."""
    tcb.role = Role.CLIENT
    count_received(engine, tcb, hold_chain(tcb).length)
    client_established(engine, tcb)
    return mark(engine, tcb, Work.PUMP | Work.OUTPUT)


@kernel
def _go_to(engine: Engine, tcb: Tcb, other: int) -> int:
    if other == _HERE or other == engine.index:
        return serve_here(engine, tcb)
    if open_virtual(engine, tcb, other):
        return mark(engine, tcb, Work.OUTPUT)
    if vserver_of(base_of(engine), tcb.vserver).protocol != VserverProtocol.HTTP:
        return abort(engine, tcb)
    serve_here(engine, tcb)
    return respond(engine, tcb, SERVICE_UNAVAILABLE)


@kernel
def _by_addresses(engine: Engine, tcb: Tcb, vserver: Vserver) -> int:
    """Return the engine that the client's addresses and ports name."""
    base = base_of(engine)
    value = hash_client(base, tcb.remote_high, tcb.remote_low, tcb.local_high, tcb.local_low, tcb.ports)
    return engine_of_hash(base, vserver.engines, value)


@kernel
def _by_key(engine: Engine, tcb: Tcb, vserver: Vserver) -> int:
    """Return the engine that the first request's key names, _HERE without one, or _LATER while its head goes on.

    A head that is wrong in any way is refused where HTTP is spoken with this client: here.
    """
    chain = hold_chain(tcb)
    address, length = first_piece(engine, chain), first_piece_length(engine, chain)
    if length < chain.length:
        address = gather_scratch(engine)
        length = chain_gather(engine, chain, address, GATHER_ROOM)
    limit = min(vserver.max_header, whole_room(engine, tcb))
    end, _ = scan_head(address, min(length, limit), 0)
    if end < 0:
        return _LATER if length < limit else _HERE
    head, fields = head_scratch(engine), fields_scratch(engine)
    if parse_request(address, end, head, fields, vserver.max_request_line, vserver.max_fields) != 0:
        return _HERE
    name = text_address(engine, vserver.key_name)
    value, value_length = find_key(head, fields, address, vserver.key_kind, name, vserver.key_name_length)
    if value_length == 0:
        counters_of(engine).keyless_connections += 1
        return _HERE
    counters_of(engine).keyed_connections += 1
    base = base_of(engine)
    return engine_of_hash(base, vserver.engines, hash_value(base, tcb.vserver, value, value_length))
