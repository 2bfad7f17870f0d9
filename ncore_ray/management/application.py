"""Which engine serves a client, where that need not be the one that terminates its TCP."""

from __future__ import annotations

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.config.model import VServer
from ncore_ray.engine.remote.explain import engine_of_client
from ncore_ray.errors import NcoreError
from ncore_ray.flow.scaling import engines_of_new_flows
from ncore_ray.machine.record import size_of, view
from ncore_ray.management.directory import active, vserver_rows
from ncore_ray.tables.service import Arrival
from ncore_ray.tables.service import Vserver as VserverRecord
from ncore_ray.wire.address import words_of


def application_of(
    array: Bytes, vserver: VServer, transport: int, source: str, source_port: int
) -> tuple[int | None, str]:
    """Return the engine that serves a new client whose packets come to an engine, and why; None: its request says it.

    The kernels that decide it are asked. Raises NcoreError when the vServer has been removed.
    """
    arena, number = view(Arena, array), active(vserver_rows(array)).get(vserver.name)
    if number is None:
        raise NcoreError(f"vserver {vserver.name} takes no new clients")
    record = view(VserverRecord, array, arena.vservers + arena.bank + number * size_of(VserverRecord))
    if vserver.key is not None and record.arrival == Arrival.KEY:
        what = f"{vserver.key.kind} {vserver.key.name} of its first request"
        return None, f"the engine that the {what} names, or engine {transport} if there is none"
    if record.arrival == Arrival.TRANSACTION:
        engines = [str(engine) for engine in engines_of_new_flows(array) if record.engines >> engine & 1]
        return None, f"for each request the next of the engines {', '.join(engines)} (unit transaction, round robin)"
    if record.arrival == Arrival.DIRECT or record.engines >> transport & 1:
        return transport, f"engine {transport}, which serves what comes to it"
    ends = (*words_of(source), *words_of(str(vserver.address.address)), source_port, vserver.address.port)
    engine = int(engine_of_client(array.ctypes.data, record.engines, *ends))
    return engine, f"engine {engine}, by a keyed hash of the client's addresses and ports"
