"""Moving bytes from one connection to the other, with back-pressure.

A connection's receive window is what fits into its peer's send chain (`receive_room`), so nearly always everything that
arrives can be queued for sending at once. What cannot is held on the receiving side and moves on when the peer's send
chain shrinks.
"""

from __future__ import annotations

from ncore_ray.engine.balance.choose import NO_SERVICE, choose_service
from ncore_ray.engine.buffer import (
    Chain,
    chain_append,
    chain_drop,
    chain_move,
    chain_shift,
    first_piece,
    first_piece_length,
)
from ncore_ray.engine.change import touch
from ncore_ray.engine.connection import (
    Role,
    Tcb,
    Work,
    hold_chain,
    index_of,
    mark,
    peer_of,
    send_chain,
    tcb_of,
)
from ncore_ray.engine.monitor.health import connect_failed
from ncore_ray.engine.partition import Engine, base_of, counters_of, service_stats, vserver_stats
from ncore_ray.engine.remote.link import is_foreign
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import close_send, open_active, send_bytes, send_room
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of


@kernel
def relay(engine: Engine, target: Tcb, address: int, length: int) -> int:
    """Queue as many bytes as the target takes; return how many."""
    part = min(length, send_room(engine, target))
    if part <= 0 or not queue_bytes(engine, target, address, part):
        return 0
    return part


@kernel
def queue_bytes(engine: Engine, target: Tcb, address: int, length: int) -> int:
    """Queue bytes for sending and count them; return 0 if the pool is empty: then none of them is queued."""
    if not send_bytes(engine, target, address, length):
        return 0
    _count_sent(engine, target, length)
    return 1


@kernel
def relay_end(engine: Engine, tcb: Tcb) -> int:
    """Pass on the end of a stream, and at once what is held before it: soon the connection may be gone.

    That takes no more memory, because the receive window counts what is held and what waits in the peer.
    """
    peer = peer_of(engine, tcb)
    if peer.fin_wanted:
        return 0
    _count_sent(engine, peer, hold_chain(tcb).length)
    chain_move(engine, hold_chain(tcb), send_chain(peer))
    return close_send(engine, peer)


@kernel
def _count_sent(engine: Engine, target: Tcb, length: int) -> int:
    if target.role == Role.CLIENT:
        vserver_stats(engine, target.vserver).sent_bytes += length
    elif target.state > TcpState.SYN_RECEIVED:
        service_stats(engine, target.service).sent_bytes += length
    return 0


@kernel
def count_waiting(engine: Engine, server: Tcb) -> int:
    """Count what was queued for a service before it answered: it might have gone to another one."""
    service_stats(engine, server.service).sent_bytes += send_chain(server).length
    return 0


@kernel
def hold(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    """Keep received bytes until they can move on; return 0 if the pool is empty (then the stream is broken)."""
    return chain_append(engine, hold_chain(tcb), address, length) if length > 0 else 1


@kernel
def pump_held(engine: Engine, tcb: Tcb) -> int:
    """Move held bytes to the peer as far as it takes them; return 1 when none are left."""
    chain = hold_chain(tcb)
    while chain.length > 0:
        if not tcb.peer:
            return 0
        if not _move_first(engine, chain, peer_of(engine, tcb)):
            return 0
        mark(engine, tcb, Work.OUTPUT)  # its window may have grown
    return 1


@kernel
def _move_first(engine: Engine, chain: Chain, target: Tcb) -> int:
    """Queue the first frame of held bytes as it is, or as much of it as the target takes; return 0 if it takes none.

    Bytes in a frame that another engine has lent are copied, so that it gets the frame back soon.
    """
    length = first_piece_length(engine, chain)
    if length <= send_room(engine, target) and not is_foreign(engine, chain.first):
        chain_shift(engine, chain, send_chain(target))
        _count_sent(engine, target, length)
        mark(engine, target, Work.OUTPUT)
        return length
    moved = relay(engine, target, first_piece(engine, chain), length)
    chain_drop(engine, chain, moved)
    return moved


@kernel
def count_received(engine: Engine, tcb: Tcb, length: int) -> int:
    """Count payload received from a client or from a service."""
    if tcb.role == Role.CLIENT:
        vserver_stats(engine, tcb.vserver).received_bytes += length
    else:
        service_stats(engine, tcb.service).received_bytes += length
    return 0


@kernel
def wake_peer(engine: Engine, tcb: Tcb) -> int:
    """The send chain shrank: the peer may pass on what it holds, and open its window."""
    if tcb.peer:
        peer = peer_of(engine, tcb)
        mark(engine, peer, Work.PUMP | Work.OUTPUT if hold_chain(peer).length else Work.OUTPUT)
    return 0


@kernel
def pair(engine: Engine, client: Tcb, server: Tcb) -> int:
    """Join a client's connection and one to a service; the service counts as busy with it."""
    client.peer = index_of(engine, server) + 1
    server.peer = index_of(engine, client) + 1
    server.vserver = client.vserver
    if not server.busy:
        server.busy = 1
        service_stats(engine, server.service).busy += 1
    return 0


@kernel
def open_server(engine: Engine, client: Tcb, avoid: int) -> int:
    """Open a connection to a service chosen for a client, and pair them; return its number plus 1, or 0."""
    service = choose_service(engine, client.vserver, avoid)
    if service == NO_SERVICE:
        return 0
    return connect_to(engine, client, service)


@kernel
def connect_to(engine: Engine, client: Tcb, service: int) -> int:
    """Open a connection to a service and pair it with a client's; return its number plus 1, or 0."""
    number = open_active(engine, service, Role.SERVER)
    if number == 0:
        return 0
    server = tcb_of(engine, number - 1)
    server.application_at = engine.now + vserver_of(base_of(engine), client.vserver).connect_us
    pair(engine, client, server)
    return number


@kernel
def reconnect(engine: Engine, client: Tcb, failed: Tcb) -> int:
    """After a failed attempt: connect the client to another service and move over what was queued for the first.

    Returns the new connection's number plus 1, or 0 if there is no service left to try. The failed connection is still
    there for the caller to destroy.
    """
    connect_failed(engine, failed.service)
    counters_of(engine).connections_refused += 1
    touch(engine, index_of(engine, client))
    client.peer = 0
    failed.peer = 0
    client.attempts += 1
    if client.attempts > vserver_of(base_of(engine), client.vserver).bindings:
        return 0
    number = open_server(engine, client, failed.service)
    if number:
        server = tcb_of(engine, number - 1)
        chain_move(engine, send_chain(failed), send_chain(server))
        server.fin_wanted = failed.fin_wanted
    return number
