"""What the owner of a connection may ask of it: the user calls of RFC 9293 §3.10, sans waiting."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.buffer import chain_append, chain_clear
from ncore_ray.engine.connection import (
    NO_MAC,
    Role,
    Tcb,
    Work,
    find_connection,
    hold_chain,
    index_connection,
    make_ports,
    mark,
    release_connection,
    send_chain,
    take_connection,
    tcb_of,
)
from ncore_ray.engine.half_open import enter_half_open
from ncore_ray.engine.lifecycle import destroy, evict_datagrams, leave_pool, recycle_time_wait, unpair
from ncore_ray.engine.orphans import NO_ORPHAN, enter_orphans, is_orphan, oldest_idle_orphan
from ncore_ray.engine.partition import Engine, base_of, counters_of, service_stats, vserver_stats
from ncore_ray.engine.tcp import congestion
from ncore_ray.engine.tcp.buffers import send_limit_of
from ncore_ray.engine.tcp.patience import fin_wait_of
from ncore_ray.engine.tcp.receive import take_options
from ncore_ray.engine.tcp.rtt import INITIAL_RTO_US
from ncore_ray.engine.tcp.segment import own_mss, send_reset
from ncore_ray.engine.tcp.sequence import seq_add, seq_le
from ncore_ray.engine.tcp.state import FastOpen, TcpState
from ncore_ray.engine.transmit import slots_left
from ncore_ray.machine.hash import MASK32, hash_tuple
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.route import NO_ROUTE, may_leave, route_of
from ncore_ray.tables.service import Arrival, Vserver, service_of, vserver_of
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet

_PORT_TRIES: Final = 64
_HANDSHAKES: Final = 16
_CLOCK_SHIFT: Final = 4
_REUSE_GAP: Final = 1 << 16


@kernel
def initial_sequence(engine: Engine, tcb: Tcb) -> int:
    """Return an initial sequence number: a clock plus a keyed hash of the addresses (RFC 6528 §3).

    The clock goes on by 16 in a µs instead of one in 4 µs, as nearly in Linux: a port that is used again begins beyond
    what its former connection sent, though that was fast and the service still holds it in TIME-WAIT.
    """
    arena = arena_at(base_of(engine))
    offset = hash_tuple(
        arena.secret_1, arena.secret_0, tcb.remote_high, tcb.remote_low, tcb.local_high, tcb.local_low, tcb.ports
    )
    return (offset + (engine.now << _CLOCK_SHIFT)) & MASK32


@kernel
def number_from(tcb: Tcb, sequence: int) -> int:
    """Let a connection begin with an initial sequence number."""
    tcb.iss = sequence
    tcb.snd_una = sequence
    tcb.snd_nxt = sequence
    tcb.snd_max = sequence
    tcb.recover = sequence
    tcb.send_base = seq_add(sequence, 1)
    return 0


@kernel
def number_after(tcb: Tcb, previous: int) -> int:
    """Let a fresh connection begin beyond all that its former incarnation sent (RFC 9293 §3.6.1)."""
    if seq_le(tcb.iss, previous):
        number_from(tcb, seq_add(previous, _REUSE_GAP))
    return 0


@kernel
def _begin(engine: Engine, tcb: Tcb, state: int) -> int:
    tcb.state = state
    number_from(tcb, initial_sequence(engine, tcb))
    tcb.rto = max(INITIAL_RTO_US, engine.min_rto_us)
    tcb.last_received_at = engine.now
    index_connection(engine, tcb)
    mark(engine, tcb, Work.OUTPUT)
    return 0


@kernel
def take_or_recycle(engine: Engine) -> int:
    """Return the number plus 1 of a fresh connection, if need be in the place of one in TIME-WAIT; or 0."""
    number = take_connection(engine)
    if number == 0 and recycle_time_wait(engine):
        number = take_connection(engine)
    return number


@kernel
def has_spare(engine: Engine) -> int:
    """Return 1 if another connection can be taken, if need be in the place of one in TIME-WAIT."""
    return 1 if engine.free_connection or recycle_time_wait(engine) else 0


@kernel
def take_or_evict(engine: Engine) -> int:
    """Return the number plus 1 of a fresh connection, if need be in the place of another that is worth less; or 0."""
    number = take_connection(engine)
    if number == 0 and make_room(engine):
        number = take_connection(engine)
    return number


@kernel
def make_room(engine: Engine) -> int:
    """Free the connection that is worth least; return 0 if there is none.

    That is the oldest in TIME-WAIT, else one without an owner whose peer does not let go, else the oldest handshake:
    it may be a forged SYN, and what asks for its place has proven that somebody is there. Then comes a client that
    still reads the end of what was queued for it, and last a session of datagrams that is silent.
    """
    if recycle_time_wait(engine):
        return 1
    orphan = oldest_idle_orphan(engine)
    if orphan == NO_ORPHAN and _evict_handshake(engine):
        return 1
    if evict_orphan(engine, orphan if orphan else engine.orphan_first):
        return 1
    return evict_datagrams(engine)


@kernel
def _evict_handshake(engine: Engine) -> int:
    """Free the oldest handshake on which nothing depends; return 0 if the oldest few are none.

    A client whose data were taken with its SYN may be the one for whose sake room is made, and one that a service
    opens belongs to a client that waits for it.
    """
    number = engine.half_open_first
    for _ in range(_HANDSHAKES):
        if number == 0:
            return 0
        tcb = tcb_of(engine, number - 1)
        if tcb.fast_open != FastOpen.TAKEN and tcb.role != Role.SERVER:
            destroy(engine, tcb)
            counters_of(engine).half_open_evicted += 1
            return 1
        number = tcb.list_next
    return 0


@kernel
def evict_orphan(engine: Engine, number: int) -> int:
    """Reset an orphan by its number plus 1, and free it; 0: there is none."""
    if number == 0:
        return 0
    counters_of(engine).orphans_evicted += 1
    abort(engine, tcb_of(engine, number - 1))
    return 1


@kernel
def _role_of_client(engine: Engine, vserver: Vserver) -> int:
    if vserver.arrival == Arrival.DIRECT or (
        vserver.arrival == Arrival.FUNCTION and vserver.engines >> engine.index & 1
    ):
        return Role.CLIENT
    return Role.SPLIT if vserver.arrival == Arrival.TRANSACTION else Role.ARRIVING


@kernel
def open_passive(engine: Engine, packet: Packet, vserver: int, number: int) -> int:
    """Make a connection in SYN-RECEIVED of a fresh record, for a SYN to a vServer; return its number plus 1."""
    tcb = tcb_of(engine, number - 1)
    tcb.role = _role_of_client(engine, vserver_of(base_of(engine), vserver))
    tcb.vserver = vserver
    tcb.remote_high = packet.source_high
    tcb.remote_low = packet.source_low
    tcb.local_high = packet.destination_high
    tcb.local_low = packet.destination_low
    tcb.ports = make_ports(packet.source_port, packet.destination_port, PROTOCOL_TCP)
    tcb.nic = packet.nic
    tcb.remote_mac = packet.ethernet_source
    tcb.route = NO_ROUTE
    tcb.congestion = vserver_of(base_of(engine), vserver).congestion
    _begin(engine, tcb, TcpState.SYN_RECEIVED)
    take_options(engine, tcb, packet)
    enter_half_open(engine, tcb)
    counters_of(engine).connections_accepted += 1
    stats = vserver_stats(engine, vserver)
    stats.connections += 1
    stats.total_connections += 1
    return number


@kernel
def open_active(engine: Engine, service_index: int, role: int) -> int:
    """Open a connection to a service; return its number plus 1, or 0 (no route, table full, no free port)."""
    base = base_of(engine)
    service = service_of(base, service_index)
    if not may_leave(base, service.route):
        return 0
    number = take_or_evict(engine)
    if number == 0:
        return 0
    tcb = tcb_of(engine, number - 1)
    tcb.role = Role.MONITOR  # counted for its true role only when it is sure to stay
    address_active(engine, tcb, service_index)
    if not choose_port(engine, tcb, service.port, PROTOCOL_TCP):
        release_connection(engine, tcb)
        return 0
    tcb.role = role
    tcb.mss = own_mss(engine, tcb)
    tcb.rcv_scale = engine.receive_scale
    tcb.sack_permitted = engine.sack
    tcb.timestamps = engine.timestamps
    tcb.congestion = service.congestion
    _begin(engine, tcb, TcpState.SYN_SENT)
    congestion.begin(engine, tcb)
    counters_of(engine).connections_opened += 1
    if role == Role.SERVER:
        stats = service_stats(engine, service_index)
        stats.connections += 1
        stats.total_connections += 1
    return number


@kernel
def destroy_unused(engine: Engine, tcb: Tcb) -> int:
    """Give back a connection that was taken but never used."""
    return release_connection(engine, tcb)


@kernel
def address_active(engine: Engine, tcb: Tcb, service_index: int) -> int:
    """Fill in the addresses of a connection of ours to a service."""
    base = base_of(engine)
    service = service_of(base, service_index)
    route = route_of(base, service.route)
    tcb.service = service_index
    tcb.route = service.route
    tcb.nic = route.nic
    tcb.remote_mac = NO_MAC
    tcb.remote_high = service.high
    tcb.remote_low = service.low
    tcb.local_high = route.source_high
    tcb.local_low = route.source_low
    return 0


@kernel
def choose_port(engine: Engine, tcb: Tcb, port: int, protocol: int) -> int:
    """Give the connection a source port of this engine's range that is free towards its remote end; 0 if none is."""
    for _ in range(min(_PORT_TRIES, engine.port_count)):
        local = engine.first_port + engine.next_port
        engine.next_port = (engine.next_port + 1) % engine.port_count
        ports = make_ports(port, local, protocol)
        if not find_connection(engine, tcb.remote_high, tcb.remote_low, tcb.local_high, tcb.local_low, ports):
            tcb.ports = ports
            return 1
    return 0


@kernel
def send_room(engine: Engine, tcb: Tcb) -> int:
    """Return how many bytes the send chain may still take."""
    if tcb.fin_wanted:
        return 0
    return max(send_limit_of(engine, tcb) - send_chain(tcb).length, 0)


@kernel
def send_bytes(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    """Queue bytes for sending; return 1, or 0 if the pool has no frames: then none of them is queued."""
    if not chain_append(engine, send_chain(tcb), address, length):
        return 0
    mark(engine, tcb, Work.OUTPUT)
    return 1


@kernel
def close_send(engine: Engine, tcb: Tcb) -> int:
    """End the stream behind what is queued (CLOSE)."""
    tcb.fin_wanted = 1
    return mark(engine, tcb, Work.OUTPUT)


@kernel
def close_unread(engine: Engine, tcb: Tcb) -> int:
    """End the stream and read no more: what still comes is thrown away for a while, then reset.

    Else a reset might overtake our last bytes.
    """
    unpair(engine, tcb)
    if tcb.pooled:
        leave_pool(engine, tcb)
    chain_clear(engine, hold_chain(tcb))
    known = is_orphan(tcb)
    tcb.discard = 1
    if not known and is_orphan(tcb):
        enter_orphans(engine, tcb)
    tcb.application_at = 0
    tcb.close_at = engine.now + fin_wait_of(engine, tcb)
    return close_send(engine, tcb)


@kernel
def abort(engine: Engine, tcb: Tcb) -> int:
    """Reset a connection and free it at once (ABORT)."""
    opened = tcb.state >= TcpState.SYN_RECEIVED and tcb.state <= TcpState.LAST_ACK
    if opened and slots_left(engine) and tcb.remote_mac != NO_MAC:
        send_reset(engine, tcb)
    counters_of(engine).connections_reset += 1
    return destroy(engine, tcb)
