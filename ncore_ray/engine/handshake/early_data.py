"""Data that come with a SYN (TCP Fast Open, RFC 7413): taken before the client has proven to be there, by its cookie.

Departure: what the service answers goes out when the client's acknowledgment has come (§4.2.2 lets a server send it at
once). So a round trip is won wherever the service is as far away as the client, or needs time.
"""

from __future__ import annotations

from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.engine.application import on_events
from ncore_ray.engine.buffer import has_memory
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp.fast_open import has_valid_cookie
from ncore_ray.engine.tcp.receive import Event, advance_receive
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.tcp.state import FastOpen
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import NO_FAST_OPEN


@kernel
def take_early_data(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Take what a SYN brings beside itself; the connection is in SYN-RECEIVED."""
    if engine.fast_open_limit == 0 or packet.fast_open == NO_FAST_OPEN:
        return 0
    if not has_valid_cookie(engine, packet):
        counters_of(engine).fast_open_refused += packet.fast_open > 0
        counters_of(engine).fast_open_cookies += 1
        tcb.fast_open = FastOpen.TELL
        return 0
    if packet.payload_length == 0:
        return 0
    if not _may_take(engine, tcb, packet):
        counters_of(engine).fast_open_refused += 1
        return 0
    return _take(engine, tcb, packet)


@kernel
def _may_take(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """A limit of those that have not answered yet bounds what stolen cookies can do (RFC 7413 §5.1)."""
    if tcb.role != Role.CLIENT or engine.fast_open_pending >= engine.fast_open_limit:
        return 0
    return 1 if packet.length <= FRAME_SIZE and has_memory(engine, packet.payload_length) else 0


@kernel
def _take(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    counters_of(engine).fast_open_taken += 1
    tcb.fast_open = FastOpen.TAKEN
    engine.fast_open_pending += 1
    tcb.rcv_edge = seq_add(tcb.rcv_edge, packet.payload_length)
    advance_receive(engine, tcb, packet.payload_length)
    return on_events(engine, tcb, Event.ESTABLISHED | Event.DATA, packet.payload, packet.payload_length)
