"""The pair at the engine that terminates a client's TCP: the client's connection, and the virtual one to its server.

Their streams are each other's, as in a TCP vServer. Frames move from one to the other by reference where they can.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Actor, core_of
from ncore_ray.engine.buffer import chain_shift, first_piece_length, has_memory
from ncore_ray.engine.connection import Tcb, Work, hold_chain, mark, peer_of, send_chain
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.proxy.relay import hold, relay_end, wake_peer
from ncore_ray.engine.remote.link import engine_of_half
from ncore_ray.engine.remote.opening import WATCH_US
from ncore_ray.engine.tcp.receive import Event
from ncore_ray.engine.tcp.user import abort, send_bytes, send_room
from ncore_ray.machine.jit import kernel

DEAD_US: Final = 5_000_000
"""An engine that lives breathes several times in a second, also when it has nothing to do."""


@kernel
def relayed_event(engine: Engine, tcb: Tcb, events: int, address: int, length: int) -> int:
    """Take what happened at one side of the pair."""
    if events & Event.RESET:
        return relayed_lost(engine, tcb)
    if events & Event.DATA and tcb.peer and not _take(engine, tcb, address, length):
        abort(engine, peer_of(engine, tcb))
        return abort(engine, tcb)
    if events & Event.FREED:
        wake_peer(engine, tcb)
    return pump_relayed(engine, tcb) if events & Event.FIN else 0


@kernel
def _take(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    """Queue bytes at the other side as far as it takes them, and hold the rest; return 0 if there is no memory."""
    peer = peer_of(engine, tcb)
    part = min(length, send_room(engine, peer)) if hold_chain(tcb).length == 0 else 0
    if part > 0 and not send_bytes(engine, peer, address, part):
        return 0
    return hold(engine, tcb, address + part, length - part)


@kernel
def pump_relayed(engine: Engine, tcb: Tcb) -> int:
    """Move on the frames that are held as far as the other side takes them; then the end of the stream, if it came."""
    if not tcb.peer:
        return 0
    peer = peer_of(engine, tcb)
    chain = hold_chain(tcb)
    before = chain.length
    while chain.length > 0 and first_piece_length(engine, chain) <= send_room(engine, peer):
        chain_shift(engine, chain, send_chain(peer))
    if chain.length < before:
        mark(engine, peer, Work.OUTPUT)
        mark(engine, tcb, Work.OUTPUT)
    return relay_end(engine, tcb) if tcb.fin_received else 0


@kernel
def is_starved(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if the pool is too low to pass on what is held: it waits, in the other engine's frames.

    A host would be refused and send again; a ring is no wire, and loses nothing. More than half of a pool has to do, as
    a window may be larger than what is left of it.
    """
    held = hold_chain(tcb).length
    if held == 0 or has_memory(engine, held) or 2 * engine.free_frame_count > engine.frame_count:
        return 0
    counters_of(engine).virtual_memory_waits += 1
    engine.starved = 1
    return 1


@kernel
def watch_far(engine: Engine, tcb: Tcb) -> int:
    """Now and then, see that the engine which serves a client lives: it alone has time-outs for it."""
    core = core_of(base_of(engine), Actor.ENGINE + engine_of_half(engine, tcb.virtual - 1))
    if core.heartbeat_at and engine.now - core.heartbeat_at > DEAD_US:
        return relayed_lost(engine, tcb)
    tcb.application_at = engine.now + WATCH_US
    return 0


@kernel
def relayed_lost(engine: Engine, tcb: Tcb) -> int:
    """One side is gone: so is the other."""
    counters_of(engine).connections_reset += 1
    if tcb.peer:
        abort(engine, peer_of(engine, tcb))
    return destroy(engine, tcb)
