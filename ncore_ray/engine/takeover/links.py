"""The virtual connections of an engine that died: what it had said and not published, heard and not done.

The other engines go on meanwhile; each ring has one writer and one reader, and only the dead one's side is touched.
Whatever an engine has said of a whole connection is heard; the halves of broken ones are closed by a reset.
"""

from __future__ import annotations

from ncore_ray.arena.frame import IN_TRANSIT, frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.recover import finish_ring, ring_word
from ncore_ray.arena.ring import Ring, ring_at, ring_give_back, ring_publish
from ncore_ray.engine.connection import Role, Tcb, tcb_of
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.remote.link import (
    Half,
    Link,
    Message,
    free_half,
    half_of,
    is_shared,
    link_of,
    message_kind,
    message_place,
    message_value,
    outbound_ring,
    place_there,
)
from ncore_ray.engine.takeover.local import TakeoverLocal, Verdict, judge, verdict_of
from ncore_ray.engine.takeover.quiet import keep_quiet_clients
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.jit import kernel


@kernel
def judge_virtual(engine: Engine, local: TakeoverLocal) -> int:
    """Break the connection for which the last message was taken, and those that do not belong to their half."""
    for other in range(arena_at(base_of(engine)).engine_count):
        ring = _inbound(engine, other)
        if other != engine.index and ring.taken != ring.head:
            number = other * engine.half_count + message_place(ring_word(ring, ring.taken - 1))
            _break_connection(engine, local, half_of(engine, number).connection)
    if engine.turns:
        keep_quiet_clients(engine, local)
    for number in range(engine.connection_count):
        tcb = tcb_of(engine, number)
        if _has_turns(engine, tcb):
            _break_connection(engine, local, number + 1)
        if verdict_of(local, number) == Verdict.WHOLE and tcb.state == TcpState.VIRTUAL:
            if tcb.virtual == 0 or half_of(engine, tcb.virtual - 1).connection != number + 1:
                judge(local, number, Verdict.BROKEN)
    return 0


@kernel
def _has_turns(engine: Engine, tcb: Tcb) -> int:
    """Return 1 for both ends of the legs of clients whose requests are shared out.

    They are broken all of them: which request is with whom stands in records that have no marks, and the order of
    answers would have to be guessed. So only clients that wait for no answer are kept (`keep_quiet_clients`).
    """
    if engine.turns == 0:
        return 0
    if tcb.role == Role.LEG:
        return 1
    return 1 if tcb.role == Role.CLIENT and tcb.state == TcpState.VIRTUAL and is_shared(engine, tcb.vserver) else 0


@kernel
def _inbound(engine: Engine, other: int) -> Ring:
    """Return the ring of messages from another engine; the engine itself has none, and gets another one to look at."""
    known = other if other != engine.index else (other + 1) % arena_at(base_of(engine)).engine_count
    return ring_at(base_of(engine) + link_of(engine, known).inbound)


@kernel
def _break_connection(engine: Engine, local: TakeoverLocal, number: int) -> int:
    if 0 < number <= engine.connection_count and verdict_of(local, number - 1) == Verdict.WHOLE:
        judge(local, number - 1, Verdict.BROKEN)
    return 0


@kernel
def settle_links(engine: Engine) -> int:
    """Finish what was being taken from the rings between engines, and publish what was written to them."""
    base = base_of(engine)
    if engine.turns:
        _forget_own_words(engine)
    for other in range(arena_at(base).engine_count):
        if other != engine.index:
            link = link_of(engine, other)
            _finish_taking(engine, other)
            _finish_collecting(engine, ring_at(base + link.returns))
            _finish_saying(engine, link, other)
            finish_ring(base, ring_at(base + link.home), IN_TRANSIT)
    return 0


@kernel
def _forget_own_words(engine: Engine) -> int:
    """Empty the rings from the engine to itself: the ends of their connections are broken, both."""
    base = base_of(engine)
    engine.ahead = 0
    link = link_of(engine, engine.index)
    said, home = ring_at(base + link.outbound), ring_at(base + link.home)
    for index in range(said.head, said.written):
        word = ring_word(said, index)
        if message_kind(word) == Message.DATA:
            frame_meta(base, message_value(word)).owner = engine.actor
    for index in range(home.head, home.written):
        frame_meta(base, ring_word(home, index)).owner = engine.actor
    _empty(said)
    return _empty(home)


@kernel
def _empty(ring: Ring) -> int:
    ring.taken = ring.written
    ring_publish(ring)
    return ring_give_back(ring)


@kernel
def _finish_taking(engine: Engine, other: int) -> int:
    """Do of the last message what does not concern its connection, which is broken."""
    base = base_of(engine)
    ring = _inbound(engine, other)
    if ring.taken != ring.head:
        word = ring_word(ring, ring.taken - 1)
        half = half_of(engine, other * engine.half_count + message_place(word))
        kind = message_kind(word)
        if kind == Message.OPEN:
            half.opened = 1
        elif kind == Message.CLOSE:
            half.heard_close = 1
        elif kind == Message.DATA and frame_meta(base, message_value(word)).owner == IN_TRANSIT:
            frame_meta(base, message_value(word)).owner = engine.actor
    return ring_give_back(ring)


@kernel
def _finish_collecting(engine: Engine, ring: Ring) -> int:
    for index in range(ring.head, ring.taken):
        frame_meta(base_of(engine), ring_word(ring, index)).owner = engine.actor
    return ring_give_back(ring)


@kernel
def _finish_saying(engine: Engine, link: Link, other: int) -> int:
    """Publish all messages, and let the halves know of them."""
    ring = outbound_ring(engine, link)
    for index in range(ring.tail, ring.written):
        word = ring_word(ring, index)
        half = half_of(engine, other * engine.half_count + place_there(engine, message_place(word)))
        kind = message_kind(word)
        if kind == Message.DATA:
            frame_meta(base_of(engine), message_value(word)).owner = IN_TRANSIT
        elif kind == Message.OPEN:
            half.opened = 1
        elif kind == Message.CLOSE:
            half.closed = 1
            half.close_due = 0
    return ring_publish(ring)


@kernel
def rebuild_halves(engine: Engine, local: TakeoverLocal) -> int:
    """Make the lists of halves anew; those without a connection say so as soon as there is room."""
    for other in range(arena_at(base_of(engine)).engine_count):
        if other == engine.index and not engine.turns:
            continue
        link = link_of(engine, other)
        link.free_half = 0
        link.waiting_first = 0
        link.waiting_last = 0
        link.waiting = 0
        link.urgent = 1
        for place in range(engine.half_count - 1, -1, -1):
            if other == engine.index:
                free_half(engine, other * engine.half_count + place)
                continue
            _rebuild_half(engine, local, link, other * engine.half_count + place)
    engine.starved = 1
    return 0


@kernel
def _rebuild_half(engine: Engine, local: TakeoverLocal, link: Link, number: int) -> int:
    half = half_of(engine, number)
    half.waiting = 0
    half.next = 0
    if half.connection and not _is_held(engine, local, half, number):
        half.connection = 0
    if half.connection:
        return 0
    if not half.opened or (half.closed and half.heard_close):
        return free_half(engine, number)
    return 0 if half.closed else _let_it_close(link, half, number)


@kernel
def _is_held(engine: Engine, local: TakeoverLocal, half: Half, number: int) -> int:
    if half.connection < 0 or half.connection > engine.connection_count:
        return 0
    if verdict_of(local, half.connection - 1) != Verdict.WHOLE:
        return 0
    return 1 if tcb_of(engine, half.connection - 1).virtual == number + 1 else 0


@kernel
def _let_it_close(link: Link, half: Half, number: int) -> int:
    """Put a half in front of those that wait for room to say that they close."""
    half.close_due = max(half.close_due, 2)
    half.waiting = 1
    half.next = link.waiting_first
    link.waiting_first = number + 1
    if link.waiting_last == 0:
        link.waiting_last = number + 1
    link.waiting = 1
    return 0
