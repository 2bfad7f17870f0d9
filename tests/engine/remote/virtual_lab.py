"""What the tests of virtual connections have in common."""

from __future__ import annotations

from typing import Final

from tests.support.http_lab import HttpLab
from tests.support.tcp_peer import Peer

FUNCTIONAL: Final = "parallelism: functional"
"""Engine 0 terminates the TCP of clients, the others serve them."""


def joined(lab: HttpLab) -> tuple[Peer, Peer]:
    """Return a client of a TCP vServer and the server that it was connected with."""
    client = lab.client().connect()
    return client, lab.servers[0].accept()


def count(lab: HttpLab, name: str) -> list[int]:
    """Return a counter of every engine."""
    return [getattr(lab.counters(engine), name) for engine in lab.engine_indexes]


def owners_in_use(lab: HttpLab) -> int:
    """Return how many frames of all engines' pools are in use: in chains, in rings, or on their way home."""
    return sum(lab.engine(engine).frame_count - lab.engine(engine).free_frame_count for engine in lab.engine_indexes)
