"""What is kept of transactions: of a client whose requests are shared out, and of each virtual connection for them.

A client of the role SPLIT has a queue of legs: virtual connections to the engines that its requests were given to, in
the order of the requests, for their answers have to go back in that order. A leg carries one transaction at a time;
between two it stands in the client's list of idle legs, and goes on to the next request for its engine.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import check_index
from ncore_ray.engine.connection import Tcb, Work, hold_chain, index_of, mark, tcb_of
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.remote.link import engine_of_half
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import clear
from ncore_ray.machine.record import I64, Record, address_of, pointer_to, size_of

MOST_OUTSTANDING: Final = 16
"""Requests of one connection that are worked on at once, at the most."""
LEG_WINDOW: Final = 16 << 10
"""Bytes of an answer that wait for their turn at the most; an answer whose turn it is has the whole receive window."""
ANY_ENGINE: Final = -1


class LegState(IntEnum):
    """Where a leg is in its transaction."""

    IDLE = 0
    ASKED = 1
    """It has a request, or the beginning of one."""
    ANSWERED = 2
    """The other engine has said that the answer is whole."""
    LOST = 3
    """The other engine has given it up, or is dead."""


class Turn(Record):
    """State of one connection: the first words are a leg's, the others a SPLIT client's. Numbers are plus 1, or 0."""

    client: I64
    """Whose leg it is; 0 once it is dismissed."""
    next: I64
    """The next leg in the queue, or in the list of idle ones."""
    state: I64
    """`LegState`."""
    begun: I64
    """1: bytes of the answer have gone on to the client."""
    method: I64
    """Of the request."""
    stuck_at: I64
    """Since when the client has taken nothing of the answer, which is whole; 0: not looked at yet."""

    first: I64
    """The leg whose answer is to go to the client now."""
    last: I64
    """The leg of the latest request."""
    idle: I64
    """The idle leg that was used last."""
    outstanding: I64
    """Legs in the queue."""
    alone: I64
    """1: the latest request is not safe, so the next one waits for its answer."""
    stays: I64
    """1: what follows is served by this engine, once all answers have gone to the client."""


turn_at = pointer_to(Turn)
TURN_SIZE: Final = size_of(Turn)


@kernel
def turn_of(engine: Engine, tcb: Tcb) -> Turn:
    """Return what is kept of a connection's transactions (only where some vServer has the unit `transaction`)."""
    index = index_of(engine, tcb)
    if CHECKED:
        check_index(index, engine.connection_count if engine.turns else 0)
    return turn_at(base_of(engine) + engine.turns + index * TURN_SIZE)


@kernel
def begin_turn(engine: Engine, tcb: Tcb) -> int:
    """Forget the connection's former life."""
    return clear(address_of(turn_of(engine, tcb)), TURN_SIZE)


@kernel
def is_first(engine: Engine, leg: Tcb) -> int:
    """Return 1 if it is this leg's turn to answer."""
    client = turn_of(engine, leg).client
    if client == 0:
        return 0
    return 1 if turn_of(engine, tcb_of(engine, client - 1)).first == index_of(engine, leg) + 1 else 0


@kernel
def enqueue(engine: Engine, client: Tcb, leg: Tcb) -> int:
    """Put a leg at the end of its client's queue."""
    turn = turn_of(engine, client)
    own = index_of(engine, leg) + 1
    turn_of(engine, leg).next = 0
    turn_of(engine, leg).state = LegState.ASKED
    if turn.last == 0:
        turn.first = own
    else:
        turn_of(engine, tcb_of(engine, turn.last - 1)).next = own
        engine.ahead += 1
    turn.last = own
    turn.outstanding += 1
    return 0


@kernel
def dequeue(engine: Engine, client: Tcb) -> int:
    """Take the first leg out of the queue (which is not empty); return its number plus 1."""
    turn = turn_of(engine, client)
    number = turn.first
    leg = turn_of(engine, tcb_of(engine, number - 1))
    turn.first = leg.next
    if turn.first == 0:
        turn.last = 0
    else:
        engine.ahead -= 1
    turn.outstanding -= 1
    leg.next = 0
    leg.state = LegState.IDLE
    leg.begun = 0
    leg.stuck_at = 0
    return number


@kernel
def put_idle(engine: Engine, client: Tcb, leg: Tcb) -> int:
    """Put a leg that has done its transaction into the list of idle ones."""
    turn = turn_of(engine, client)
    turn_of(engine, leg).next = turn.idle
    turn.idle = index_of(engine, leg) + 1
    return 0


@kernel
def take_idle(engine: Engine, client: Tcb, other: int) -> int:
    """Take an idle leg to an engine (or to ANY_ENGINE) out of the list; return its number plus 1, or 0."""
    before = 0
    number = turn_of(engine, client).idle
    while number:
        leg = tcb_of(engine, number - 1)
        if other == ANY_ENGINE or engine_of_half(engine, leg.virtual - 1) == other:
            return _unlink(engine, client, before, number)
        before, number = number, turn_of(engine, leg).next
    return 0


@kernel
def drop_idle(engine: Engine, client: Tcb, leg: Tcb) -> int:
    """Take one idle leg out of the list; return its number plus 1, or 0 if it does not stand there."""
    own = index_of(engine, leg) + 1
    before = 0
    number = turn_of(engine, client).idle
    while number and number != own:
        before, number = number, turn_of(engine, tcb_of(engine, number - 1)).next
    return _unlink(engine, client, before, number) if number else 0


@kernel
def _unlink(engine: Engine, client: Tcb, before: int, number: int) -> int:
    following = turn_of(engine, tcb_of(engine, number - 1)).next
    if before:
        turn_of(engine, tcb_of(engine, before - 1)).next = following
    else:
        turn_of(engine, client).idle = following
    turn_of(engine, tcb_of(engine, number - 1)).next = 0
    return number


@kernel
def leg_answered(engine: Engine, leg: Tcb) -> int:
    """Note that all of the answer has come."""
    turn = turn_of(engine, leg)
    if turn.state == LegState.ASKED:
        turn.state = LegState.ANSWERED
    return 0


@kernel
def wake_client(engine: Engine, leg: Tcb) -> int:
    """A part of a request has gone to its engine: the client's next bytes may follow."""
    number = turn_of(engine, leg).client
    if number:
        client = tcb_of(engine, number - 1)
        if hold_chain(client).length or client.fin_received:
            mark(engine, client, Work.PUMP)
    return 0


@kernel
def leg_window(engine: Engine) -> int:
    """Return how many bytes of its answer a leg may hold while it waits for its turn."""
    return min(engine.receive_limit, LEG_WINDOW)
