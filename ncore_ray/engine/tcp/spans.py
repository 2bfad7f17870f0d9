"""What is in flight, when it was sent, and what is known of it: a list of spans of sequence numbers (RFC 8985 §5.2).

The spans follow each other from SND.UNA to SND.MAX without a gap, so each needs only its beginning. What is sent behind
SND.MAX within a small part of a round trip joins the last one: as long as nothing is lost, some thirty describe all
that is in flight however large the window is, and most acknowledgments and sendings touch one of them.

Two spans lie in the connection. A third takes a block from the engine's own pool, which goes back when nothing is in
flight any more. Without a free block, or with a full one, spans are joined: then less is known, and repair is slower.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import check_index
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.blocks import BLOCK_SIZE, block_address, free_block, take_block
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_lt
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import copy, move
from ncore_ray.machine.record import I64, Record, address_of, offset_of, pointer_to, size_of


class Mark(IntEnum):
    """What is known of a span (bits)."""

    NONE = 0
    SACKED = 1
    """The peer has said to hold it."""
    LOST = 2
    """And not sent again."""
    RESENT = 4
    """Sent more than once."""


class Span(Record):
    """Bytes that follow each other and have one fate."""

    start: I64
    """First sequence number; it ends where the next span begins, the last one at SND.MAX."""
    mark: I64
    """When it was sent last, µs << 3, and `Mark` bits."""


span_at = pointer_to(Span)
SPAN_SIZE: Final = size_of(Span)
OWN_SPANS: Final = 2
BLOCK_SPANS: Final = BLOCK_SIZE // SPAN_SIZE
_OWN: Final = offset_of(Tcb, "own_spans")
_MARK_BITS: Final = 3
_MARKS: Final = (1 << _MARK_BITS) - 1
GROUP_SHIFT: Final = 3 + 5
"""What is sent within a 32nd of the smoothed round-trip time (which is scaled by 8) may join one span …"""
_CONDENSED_SHIFT: Final = 3 + 3
"""… and within an eighth of it where there is no room."""


@kernel
def span_of(engine: Engine, tcb: Tcb, index: int) -> Span:
    """Return a span by its number, in the order of sequence numbers."""
    if CHECKED:
        check_index(index, tcb.span_count)
    return span_at(_address(engine, tcb, index))


@kernel
def _address(engine: Engine, tcb: Tcb, index: int) -> int:
    return _storage(engine, tcb) + (tcb.span_first + index) * SPAN_SIZE


@kernel
def _storage(engine: Engine, tcb: Tcb) -> int:
    if tcb.span_block:
        return block_address(engine, tcb.span_block)
    return address_of(tcb) + _OWN


@kernel
def spans_address(engine: Engine, tcb: Tcb) -> int:
    """Return the address of a connection's first span; the others follow it."""
    return _storage(engine, tcb) + tcb.span_first * SPAN_SIZE


@kernel
def span_end(engine: Engine, tcb: Tcb, index: int) -> int:
    """Return the sequence number behind a span."""
    return span_of(engine, tcb, index + 1).start if index + 1 < tcb.span_count else tcb.snd_max


@kernel
def marks_of(span: Span) -> int:
    """Return a span's `Mark` bits."""
    return span.mark & _MARKS


@kernel
def sent_at_of(span: Span) -> int:
    """Return when a span was sent last, µs."""
    return span.mark >> _MARK_BITS


@kernel
def set_span(engine: Engine, tcb: Tcb, index: int, sent_at: int, marks: int) -> int:
    """Change what is known of a span; the counts of bytes follow."""
    span = span_of(engine, tcb, index)
    length = seq_diff(span_end(engine, tcb, index), span.start)
    changed = marks_of(span) ^ marks
    if changed & Mark.SACKED:
        tcb.sacked_bytes += length if marks & Mark.SACKED else -length
    if changed & Mark.LOST:
        tcb.lost_bytes += length if marks & Mark.LOST else -length
    span.mark = sent_at << _MARK_BITS | marks
    return 0


@kernel
def find_span(engine: Engine, tcb: Tcb, sequence: int) -> int:
    """Return the number of the span that holds a sequence number within SND.UNA … SND.MAX."""
    index = tcb.span_count - 1
    while index > 0 and seq_lt(sequence, span_of(engine, tcb, index).start):
        index -= 1
    return index


@kernel
def make_room(engine: Engine, tcb: Tcb, wanted: int) -> int:
    """Return 1 if there is room for so many more spans; spans may be joined for that, and change their numbers."""
    room = BLOCK_SPANS if tcb.span_block else OWN_SPANS
    if tcb.span_first + tcb.span_count + wanted <= room:
        return 1
    if tcb.span_first:
        storage = _storage(engine, tcb)
        move(storage, storage + tcb.span_first * SPAN_SIZE, tcb.span_count * SPAN_SIZE)
        tcb.span_first = 0
    if tcb.span_count + wanted <= room or (tcb.span_block == 0 and move_to_block(engine, tcb)):
        return 1
    join_spans(engine, tcb, 0, tcb.span_count - 1, tcb.srtt >> _CONDENSED_SHIFT)
    return 1 if tcb.span_count + wanted <= room else 0


@kernel
def move_to_block(engine: Engine, tcb: Tcb) -> int:
    """Move a connection's own spans to a block of the pool, if one is free."""
    number = take_block(engine)
    if number == 0:
        return 0
    copy(block_address(engine, number), address_of(tcb) + _OWN, OWN_SPANS * SPAN_SIZE)
    tcb.span_block = number
    return 1


@kernel
def clear_spans(engine: Engine, tcb: Tcb) -> int:
    """Forget all spans, and give the block back.

    Where this process dies on the way the block is in no list any more, but never in two.
    """
    number = tcb.span_block
    tcb.span_block = 0
    if number:
        free_block(engine, number)
    tcb.span_first = 0
    tcb.span_count = 0
    tcb.sacked_bytes = 0
    tcb.lost_bytes = 0
    return 0


@kernel
def forget_marks(engine: Engine, tcb: Tcb) -> int:
    """Know nothing of the bytes in flight but that they were sent once, when the first of them were.

    A connection whose spans find no room at all goes on like this: what the peer holds it has to say once more.
    """
    span = span_at(spans_address(engine, tcb))
    tcb.span_count = 1
    span.start = tcb.snd_una
    span.mark = sent_at_of(span) << _MARK_BITS
    tcb.sacked_bytes = 0
    tcb.lost_bytes = 0
    return 0


@kernel
def drop_first(tcb: Tcb) -> int:
    """Take away the first span, whose bytes are counted nowhere any more."""
    tcb.span_first += 1
    tcb.span_count -= 1
    return 0


@kernel
def split_span(engine: Engine, tcb: Tcb, sequence: int) -> int:
    """Let a span begin at a sequence number; return its number. There is room for one, unless one begins there."""
    if sequence == tcb.snd_max:
        return tcb.span_count
    index = find_span(engine, tcb, sequence)
    span = span_of(engine, tcb, index)
    if span.start == sequence:
        return index
    after = _address(engine, tcb, index + 1)
    move(after + SPAN_SIZE, after, (tcb.span_count - 1 - index) * SPAN_SIZE)
    tcb.span_count += 1
    second = span_of(engine, tcb, index + 1)
    second.start = sequence
    second.mark = span.mark
    return index + 1


@kernel
def _may_join(engine: Engine, tcb: Tcb, index: int, span_us: int) -> int:
    """Return 1 if a span and the next one need not be told apart."""
    first = span_of(engine, tcb, index)
    second = span_of(engine, tcb, index + 1)
    if marks_of(first) != marks_of(second):
        return 0
    if marks_of(first) & (Mark.SACKED | Mark.LOST):
        return 1  # when they were sent does not matter any more
    apart = sent_at_of(second) - sent_at_of(first)
    return 1 if 0 <= apart <= span_us else 0


@kernel
def join_spans(engine: Engine, tcb: Tcb, first: int, last: int, span_us: int) -> int:
    """Join neighbours among the spans from one number to another that need not be told apart."""
    index = max(first, 0)
    last = min(last, tcb.span_count - 1)
    while index < last:
        if _may_join(engine, tcb, index, span_us):
            behind = _address(engine, tcb, index + 2)
            move(behind - SPAN_SIZE, behind, (tcb.span_count - 2 - index) * SPAN_SIZE)
            tcb.span_count -= 1
            last -= 1
        else:
            index += 1
    return 0


@kernel
def _note_new(engine: Engine, tcb: Tcb) -> int:
    """Note that what lies behind SND.MAX is sent now."""
    count = tcb.span_count
    if count:
        last = span_of(engine, tcb, count - 1)
        if marks_of(last) == Mark.NONE and engine.now - sent_at_of(last) <= tcb.srtt >> GROUP_SHIFT:
            return 0
        if not make_room(engine, tcb, 1):
            index = tcb.span_count - 1
            marked = marks_of(span_of(engine, tcb, index))
            return set_span(engine, tcb, index, engine.now, Mark.NONE) if marked else 0
    tcb.span_count += 1
    span = span_of(engine, tcb, tcb.span_count - 1)
    span.start = tcb.snd_max
    span.mark = engine.now << _MARK_BITS
    return 0


@kernel
def _moves_boundary(engine: Engine, tcb: Tcb, start: int, end: int) -> int:
    """Without room: let what is sent again join what was before it, so that the rest stays lost; return 0 if it cannot.

    So a connection with nothing but its own two spans still sends all again after a time-out, one after the other.
    """
    index = find_span(engine, tcb, start)
    span = span_of(engine, tcb, index)
    if span.start != start or not seq_lt(end, span_end(engine, tcb, index)) or marks_of(span) & Mark.SACKED:
        return 0
    if index == 0:
        if not make_room(engine, tcb, 1):
            return 0
        split_span(engine, tcb, end)
        set_span(engine, tcb, 0, engine.now, Mark.RESENT)
        return 1
    before = span_of(engine, tcb, index - 1)
    if marks_of(before) != Mark.RESENT:
        return 0
    if marks_of(span) & Mark.LOST:
        tcb.lost_bytes -= seq_diff(end, start)
    span.start = end
    return set_span(engine, tcb, index - 1, engine.now, Mark.RESENT) + 1


@kernel
def _note_again(engine: Engine, tcb: Tcb, start: int, end: int) -> int:
    """Note that bytes in flight are sent again; without room the whole spans that hold them seem to be."""
    if make_room(engine, tcb, 2):
        first = split_span(engine, tcb, start)
        last = split_span(engine, tcb, end) - 1
    elif _moves_boundary(engine, tcb, start, end):
        return 0
    else:
        first = find_span(engine, tcb, start)
        last = find_span(engine, tcb, seq_add(end, -1))
    for index in range(first, last + 1):
        if not marks_of(span_of(engine, tcb, index)) & Mark.SACKED:
            set_span(engine, tcb, index, engine.now, Mark.RESENT)
    return join_spans(engine, tcb, first - 1, last + 1, tcb.srtt >> GROUP_SHIFT)


@kernel
def note_sent(engine: Engine, tcb: Tcb, sequence: int, length: int) -> int:
    """Note that bytes are sent now; SND.MAX is still the one before."""
    if sequence == tcb.snd_max:
        return _note_new(engine, tcb)
    known = seq_diff(tcb.snd_max, sequence)
    return _note_again(engine, tcb, sequence, seq_add(sequence, min(length, known)))
