"""What a take-over needs of its own process: verdicts, claims, and what comes of it."""

from __future__ import annotations

from enum import IntEnum

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load32, store8, store32
from ncore_ray.machine.record import I64, Record, pointer_to


class Verdict(IntEnum):
    """What a successor thinks of a connection."""

    FREE = 0
    WHOLE = 1
    BROKEN = 2
    """It was being changed, or its peer was, or it does not add up: it is reset."""


class TakeoverLocal(Record):
    """Private to the successor's process."""

    verdicts: I64
    """Address of a byte for each connection."""
    claims: I64
    """Address of 32 bits for each frame of the arena: number plus 1 of the connection that holds it, or 0."""
    order: I64
    """Address of 32-bit numbers of all connections, in the order in which they enter lists that have one."""
    blocks: I64
    """Address of a byte for each block of spans: 1 if a connection holds it."""
    last_at: I64
    """The clock of the breath that was the last, µs."""
    whole: I64
    broken: I64
    unmarked: I64
    """Of the broken ones, those that do not add up though nothing said that they were being changed: a defect."""
    freed_frames: I64
    """Of the engine's pool, after all: free."""
    dropped_packets: I64
    """Received packets that were being processed."""
    waiting_again: I64
    """Packets that the engine was distributing, and which wait once more."""


takeover_local_at = pointer_to(TakeoverLocal)


@kernel
def verdict_of(local: TakeoverLocal, number: int) -> int:
    """Return the `Verdict` on a connection."""
    return load8(local.verdicts + number)


@kernel
def judge(local: TakeoverLocal, number: int, verdict: int) -> int:
    """Note the `Verdict` on a connection."""
    return store8(local.verdicts + number, verdict)


@kernel
def claim_of(local: TakeoverLocal, frame: int) -> int:
    """Return the number plus 1 of the connection that holds a frame, or 0."""
    return load32(local.claims + 4 * frame)


@kernel
def claim(local: TakeoverLocal, frame: int, number: int) -> int:
    """Note that a connection holds a frame."""
    return store32(local.claims + 4 * frame, number + 1)


@kernel
def is_block_claimed(local: TakeoverLocal, block: int) -> int:
    """Return 1 if a connection holds a block of spans."""
    return load8(local.blocks + block)


@kernel
def claim_block(local: TakeoverLocal, block: int) -> int:
    """Note that a connection holds a block of spans; return 0 if another one does."""
    if is_block_claimed(local, block):
        return 0
    store8(local.blocks + block, 1)
    return 1
