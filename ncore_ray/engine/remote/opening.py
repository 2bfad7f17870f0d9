"""The beginning of a virtual connection, at the engine that opens it and at the one that takes it."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.buffer import chain_move
from ncore_ray.engine.connection import Role, Tcb, Work, hold_chain, index_of, mark, send_chain, tcb_of
from ncore_ray.engine.partition import Engine, base_of, counters_of, vserver_stats
from ncore_ray.engine.remote.closing import say_close
from ncore_ray.engine.remote.link import (
    HALF_SIZE,
    Half,
    engine_of_half,
    half_at,
    half_of,
    is_shared,
    link_of,
    other_engine,
    place_there,
    take_half,
)
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import take_or_recycle
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.route import NO_ROUTE

WATCH_US: Final = 5_000_000
"""How often the opener looks whether the other engine lives."""


@kernel
def open_virtual(engine: Engine, client: Tcb, other: int) -> int:
    """Let another engine serve a client: pair it with a virtual connection; return that one's number plus 1, or 0."""
    number = open_far(engine, client, other, Role.FAR)
    return _join(engine, client, tcb_of(engine, number - 1)) if number else 0


@kernel
def open_far(engine: Engine, client: Tcb, other: int, role: int) -> int:
    """Open a virtual connection to an engine for a client; return its number plus 1, or 0 if there is no place."""
    half_number = take_half(engine, other)
    number = take_or_recycle(engine) if half_number else 0
    if number == 0:
        counters_of(engine).virtual_connections_refused += 1
        return _give_back(engine, other, half_number)
    tcb = tcb_of(engine, number - 1)
    half = half_of(engine, half_number - 1)
    half.vserver, half.nic, half.ports, half.mss = client.vserver, client.nic, client.ports, client.mss
    half.remote_high, half.remote_low = client.remote_high, client.remote_low
    half.local_high, half.local_low = client.local_high, client.local_low
    _begin(engine, tcb, half, half_number, number, role)
    counters_of(engine).virtual_connections_opened += 1
    return number


@kernel
def _give_back(engine: Engine, other: int, half_number: int) -> int:
    if half_number:
        link = link_of(engine, other)
        half_of(engine, half_number - 1).next = link.free_half
        link.free_half = half_number
    return 0


@kernel
def _begin(engine: Engine, tcb: Tcb, half: Half, half_number: int, number: int, role: int) -> int:
    """Fill in a fresh connection: both streams are numbered from 0, and both ends know the other's window."""
    tcb.role = role
    tcb.state = TcpState.VIRTUAL
    tcb.virtual = half_number
    tcb.vserver, tcb.nic, tcb.ports = half.vserver, half.nic, half.ports
    tcb.remote_high, tcb.remote_low = half.remote_high, half.remote_low
    tcb.local_high, tcb.local_low = half.local_high, half.local_low
    tcb.route = NO_ROUTE
    tcb.mss = half.mss
    tcb.rcv_edge = seq_add(0, engine.receive_limit)
    tcb.last_received_at = engine.now
    half.connection = number
    return mark(engine, tcb, Work.OUTPUT)


@kernel
def _join(engine: Engine, client: Tcb, tcb: Tcb) -> int:
    """Pair a client with its virtual connection, which gets what came so far; where it is served it is counted."""
    tcb.application_at = engine.now + WATCH_US
    client.role = Role.RELAYED
    client.application_at = 0
    client.peer = index_of(engine, tcb) + 1
    tcb.peer = index_of(engine, client) + 1
    stats = vserver_stats(engine, client.vserver)
    stats.connections -= 1
    stats.total_connections -= 1
    chain_move(engine, hold_chain(client), send_chain(tcb))
    if client.fin_received:
        tcb.fin_wanted = 1
    return client.peer


@kernel
def take_virtual(engine: Engine, half_number: int) -> int:
    """Make the connection for a virtual one that another engine opened; return its number plus 1, or 0 if refused."""
    half = half_of(engine, half_number - 1)
    half.opened = 1
    _read_opener(engine, half_number - 1, half)
    number = take_or_recycle(engine)
    stats = vserver_stats(engine, half.vserver)
    whole = 0 if is_shared(engine, half.vserver) else 1  # a leg is no client: this one counts where its TCP ends
    stats.total_connections += whole
    if number == 0:
        counters_of(engine).virtual_connections_refused += 1
        stats.errors += 1
        half.close_due = 2
        say_close(engine, half_number - 1)
        return 0
    stats.connections += whole
    counters_of(engine).virtual_connections_accepted += 1
    _begin(engine, tcb_of(engine, number - 1), half, half_number, number, Role.CLIENT)
    return number


@kernel
def _read_opener(engine: Engine, number: int, half: Half) -> int:
    """Copy who the client is from the opener's half, which stays as it is until both ends have closed."""
    other = other_engine(engine, engine_of_half(engine, number))
    place = engine.index * other.half_count + place_there(engine, number)
    opener = half_at(base_of(engine) + other.halves + place * HALF_SIZE)
    half.vserver, half.nic, half.ports, half.mss = opener.vserver, opener.nic, opener.ports, opener.mss
    half.remote_high, half.remote_low = opener.remote_high, opener.remote_low
    half.local_high, half.local_low = opener.local_high, opener.local_low
    return 0
