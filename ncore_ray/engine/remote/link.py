"""What an engine keeps for each other engine (a link) and for each end of a virtual connection (a half).

A link is a pair of rings of messages, one each way, and a pair of rings by which frames come home. A half is one end of
a virtual connection. It outlives its connection until both ends have said that they closed, so that a number in a
message never means another connection than it was written for; and it remembers what is still to be said, so that a
full ring loses nothing. The first n of a link's 2n halves are for what this engine opens, the others for the other's.
Where single requests are shared out, an engine has a link to itself too, with the same ring for both ways.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.frame import IN_TRANSIT, frame_meta
from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.arena.ring import Ring, ring_at, ring_write
from ncore_ray.engine.partition import Engine, base_of, engine_at
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import clear
from ncore_ray.machine.record import I64, Record, address_of, offset_of, pointer_to, size_of
from ncore_ray.tables.service import Arrival, vserver_of


class Message(IntEnum):
    """What a word between two engines says of a virtual connection."""

    OPEN = 1
    """A new one; who it is for stands in the opener's half."""
    DATA = 2
    """The next bytes of its stream; value: their frame, which changes hands."""
    CREDIT = 3
    """Value: up to which byte (sequence number) the stream was taken; a window more may be sent."""
    END = 4
    """No bytes follow (half-close)."""
    CLOSE = 5
    """The sender has forgotten it; value 1: before its end (a reset)."""
    ANSWERED = 6
    """The bytes so far are the whole answer to a request; the connection waits for the next one."""


class Link(Record):
    """What an engine keeps for one other engine. Offsets count from the arena's start."""

    waiting: I64
    """1 while halves wait for room in `outbound`; the other engine looks at it when it has made room."""
    outbound: I64
    inbound: I64
    home: I64
    """Ring of the other's frames that go back to it."""
    returns: I64
    """Ring of this engine's own frames that come back."""
    free_half: I64
    """First half for a connection to open plus 1, or 0."""
    waiting_first: I64
    """Halves that found `outbound` full: the first plus 1, or 0, linked by `next`."""
    waiting_last: I64
    urgent: I64
    """1: something was written for which the other engine is to be woken."""


class Half(Record):
    """One end of a virtual connection."""

    connection: I64
    """Number of the connection plus 1; 0 once it is gone."""
    next: I64
    waiting: I64
    """1 while it stands in the link's list."""
    opened: I64
    """1 when the other engine knows of it."""
    ended: I64
    """1 when END was written."""
    close_due: I64
    """A CLOSE is to be written: 1, or 2 for a reset."""
    closed: I64
    """1 when it was written."""
    heard_close: I64
    vserver: I64
    """Who the client is, for the other engine to read when it takes OPEN; like all that follows."""
    nic: I64
    mss: I64
    """Credit is given in steps of it, as windows move."""
    remote_high: I64
    remote_low: I64
    local_high: I64
    local_low: I64
    ports: I64


link_at = pointer_to(Link)
half_at = pointer_to(Half)
LINK_SIZE: Final = size_of(Link)
HALF_SIZE: Final = size_of(Half)
WAITING_OFFSET: Final = offset_of(Link, "waiting")

# A message is one word of a ring: value (32 bits), number of the receiver's half (28), kind (3).


@kernel
def make_message(kind: int, place: int, value: int) -> int:
    """Return the word of a message."""
    return value | place << 32 | kind << 60


@kernel
def message_kind(word: int) -> int:
    """Return the `Message` kind."""
    return word >> 60


@kernel
def message_place(word: int) -> int:
    """Return the number of the half, within its link, that the message is for."""
    return (word >> 32) & 0xFFF_FFFF


@kernel
def message_value(word: int) -> int:
    """Return the value."""
    return word & 0xFFFF_FFFF


@kernel
def link_of(engine: Engine, other: int) -> Link:
    """Return the link to another engine."""
    if CHECKED:
        check_index(other, arena_at(base_of(engine)).engine_count)
    return link_at(base_of(engine) + engine.links + other * LINK_SIZE)


@kernel
def other_engine(engine: Engine, other: int) -> Engine:
    """Return the header of another engine: to be read only."""
    arena = arena_at(base_of(engine))
    return engine_at(base_of(engine) + arena.engines + other * arena.engine_stride)


@kernel
def outbound_ring(engine: Engine, link: Link) -> Ring:
    """Return the ring of messages to the other engine."""
    return ring_at(base_of(engine) + link.outbound)


@kernel
def half_of(engine: Engine, number: int) -> Half:
    """Return a half by its number among all of the engine."""
    if CHECKED:
        check_index(number, engine.half_count * arena_at(base_of(engine)).engine_count)
    return half_at(base_of(engine) + engine.halves + number * HALF_SIZE)


@kernel
def engine_of_half(engine: Engine, number: int) -> int:
    """Return the number of the other engine of a half."""
    return number // engine.half_count


@kernel
def place_there(engine: Engine, number: int) -> int:
    """Return the number of the other end's half within its link."""
    place = number % engine.half_count
    opened_here = engine.half_count >> 1
    return place + opened_here if place < opened_here else place - opened_here


@kernel
def take_half(engine: Engine, other: int) -> int:
    """Return the number plus 1 of a fresh half for a virtual connection to open, or 0 if all are taken."""
    link = link_of(engine, other)
    number = link.free_half
    if number:
        half = half_of(engine, number - 1)
        link.free_half = half.next
        half.next = 0
    return number


@kernel
def free_half(engine: Engine, number: int) -> int:
    """Forget a half that neither end has any use for."""
    half = half_of(engine, number)
    clear(address_of(half), HALF_SIZE)
    if number % engine.half_count < engine.half_count >> 1:
        link = link_of(engine, engine_of_half(engine, number))
        half.next = link.free_half
        link.free_half = number + 1
    return 0


@kernel
def is_shared(engine: Engine, vserver: int) -> int:
    """Return 1 if the virtual connections of a vServer's clients carry single requests (`unit: transaction`)."""
    if engine.turns == 0:
        return 0
    return 1 if vserver_of(base_of(engine), vserver).arrival == Arrival.TRANSACTION else 0


@kernel
def is_foreign(engine: Engine, frame: int) -> int:
    """Return 1 if a frame is of another engine's pool."""
    return 1 if frame_meta(base_of(engine), frame).home != engine.index else 0


@kernel
def send_home(engine: Engine, frame: int) -> int:
    """Give a frame back to the engine whose pool it is of. The ring holds all of that pool: it is never full."""
    base = base_of(engine)
    ring_write(ring_at(base + link_of(engine, frame_meta(base, frame).home).home), frame)
    frame_meta(base, frame).owner = IN_TRANSIT
    return 0
