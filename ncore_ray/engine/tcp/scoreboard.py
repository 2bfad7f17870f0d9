"""What the peer says it holds of the bytes in flight: the sender's side of SACK (RFC 2018, RFC 6675 §3, §4).

A few ranges, sorted by sequence number, apart from each other, all within SND.UNA … SND.MAX. Each is one word: its
first sequence number, and its length in the lowest 31 bits. A range that finds no room is forgotten, which costs at the
most that bytes are sent again that had arrived.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt, seq_max, seq_min
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import address_of, offset_of

MAX_RANGES: Final = 8
NO_HOLE: Final = -1
_FIRST: Final = offset_of(Tcb, "sacked_0")
_LENGTH_BITS: Final = 31
_LENGTH_MASK: Final = (1 << _LENGTH_BITS) - 1
_DUPLICATES: Final = 3
"""DupThresh: so many segments, or ranges, beyond a hole say that it is lost (RFC 6675 §4, IsLost)."""


@kernel
def _start(tcb: Tcb, index: int) -> int:
    return load64(address_of(tcb) + _FIRST + 8 * index) >> _LENGTH_BITS


@kernel
def _end(tcb: Tcb, index: int) -> int:
    word = load64(address_of(tcb) + _FIRST + 8 * index)
    return seq_add(word >> _LENGTH_BITS, word & _LENGTH_MASK)


@kernel
def _set(tcb: Tcb, index: int, start: int, end: int) -> int:
    return store64(address_of(tcb) + _FIRST + 8 * index, start << _LENGTH_BITS | seq_diff(end, start))


@kernel
def _shift(tcb: Tcb, first: int, by: int) -> int:
    """Move the ranges from number ``first`` on by some places."""
    count = tcb.sacked_count - first
    for i in range(count):
        source = first + (count - 1 - i if by > 0 else i)
        _set(tcb, source + by, _start(tcb, source), _end(tcb, source))
    tcb.sacked_count += by
    return 0


@kernel
def clear_sacked(tcb: Tcb) -> int:
    """Forget all: a receiver may take back what it said (RFC 2018 §8)."""
    tcb.sacked_count = 0
    tcb.sacked_bytes = 0
    tcb.lost_edge = tcb.snd_una
    return 0


@kernel
def note_sacked(tcb: Tcb, start: int, end: int) -> int:
    """Enter a range within SND.UNA … SND.MAX; return how many of its bytes were not known to have arrived."""
    first = 0
    while first < tcb.sacked_count and seq_lt(_end(tcb, first), start):
        first += 1
    behind = first
    known = 0
    while behind < tcb.sacked_count and seq_le(_start(tcb, behind), end):
        known += seq_diff(_end(tcb, behind), _start(tcb, behind))
        start = seq_min(start, _start(tcb, behind))
        end = seq_max(end, _end(tcb, behind))
        behind += 1
    if behind == first:
        if tcb.sacked_count == MAX_RANGES:
            return 0
        _shift(tcb, first, 1)
    elif behind > first + 1:
        _shift(tcb, behind, first + 1 - behind)
    _set(tcb, first, start, end)
    fresh = seq_diff(end, start) - known
    tcb.sacked_bytes += fresh
    return fresh


@kernel
def drop_sacked(tcb: Tcb) -> int:
    """Forget what lies before SND.UNA; return how many bytes that were."""
    before = tcb.sacked_bytes
    gone = 0
    while gone < tcb.sacked_count and seq_le(_end(tcb, gone), tcb.snd_una):
        tcb.sacked_bytes -= seq_diff(_end(tcb, gone), _start(tcb, gone))
        gone += 1
    if gone:
        _shift(tcb, gone, -gone)
    if tcb.sacked_count and seq_lt(_start(tcb, 0), tcb.snd_una):
        tcb.sacked_bytes -= seq_diff(tcb.snd_una, _start(tcb, 0))
        _set(tcb, 0, tcb.snd_una, _end(tcb, 0))
    return before - tcb.sacked_bytes


@kernel
def judge_lost(tcb: Tcb) -> int:
    """Move `lost_edge`, before which all holes are lost: three ranges, or more than two segments, arrived beyond."""
    beyond = 0
    index = tcb.sacked_count
    while index > 0:
        index -= 1
        beyond += seq_diff(_end(tcb, index), _start(tcb, index))
        if beyond > (_DUPLICATES - 1) * tcb.mss or tcb.sacked_count - index >= _DUPLICATES:
            tcb.lost_edge = seq_max(tcb.lost_edge, _start(tcb, index))
            return 1
    return 0


@kernel
def _holes_between(tcb: Tcb, start: int, end: int) -> int:
    """Return the bytes from ``start`` to ``end`` that are in no range."""
    total = max(seq_diff(end, start), 0)
    for i in range(tcb.sacked_count):
        first, last = seq_max(start, _start(tcb, i)), seq_min(end, _end(tcb, i))
        if total and seq_lt(first, last):
            total -= seq_diff(last, first)
    return total


@kernel
def uncounted(tcb: Tcb) -> int:
    """Return how many bytes from SND.UNA to SND.MAX are not in flight: those that arrived, or are lost and not resent.

    SND.MAX − SND.UNA less this is RFC 6675's `pipe`.
    """
    return tcb.sacked_bytes + _holes_between(tcb, seq_max(tcb.resent_to, tcb.snd_una), tcb.lost_edge)


@kernel
def arrived_before(tcb: Tcb, at: int) -> int:
    """Return how many bytes from SND.UNA to ``at`` lie in ranges."""
    return seq_diff(at, tcb.snd_una) - _holes_between(tcb, tcb.snd_una, at) if tcb.sacked_count else 0


@kernel
def next_hole(tcb: Tcb) -> int:
    """Return the first byte that is lost and was not sent again in this recovery, or NO_HOLE."""
    at = past_sacked(tcb, seq_max(tcb.resent_to, tcb.snd_una))
    return at if seq_lt(at, tcb.lost_edge) else NO_HOLE


@kernel
def past_sacked(tcb: Tcb, at: int) -> int:
    """Return the first sequence number from ``at`` on that lies in no range."""
    for i in range(tcb.sacked_count):
        if seq_le(_start(tcb, i), at) and seq_lt(at, _end(tcb, i)):
            at = _end(tcb, i)
    return at


@kernel
def hole_length(tcb: Tcb, at: int, most: int) -> int:
    """Return how many bytes from ``at`` on, which lies in no range, lie in none, at the most ``most``."""
    for i in range(tcb.sacked_count):
        if seq_lt(at, _start(tcb, i)):
            return min(most, seq_diff(_start(tcb, i), at))
    return most
