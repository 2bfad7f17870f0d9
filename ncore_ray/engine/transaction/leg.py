"""Legs: which engine works on the next request, by which virtual connection, and how legs end."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Actor, core_of
from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.arena.header import arena_at
from ncore_ray.engine.connection import Role, Tcb, Work, index_of, mark, moved_on, tcb_of
from ncore_ray.engine.http.exchange import begin_exchange
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.remote.closing import say
from ncore_ray.engine.remote.link import Message, engine_of_half, half_of, other_engine
from ncore_ray.engine.remote.opening import WATCH_US, open_far
from ncore_ray.engine.remote.relay import DEAD_US
from ncore_ray.engine.tcp.receive import Event
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.tcp.user import abort
from ncore_ray.engine.transaction.turn import (
    ANY_ENGINE,
    LegState,
    begin_turn,
    dequeue,
    drop_idle,
    is_first,
    leg_window,
    take_idle,
    turn_of,
    wake_client,
)
from ncore_ray.flow.records import distributor_of, engine_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of

KEEP_US: Final = 1_000_000
"""How long an idle leg is kept for the client's next request."""
_GOODBYE_US: Final = 2_000_000
"""How long a dismissed leg waits for the other engine's end of it."""


@kernel
def is_alive(engine: Engine, other: int) -> int:
    """Return 0 if an engine has not breathed for long."""
    core = core_of(base_of(engine), Actor.ENGINE + other)
    return 0 if core.heartbeat_at and engine.now - core.heartbeat_at > DEAD_US else 1


@kernel
def next_engine(engine: Engine, engines: int) -> int:
    """Return the engine whose turn it is (round robin over a set, a bit for each) and that takes new flows."""
    base = base_of(engine)
    count = arena_at(base).engine_count
    distributor = distributor_of(base, 0)
    for _ in range(count):
        engine.turn_engine += 1
        if engine.turn_engine >= count:
            engine.turn_engine = 0
        other = engine.turn_engine
        if engines >> other & 1 and engine_slot(base, distributor, other).active and is_alive(engine, other):
            return other
    return engine.index


@kernel
def may_run_ahead(engine: Engine, other: int) -> int:
    """Return 1 if both engines have room for a request whose answer has to wait for its turn.

    If such answers took all frames, those that they wait for would get none. One may bring as much as a receive window:
    so only as many run ahead as would fill half of the pool, and none while half of it is in use. Nor may they take the
    last eighth of the connections.
    """
    there = other_engine(engine, other)
    if 2 * there.free_frame_count < there.frame_count or 8 * there.live_connections > 7 * there.connection_count:
        return 0
    if 8 * engine.live_connections > 7 * engine.connection_count:
        return 0
    return 1 if (engine.ahead + 1) * engine.receive_limit <= engine.frame_count * FRAME_SIZE >> 1 else 0


@kernel
def obtain_leg(engine: Engine, client: Tcb) -> int:
    """Return the number plus 1 of a leg for the next request, in no list; or 0 if it has to wait, or there is no place.

    While memory is short, requests are worked on one after another.
    """
    turn = turn_of(engine, client)
    before = engine.turn_engine
    other = next_engine(engine, vserver_of(base_of(engine), client.vserver).engines)
    if turn.outstanding and not may_run_ahead(engine, other):
        engine.turn_engine = before  # nobody has had a turn: it is that engine's when the request is looked at again
        return 0
    number = take_idle(engine, client, other)
    if number == 0:
        number = open_far(engine, client, other, Role.LEG)
        if number:
            leg = tcb_of(engine, number - 1)
            begin_turn(engine, leg)
            turn_of(engine, leg).client = index_of(engine, client) + 1
            leg.rcv_edge = seq_add(0, leg_window(engine))
    return number if number else take_idle(engine, client, ANY_ENGINE)


@kernel
def watch_interval(engine: Engine, leg: Tcb) -> int:
    """Return how often a busy leg is looked at: often enough that the other engine never waits for it for too long."""
    vserver = vserver_of(base_of(engine), leg.vserver)
    return max(min(WATCH_US, vserver.server_us >> 1, vserver.client_idle_us >> 1), 1_000)


@kernel
def dismiss(engine: Engine, leg: Tcb) -> int:
    """End a leg that stands in no list: both engines end their streams, what still comes is thrown away."""
    turn_of(engine, leg).client = 0
    if turn_of(engine, leg).state == LegState.LOST:
        return destroy(engine, leg)
    leg.discard = 1
    leg.fin_wanted = 1
    leg.application_at = engine.now + _GOODBYE_US
    return mark(engine, leg, Work.OUTPUT)


@kernel
def leave_split(engine: Engine, client: Tcb) -> int:
    """Make a client an ordinary one again: its legs end, with a reset those that have not answered."""
    turn = turn_of(engine, client)
    while turn.first:
        leg = tcb_of(engine, dequeue(engine, client) - 1)
        turn_of(engine, leg).client = 0
        destroy(engine, leg)
    while turn.idle:
        dismiss(engine, tcb_of(engine, take_idle(engine, client, ANY_ENGINE) - 1))
    client.role = Role.CLIENT
    return begin_exchange(engine, client)


@kernel
def leg_event(engine: Engine, leg: Tcb, events: int) -> int:
    """Take what the other engine says of a leg, but for the bytes of the answer, which wait for their turn."""
    if events & Event.RESET:
        return leg_lost(engine, leg)
    return wake_client(engine, leg) if events & Event.FREED else 0


@kernel
def leg_lost(engine: Engine, leg: Tcb) -> int:
    """The other engine has given a leg up. If it carries a request, the client hears of it when its turn comes."""
    turn = turn_of(engine, leg)
    if turn.client and turn.state == LegState.IDLE:
        drop_idle(engine, tcb_of(engine, turn.client - 1), leg)
        turn.client = 0
    if turn.client == 0:
        return destroy(engine, leg)
    if turn.state == LegState.ANSWERED or leg.fin_received:
        leg.fin_received = 1  # the answer is whole: nothing is lost
    else:
        turn.state = LegState.LOST
    return mark(engine, leg, Work.PUMP)


@kernel
def _give_up_if_stuck(engine: Engine, client: Tcb, leg: Tcb) -> int:
    """Reset a client that takes nothing of a whole answer for too long (until then the engine that serves it looks)."""
    turn = turn_of(engine, leg)
    if turn.state != LegState.ANSWERED and not leg.fin_received:
        return 0
    if moved_on(client, client.snd_una) or turn.stuck_at == 0:
        turn.stuck_at = engine.now
    elif engine.now - turn.stuck_at >= vserver_of(base_of(engine), client.vserver).client_idle_us:
        counters_of(engine).connections_timed_out += 1
        leave_split(engine, client)
        abort(engine, client)
    return 0


@kernel
def leg_timeout(engine: Engine, leg: Tcb) -> int:
    """Take a leg's deadline: it was idle for long, or it is time to see that the other engine lives, and to be seen."""
    turn = turn_of(engine, leg)
    if turn.client == 0:
        return destroy(engine, leg)
    if turn.state == LegState.IDLE:
        drop_idle(engine, tcb_of(engine, turn.client - 1), leg)
        return dismiss(engine, leg)
    if not is_alive(engine, engine_of_half(engine, leg.virtual - 1)):
        counters_of(engine).connections_reset += 1
        return leg_lost(engine, leg)
    leg.application_at = engine.now + watch_interval(engine, leg)
    if is_first(engine, leg):
        return _give_up_if_stuck(engine, tcb_of(engine, turn.client - 1), leg)
    if half_of(engine, leg.virtual - 1).opened:
        say(engine, leg.virtual - 1, Message.CREDIT, seq_add(leg.rcv_edge, -leg_window(engine)))
    return 0
