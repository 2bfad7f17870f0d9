"""What the rows of the arena's tables are called at the moment: they change while the appliance runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.machine.record import table, view
from ncore_ray.management.numbers import Numbers, summed
from ncore_ray.tables.service import RowState, Service, Vserver
from ncore_ray.tables.settings import Settings


@dataclass(frozen=True)
class Row:
    """A row that is not free."""

    number: int
    name: str
    draining: bool
    """It is configured no more."""


def service_rows(array: Bytes) -> list[Row]:
    """Return the rows of services, in the order of their numbers."""
    arena = view(Arena, array)
    return _rows(array, Service, arena.services + arena.bank, arena.service_count)


def vserver_rows(array: Bytes) -> list[Row]:
    """Return the rows of vServers, in the order of their numbers."""
    arena = view(Arena, array)
    return _rows(array, Vserver, arena.vservers + arena.bank, arena.vserver_count)


def _rows(array: Bytes, record: Any, start: int, count: int) -> list[Row]:
    texts, found = view(Arena, array).texts, table(record, array, start, count)
    rows = []
    for number in np.flatnonzero(found["state"] != RowState.FREE):
        first = texts + int(found["name"][number])
        name = array[first : first + int(found["name_length"][number])].tobytes().decode("latin-1")
        rows.append(Row(int(number), name, bool(found["state"][number] == RowState.DRAINING)))
    return rows


class RowNames:
    """Names by row, for those who look up many: read anew when the configuration has changed."""

    def __init__(self, array: Bytes) -> None:
        self._array = array
        self._epoch = 0
        self._vservers: dict[int, str] = {}
        self._services: dict[int, str] = {}

    def refresh(self) -> None:
        """Read the names again if there is a new configuration."""
        arena = view(Arena, self._array)
        epoch = view(Settings, self._array, arena.settings + arena.bank).epoch
        if epoch != self._epoch:
            self._vservers, self._services = map(names_by_row, (vserver_rows(self._array), service_rows(self._array)))
            self._epoch = epoch

    def vserver(self, number: int) -> str:
        """Return the name of a vServer."""
        return self._vservers.get(number, "?")

    def service(self, number: int) -> str:
        """Return the name of a service."""
        return self._services.get(number, "?")


def names_by_row(rows: Iterable[Row]) -> dict[int, str]:
    """Return the name of each row."""
    return {row.number: row.name for row in rows}


def active(rows: Iterable[Row]) -> dict[str, int]:
    """Return the rows of what is configured, by name."""
    return {row.name: row.number for row in rows if not row.draining}


def by_name(rows: Iterable[Row], values: Sequence[Numbers]) -> dict[str, Numbers]:
    """Return the counters of what is configured: those of a namesake that drains are added to them."""
    found = list(rows)
    return {name: summed(values[row.number] for row in found if row.name == name) for name in active(found)}
