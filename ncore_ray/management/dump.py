"""Connections as documents, with all that their engines know of them (`ncore flows --dump`)."""

from __future__ import annotations

import time
from typing import Any, Final

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.handover.document import to_document
from ncore_ray.engine.handover.frozen import Refusal
from ncore_ray.engine.handover.run import Handover
from ncore_ray.machine.record import view
from ncore_ray.management.connections import ConnectionRow, list_connections

_TRIES: Final = 50
_PAUSE_S: Final = 0.0005


def dump_flow(array: Bytes, row: ConnectionRow) -> dict[str, Any]:
    """Return a connection and its peer by names, beside the row that people know it by; or why there is none.

    The engine is at work meanwhile. What reads the same twice did not change in between; a flow that never comes to
    rest is given as it was read last, and said to be ``moving``.
    """
    handover = Handover(array)
    found, moving = handover.freeze(row.engine, row.number), True
    for _ in range(_TRIES):
        before, found = found, handover.freeze(row.engine, row.number)
        moving = found != before or found == Refusal.TORN
        if not moving:
            break
        time.sleep(_PAUSE_S)
    if isinstance(found, Refusal):
        return {"summary": row.as_dict(), "refused": found.name.lower().replace("_", " ")}
    return {"summary": row.as_dict(), "moving": moving, "flow": to_document(found)}


def dump_flows(array: Bytes, now: int, limit: int, vserver: str | None = None) -> list[dict[str, Any]]:
    """Return up to ``limit`` flows, each by its client's connection or else by the one that it has."""
    rows = {(row.engine, row.number): row for row in list_connections(array, now, 1 << 30)}
    handover = Handover(array)
    found: list[dict[str, Any]] = []
    for engine in range(view(Arena, array).engine_count):
        for number in handover.flows(engine):
            row = rows.get((engine, number))
            if row is not None and (vserver is None or row.vserver == vserver) and len(found) < limit:
                found.append(dump_flow(array, row))
    return found
