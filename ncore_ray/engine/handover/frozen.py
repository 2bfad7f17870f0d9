"""What a frozen flow looks like: a head, then each side as an image of its records and what hangs on them.

    Head | Side, Tcb, Exchange, Body, spans, bytes to send, bytes held, early segments | the same of the peer

Every part takes a multiple of 8 bytes. The layouts of the records are named by a digest: only an engine of the same
source thaws the bytes as they are; `document` writes them down by names.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.arena.layout import records_digest
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.http.exchange import Exchange
from ncore_ray.engine.http.message.body import Body
from ncore_ray.engine.tcp.spans import BLOCK_SPANS, SPAN_SIZE, Span
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of

MAGIC: Final = 0x776F_6C66_6E7A_6F72
VERSION: Final = 1
EARLY_HEAD: Final = 8
"""Bytes at the start of an early segment's frame that hold its sequence number."""
MOST_EARLY: Final = FRAME_SIZE - EARLY_HEAD
"""Bytes of an early segment at the most."""


class Refusal(IntEnum):
    """Why a flow was not frozen, or not thawed."""

    NOT_FOUND = -1
    """There is no such connection."""
    VIRTUAL = -2
    """One of its sides leads to another engine: what lies between the two engines cannot go along."""
    MONITOR = -3
    """A monitor's probe belongs to its engine."""
    TORN = -4
    """What was read does not add up: the engine was at work, or the bytes are damaged."""
    TOO_LONG = -5
    """More bytes than the room that was given."""
    WRONG_VERSION = -6
    """Frozen by another version of this source."""
    NO_CONNECTION = -7
    """The engine has no free connection."""
    NO_MEMORY = -8
    """The engine has too few free frames."""
    KNOWN = -9
    """The engine has a connection with the same addresses and ports."""


class FrozenFlow(Record):
    """Head of a frozen flow."""

    magic: I64
    version: I64
    layout: I64
    """Digest of the records' layouts."""
    size: I64
    """Bytes of all of it."""
    sides: I64
    """1, or 2 with a peer."""
    frozen_at: I64
    """The engine's clock, µs."""
    engine: I64
    """Index of the engine that had it."""


class FrozenSide(Record):
    """Head of one side: what follows its records."""

    spans: I64
    send_bytes: I64
    hold_bytes: I64
    early_count: I64
    """Segments that came too early: each an `EarlySegment` and its bytes."""
    early_bytes: I64
    """Room that they take here, with their heads."""


class EarlySegment(Record):
    """Head of a segment that came too early."""

    sequence: I64
    length: I64


frozen_flow_at = pointer_to(FrozenFlow)
frozen_side_at = pointer_to(FrozenSide)
early_segment_at = pointer_to(EarlySegment)
FLOW_SIZE: Final = size_of(FrozenFlow)
SIDE_SIZE: Final = size_of(FrozenSide)
EARLY_SIZE: Final = size_of(EarlySegment)
EXCHANGE_SIZE: Final = size_of(Exchange)
BODY_SIZE: Final = size_of(Body)
TCB_AT: Final = SIDE_SIZE
EXCHANGE_AT: Final = TCB_AT + size_of(Tcb)
BODY_AT: Final = EXCHANGE_AT + EXCHANGE_SIZE
SPANS_AT: Final = BODY_AT + BODY_SIZE
"""Where a side's spans begin, from the side's start."""
LAYOUT: Final = records_digest([FrozenFlow, FrozenSide, EarlySegment, Tcb, Exchange, Body, Span])


@kernel
def padded(length: int) -> int:
    """Return the bytes that a part of so many takes."""
    return (length + 7) & -8


@kernel
def send_at(side: FrozenSide) -> int:
    """Return where a side's bytes to send lie, from the side's start."""
    return SPANS_AT + side.spans * SPAN_SIZE


@kernel
def hold_at(side: FrozenSide) -> int:
    """Return where the bytes that a side holds lie, from the side's start."""
    return send_at(side) + padded(side.send_bytes)


@kernel
def early_at(side: FrozenSide) -> int:
    """Return where a side's early segments begin, from the side's start."""
    return hold_at(side) + padded(side.hold_bytes)


@kernel
def side_size(side: FrozenSide) -> int:
    """Return the bytes that a side takes."""
    return early_at(side) + side.early_bytes


@kernel
def is_sound(side: FrozenSide, room: int) -> int:
    """Return 1 if a side's lengths are possible and within so many bytes."""
    if room < SPANS_AT or side.spans < 0 or side.spans > BLOCK_SPANS:
        return 0
    if side.send_bytes < 0 or side.hold_bytes < 0 or side.send_bytes > room or side.hold_bytes > room:
        return 0
    if side.early_count < 0 or side.early_bytes < side.early_count * EARLY_SIZE or side.early_bytes > room:
        return 0
    return 1 if side_size(side) <= room else 0
