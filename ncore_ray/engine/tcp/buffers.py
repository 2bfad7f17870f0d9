"""How many bytes a connection may hold: windows follow the rate times the round-trip time, within bounds.

What waits to be sent or acknowledged may be twice the congestion window, so that it can double in a round trip. What a
peer may send ahead is twice of what arrived in a round trip, where that moves on. Both begin with what is configured,
and grow as long as half of the engine's frames are free: many slow readers must not use up the pool.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Role, Tcb, peer_of
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of

FIRST_BUFFER: Final = 512 << 10
"""Of both directions of every connection, unless less is configured."""
PRESSED_WINDOW: Final = 128 << 10
"""The largest receive window while less than half of the pool is free."""
_SHORTEST_ROUND_US: Final = 1_000


@kernel
def is_pressed(engine: Engine) -> int:
    """Return 1 while less than half of the pool is free."""
    return 1 if engine.free_frame_count < engine.frame_count >> 1 else 0


@kernel
def _own_limit(engine: Engine, tcb: Tcb) -> int:
    """Return how many bytes the vServer of a client lets wait for it, or 0: as many as all others."""
    role = tcb.role
    if role == Role.CLIENT or role == Role.RELAYED or role == Role.SPLIT or role == Role.ARRIVING:
        return vserver_of(base_of(engine), tcb.vserver).send_limit
    return 0


@kernel
def send_limit_of(engine: Engine, tcb: Tcb) -> int:
    """Return how many bytes may wait to be sent or acknowledged."""
    own = _own_limit(engine, tcb)
    if own:
        return min(own, engine.send_limit) if is_pressed(engine) else own
    wanted = 2 * tcb.cwnd
    if wanted <= engine.send_limit or is_pressed(engine):
        return engine.send_limit
    return max(min(wanted, engine.send_most), engine.send_limit)


@kernel
def receive_limit_of(engine: Engine, tcb: Tcb) -> int:
    """Return how many bytes may be held of what a peer sends, those that wait at the other side included."""
    if is_pressed(engine):
        return min(engine.receive_limit, PRESSED_WINDOW)
    limit = max(engine.receive_limit, tcb.receive_limit)
    if tcb.peer and engine.receive_most > limit:
        limit = max(limit, min(send_limit_of(engine, peer_of(engine, tcb)), engine.receive_most))
    return max(limit, _own_limit(engine, peer_of(engine, tcb))) if tcb.peer else limit


@kernel
def _moves_on(engine: Engine, tcb: Tcb) -> int:
    """Return 1 unless most of what may be held waits for a reader: a larger window would only hold more."""
    waiting = tcb.hold_chain_length
    if tcb.peer:
        waiting += peer_of(engine, tcb).send_chain_length
    return 1 if 2 * waiting < max(engine.receive_limit, tcb.receive_limit) else 0


@kernel
def note_received(engine: Engine, tcb: Tcb) -> int:
    """After bytes came in order: let the window grow where a round trip brought more than half of it."""
    if engine.receive_most == engine.receive_limit:
        return 0
    if engine.now - tcb.round_at < max(tcb.srtt >> 3, _SHORTEST_ROUND_US):
        return 0
    wanted = 2 * (tcb.received_bytes - tcb.received_before)
    is_whole = engine.now - tcb.round_at < 2 * max(tcb.srtt >> 3, _SHORTEST_ROUND_US)
    if is_whole and wanted > max(engine.receive_limit, tcb.receive_limit) and _moves_on(engine, tcb):
        tcb.receive_limit = min(wanted, engine.receive_most)
    tcb.round_at = engine.now
    tcb.received_before = tcb.received_bytes
    return 0
