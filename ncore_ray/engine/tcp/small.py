"""Small segments of proxied streams may wait for company: Nagle's algorithm (RFC 9293 §3.7.4), and a cork with a time.

Neither does by default: who proxies a stream cannot know whether somebody waits for its last bytes, and what arrives
within one breath goes out together anyway. HTTP never waits: its messages have an end.
"""

from __future__ import annotations

from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.tcp.state import Wait
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import VserverProtocol, vserver_of


@kernel
def forget_wait(engine: Engine, tcb: Tcb) -> int:
    """Before output is tried again: whether it has to wait is seen anew, but for a cork whose time is over."""
    if tcb.pace_waits == Wait.PACED:
        tcb.pace_waits = Wait.NONE
    elif tcb.pace_waits == Wait.CORKED and engine.now >= tcb.pace_at:
        tcb.pace_waits = Wait.CORK_OVER
    return 0


@kernel
def waits_for_company(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if a segment that is smaller than it could be is not to go out yet."""
    if not _is_stream(engine, tcb):
        return 0
    if engine.nagle and tcb.snd_nxt != tcb.snd_una:
        return 1
    if engine.cork_us == 0 or tcb.pace_waits == Wait.CORK_OVER:
        return 0
    if tcb.pace_waits != Wait.CORKED:
        tcb.pace_waits = Wait.CORKED
        tcb.pace_at = max(tcb.pace_at, engine.now + engine.cork_us)
    return 1


@kernel
def _is_stream(engine: Engine, tcb: Tcb) -> int:
    if tcb.role != Role.CLIENT and tcb.role != Role.SERVER:
        return 0
    return 1 if vserver_of(base_of(engine), tcb.vserver).protocol == VserverProtocol.TCP else 0
