"""Who manages the appliance: one word in the arena, which only one process at a time can have changed last.

Behind the record lie what the one at work writes for its successor: its events and its notebook. See
`ncore_ray/office`.
"""

from __future__ import annotations

from enum import IntEnum

from ncore_ray.machine.atomic import compare_exchange
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import CACHE_LINE, I64, Record, size_of


class Tenure(IntEnum):
    """How far the management at work is."""

    NONE = 0
    """The appliance is being built."""
    TAKING_OVER = 1
    SERVING = 2
    CLOSED = 3
    """The appliance is taken down: nobody takes over any more."""


class Telling(IntEnum):
    """How a core tells the management its counters."""

    NOT = 0
    """The management reads shared memory."""
    ASKED = 1
    UNASKED = 2
    """Once in a period."""


class Lease(Record):
    """The lease, and where the notes of its holder are."""

    word: I64
    """Number of the lease: 0 before the first one. Who makes n of n − 1 by compare-and-swap manages the appliance."""
    tenure: I64
    """`Tenure`"""
    process: I64
    """Of the holder, on its node."""
    thread: I64
    """Of the holder: that which renews."""
    renewed_at: I64
    """µs"""
    waiting: I64
    """Process of the one that waits, or 0."""
    notes: I64
    """Which slot of the notebook holds, and how many bytes: length · 2 + slot."""
    slot_size: I64
    """Bytes of a slot of the notebook."""

    events: I64
    """Bytes that were ever written to the journal of events, a ring."""
    journal_size: I64
    telling: I64
    """`Telling`: how cores tell their counters."""
    telling_us: I64
    """Unasked: from one report to the next."""
    pad_0: I64
    pad_1: I64
    pad_2: I64
    pad_3: I64


LEASE_SIZE = size_of(Lease)
assert LEASE_SIZE % CACHE_LINE == 0


@entry_kernel
def claim(word: int, expected: int) -> int:
    """Control code: make the lease's word at an address one more than expected; return 1 if it was as expected."""
    return compare_exchange(word, expected, expected + 1)
