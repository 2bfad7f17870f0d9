"""Selective acknowledgments: the receiver's side of SACK (RFC 2018 §4) and of duplicate SACK (RFC 2883).

The queue of early segments says what blocks there are. Four words of the connection say which of them to name first:
each holds the first byte of a segment of another block, that of the latest segment first.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import frame_meta
from ncore_ray.engine.buffer import NO_FRAME
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.tcp.reassembly import early_length, early_sequence
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt, seq_max
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32, load32be, store32, store32be
from ncore_ray.machine.record import address_of, offset_of
from ncore_ray.wire.tcp import MAX_SACK_BLOCKS, SACK_BLOCK, write_sack_option

_EARLY: Final = offset_of(Tcb, "early_0")
_LENGTH_BITS: Final = 31
_LENGTH_MASK: Final = (1 << _LENGTH_BITS) - 1
_NO_BLOCK: Final = -1


@kernel
def note_duplicate(tcb: Tcb, sequence: int, length: int) -> int:
    """Note bytes that arrived once more, for the next acknowledgment."""
    if tcb.sack_permitted and length > 0:
        tcb.duplicate_range = sequence << _LENGTH_BITS | length
    return 0


@kernel
def _block_of(engine: Engine, tcb: Tcb, sequence: int) -> int:
    """Return the block of early bytes that holds one (first byte << 31 | length), or _NO_BLOCK."""
    frame = tcb.out_of_order
    while frame != NO_FRAME:
        start = early_sequence(engine, frame)
        end = seq_add(start, early_length(engine, frame))
        frame = frame_meta(base_of(engine), frame).next
        while frame != NO_FRAME and seq_le(early_sequence(engine, frame), end):
            end = seq_max(end, seq_add(early_sequence(engine, frame), early_length(engine, frame)))
            frame = frame_meta(base_of(engine), frame).next
        if seq_le(start, sequence) and seq_lt(sequence, end):
            return start << _LENGTH_BITS | seq_diff(end, start)
    return _NO_BLOCK


@kernel
def _early(tcb: Tcb, index: int) -> int:
    return load32(address_of(tcb) + _EARLY + 4 * index)


@kernel
def note_early(engine: Engine, tcb: Tcb, sequence: int) -> int:
    """Note that the latest early segment begins at ``sequence``: its block is named first from now on."""
    block = _block_of(engine, tcb, sequence)
    start, length = block >> _LENGTH_BITS, block & _LENGTH_MASK
    moving = sequence
    for i in range(MAX_SACK_BLOCKS):
        before = _early(tcb, i)
        store32(address_of(tcb) + _EARLY + 4 * i, moving)
        if block == _NO_BLOCK or 0 <= seq_diff(before, start) < length:
            return 0  # the word that named this block makes room
        moving = before
    return 0


@kernel
def has_blocks(tcb: Tcb) -> int:
    """Return 1 if an acknowledgment has more to say than its number."""
    return 1 if tcb.sack_permitted and (tcb.out_of_order != NO_FRAME or tcb.duplicate_range) else 0


@kernel
def _write_block(target: int, block: int) -> int:
    start = block >> _LENGTH_BITS
    store32be(target, start)
    store32be(target + 4, seq_add(start, block & _LENGTH_MASK))
    return SACK_BLOCK


@kernel
def _is_named(first: int, end: int, start: int) -> int:
    while first < end:
        if load32be(first) == start:
            return 1
        first += SACK_BLOCK
    return 0


@kernel
def write_blocks(engine: Engine, tcb: Tcb, target: int) -> int:
    """Write the option with up to four blocks, a duplicate first, the latest next; return its length in bytes."""
    most = MAX_SACK_BLOCKS - 1 if tcb.timestamps else MAX_SACK_BLOCKS
    first = target + 4
    at = first
    if tcb.duplicate_range:
        at += _write_block(at, tcb.duplicate_range)
        tcb.duplicate_range = 0
        first = at  # what follows may be the block that holds it (RFC 2883 §4)
    for i in range(MAX_SACK_BLOCKS):
        if at == target + 4 + most * SACK_BLOCK or tcb.out_of_order == NO_FRAME:
            break
        block = _block_of(engine, tcb, _early(tcb, i))
        if block != _NO_BLOCK and not _is_named(first, at, block >> _LENGTH_BITS):
            at += _write_block(at, block)
    if at == target + 4:
        return 0
    write_sack_option(target, (at - target) // SACK_BLOCK)
    return at - target
