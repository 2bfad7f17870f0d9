"""Where the office lies in the arena: a region of its own with the lease, the journal and the notebook."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.layout import Bytes, Layout, read_regions
from ncore_ray.arena.lease import LEASE_SIZE, Lease
from ncore_ray.machine.record import view

_REGION: Final = "management"
_JOURNAL: Final = 128 << 10
_GRAIN: Final = 4 << 10
_SLOT: Final = 96 << 10
_SLOT_OF_ROW: Final = 48
"""Bytes for each service and vServer: compressed, their configuration takes less."""


def _sizes(rows: int, memory: int) -> tuple[int, int]:
    """Return the bytes of the journal and of a slot; of what is more than they need, the journal gets the half."""
    slot = _SLOT + _SLOT_OF_ROW * rows
    more = max(memory - (LEASE_SIZE + _JOURNAL + 2 * slot), 0) // _GRAIN * _GRAIN
    return _JOURNAL + more // 2, slot + more // 4


def plan_office(layout: Layout, rows: int, memory: int = 0) -> None:
    """Reserve the region.

    Args:
        layout: the arena's.
        rows: how many services and vServers there may be.
        memory: bytes that are asked for; it is never less than what they need.
    """
    journal, slot = _sizes(rows, memory)
    layout.reserve(_REGION, LEASE_SIZE + journal + 2 * slot)


def init_office(array: Bytes, rows: int, memory: int = 0) -> None:
    """Write the sizes into the zeroed region."""
    lease = lease_of(array)
    lease.journal_size, lease.slot_size = _sizes(rows, memory)


def start_of(array: Bytes) -> int:
    """Return where the region begins."""
    return read_regions(array)[_REGION].offset


def lease_of(array: Bytes) -> Lease:
    """Return the live record of the lease."""
    return view(Lease, array, start_of(array))


def journal_of(array: Bytes) -> Bytes:
    """Return the bytes of the journal, a ring."""
    start = start_of(array) + LEASE_SIZE
    return array[start : start + lease_of(array).journal_size]


def slot_of(array: Bytes, number: int) -> Bytes:
    """Return the bytes of a slot of the notebook."""
    lease = lease_of(array)
    start = start_of(array) + LEASE_SIZE + lease.journal_size + number * lease.slot_size
    return array[start : start + lease.slot_size]
