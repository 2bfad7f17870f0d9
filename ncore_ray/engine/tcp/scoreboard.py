"""What the peer says it holds of the bytes in flight: the sender's side of SACK (RFC 2018, RFC 6675 §3).

It is entered in the list of spans. A block for which there is no room is forgotten, which costs at the most that bytes
are sent again that had arrived.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.rack import note_delivered
from ncore_ray.engine.tcp.sequence import seq_diff, seq_le, seq_lt, seq_min
from ncore_ray.engine.tcp.spans import (
    Mark,
    clear_spans,
    drop_first,
    find_span,
    join_spans,
    make_room,
    marks_of,
    sent_at_of,
    set_span,
    span_end,
    span_of,
    split_span,
)
from ncore_ray.machine.jit import kernel

NO_HOLE: Final = -1
NO_ROOM: Final = -1
_SPLITS: Final = 2
_RESERVE: Final = 4
"""Spans that blocks leave free for what is sent again."""


@kernel
def furthest_arrived(engine: Engine, tcb: Tcb, una: int) -> int:
    """Return the sequence number behind all that is known to have arrived; ``una`` is what was acknowledged."""
    index = tcb.span_count - 1 if tcb.sacked_bytes else -1
    while index >= 0:
        if marks_of(span_of(engine, tcb, index)) & Mark.SACKED:
            return span_end(engine, tcb, index)
        index -= 1
    return una


@kernel
def drop_spans(engine: Engine, tcb: Tcb, furthest: int, echoed_until: int) -> int:
    """Forget what lies before SND.UNA; return how many bytes of it were not known to have arrived."""
    fresh = 0
    while tcb.span_count:
        span = span_of(engine, tcb, 0)
        if seq_le(tcb.snd_una, span.start):
            return fresh
        end = seq_min(span_end(engine, tcb, 0), tcb.snd_una)
        length = seq_diff(end, span.start)
        marks = marks_of(span)
        if marks & Mark.SACKED:
            tcb.sacked_bytes -= length
        else:
            tcb.lost_bytes -= length if marks & Mark.LOST else 0
            note_delivered(engine, tcb, sent_at_of(span), end, marks, furthest, echoed_until)
            fresh += length
        if end != span_end(engine, tcb, 0):
            span.start = end
            return fresh
        drop_first(tcb)
    clear_spans(engine, tcb)
    return fresh


@kernel
def note_sacked(engine: Engine, tcb: Tcb, start: int, end: int, furthest: int, echoed_until: int) -> int:
    """Enter a block within SND.UNA … SND.MAX; return how many of its bytes were not known to have arrived.

    Without room for it: NO_ROOM.
    """
    index = find_span(engine, tcb, start)
    if marks_of(span_of(engine, tcb, index)) & Mark.SACKED and seq_le(end, span_end(engine, tcb, index)):
        return 0  # said before: nearly always all blocks but one
    if not make_room(engine, tcb, _SPLITS + (_RESERVE if tcb.span_block else 0)):
        return NO_ROOM
    first = split_span(engine, tcb, start)
    last = split_span(engine, tcb, end) - 1
    fresh = 0
    for each in range(first, last + 1):
        span = span_of(engine, tcb, each)
        if not marks_of(span) & Mark.SACKED:
            stop = span_end(engine, tcb, each)
            fresh += seq_diff(stop, span.start)
            note_delivered(engine, tcb, sent_at_of(span), stop, marks_of(span), furthest, echoed_until)
            set_span(engine, tcb, each, sent_at_of(span), Mark.SACKED)
    join_spans(engine, tcb, first - 1, last + 1, 0)
    return fresh


@kernel
def in_flight(tcb: Tcb) -> int:
    """Return the bytes between SND.UNA and SND.MAX that are on their way (RFC 6675, `pipe`)."""
    return seq_diff(tcb.snd_max, tcb.snd_una) - tcb.sacked_bytes - tcb.lost_bytes


@kernel
def first_lost(engine: Engine, tcb: Tcb) -> int:
    """Return the number of the first span that is lost and was not sent again, or NO_HOLE."""
    if tcb.lost_bytes:
        for index in range(tcb.span_count):
            if marks_of(span_of(engine, tcb, index)) & Mark.LOST:
                return index
    return NO_HOLE


@kernel
def arrived_before(engine: Engine, tcb: Tcb, at: int) -> int:
    """Return how many bytes from SND.UNA to ``at`` the peer has said to hold."""
    total = 0
    for index in range(tcb.span_count if tcb.sacked_bytes else 0):
        span = span_of(engine, tcb, index)
        if marks_of(span) & Mark.SACKED and seq_lt(span.start, at):
            total += seq_diff(seq_min(span_end(engine, tcb, index), at), span.start)
    return total


@kernel
def past_sacked(engine: Engine, tcb: Tcb, at: int) -> int:
    """Return the first sequence number from ``at`` on, which lies before SND.MAX, that the peer has not."""
    index = find_span(engine, tcb, at)
    return span_end(engine, tcb, index) if marks_of(span_of(engine, tcb, index)) & Mark.SACKED else at


@kernel
def hole_length(engine: Engine, tcb: Tcb, at: int, most: int) -> int:
    """Return how many bytes from ``at`` on, which the peer has not, it has not said to hold, at the most ``most``."""
    if tcb.sacked_bytes == 0:
        return most
    index = find_span(engine, tcb, at) + 1
    while index < tcb.span_count and not marks_of(span_of(engine, tcb, index)) & Mark.SACKED:
        index += 1
    return min(most, seq_diff(span_of(engine, tcb, index).start, at)) if index < tcb.span_count else most
