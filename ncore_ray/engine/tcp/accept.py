"""How many clients a vServer has, and may have, at this engine."""

from __future__ import annotations

from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.partition import Engine, base_of, vserver_stats
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of


@kernel
def takes_no_more(engine: Engine, vserver: int) -> int:
    """Return 1 if a vServer has as many connections, handshakes under way not counted, as it may."""
    limit = vserver_of(base_of(engine), vserver).connection_limit
    stats = vserver_stats(engine, vserver)
    return 1 if limit and stats.connections - stats.half_open >= limit else 0


@kernel
def is_full(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if a client whose handshake ends now would be one too many."""
    return takes_no_more(engine, tcb.vserver) if tcb.role != Role.SERVER and tcb.role != Role.MONITOR else 0
