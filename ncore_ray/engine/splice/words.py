"""What a side of a spliced pair keeps beside the fields of a connection.

These fields mean what they mean for a TCP of our own, seen from between the ends: `rcv_nxt` is the number behind the
last byte that the host has sent, `rcv_edge` up to where the other side's window lets it send, `snd_una` what it has
acknowledged, `snd_max` the number behind the last byte that was passed on to it, `snd_wnd` its window, `mss` the
largest payload that it was said to take, options not counted, `ts_recent` the timestamp of its SYN, `snd_scale` the
scale of its windows and `rcv_scale` that of the windows which it is told.
"""

from __future__ import annotations

from ncore_ray.engine.connection import CONTROL_OFFSET, Tcb
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, address_of, pointer_to


class SpliceWords(Record):
    """They lie over the words of the congestion control, of which a spliced connection has none."""

    sequence_shift: I64
    """What is added, modulo 2³², to the numbers of this host's bytes on their way to the other side …"""
    timestamp_shift: I64
    """… and to its timestamps."""
    ended: I64
    """1: its FIN has been passed on."""
    doubted: I64
    """1: a reset from here was passed on that the other side may have refused: if nobody says more, it was right."""


splice_words_at = pointer_to(SpliceWords)


@kernel
def words_of(tcb: Tcb) -> SpliceWords:
    """Return the words of one side of a spliced pair."""
    return splice_words_at(address_of(tcb) + CONTROL_OFFSET)
