"""All record layouts of an arena: an actor refuses to attach to one that was made with others."""

from __future__ import annotations

from typing import Any, Final

from ncore_ray.arena.core import Core
from ncore_ray.arena.frame import FrameMeta
from ncore_ray.arena.header import Arena, Region
from ncore_ray.arena.layout import records_digest
from ncore_ray.arena.lease import Lease
from ncore_ray.arena.ring import Ring
from ncore_ray.engine.access.notes import RequestNote, ResponseNote
from ncore_ray.engine.access.ring import NoteRing
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.counters import EngineCounters, ServiceStats, VserverStats
from ncore_ray.engine.http.exchange import ErrorText, Exchange
from ncore_ray.engine.http.message.body import Body
from ncore_ray.engine.ip.paths import PathMtu
from ncore_ray.engine.latency.histogram import Latency
from ncore_ray.engine.pacing import Pace
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.remote.link import Half, Link
from ncore_ray.flow.distributor import FLOW_RECORDS
from ncore_ray.nic.direct import Piece, Slot
from ncore_ray.nic.partition import PARTITION_RECORDS
from ncore_ray.tables.neighbour import Neighbour
from ncore_ray.tables.nic import Nic
from ncore_ray.tables.own_address import OwnAddress
from ncore_ray.tables.route import Route
from ncore_ray.tables.service import Binding, Service, Vserver, Watch
from ncore_ray.tables.settings import Settings

_RECORDS: Final[list[Any]] = [
    *(Arena, Region, Core, Ring, FrameMeta, Nic, OwnAddress, Route, Neighbour, Vserver, Binding, Service),
    *(Engine, Tcb, EngineCounters, VserverStats, ServiceStats, Exchange, Body, ErrorText, Pace, Slot, Piece),
    *(Link, Half, NoteRing, RequestNote, ResponseNote, Watch, Settings, Lease, Latency, PathMtu),
    *FLOW_RECORDS,
    *PARTITION_RECORDS,
]


def digest() -> int:
    """Return the digest of all record layouts of an arena."""
    return records_digest(_RECORDS)
