"""The end of the connections that are not whole: their hosts are told, their records are free."""

from __future__ import annotations

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.buffer import chain_init
from ncore_ray.engine.connection import NO_MAC, Role, Tcb, hold_chain, send_chain, tcb_of
from ncore_ray.engine.lifecycle import forget_flow
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.takeover.local import TakeoverLocal, Verdict, verdict_of
from ncore_ray.engine.tcp.segment import send_reset
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.transmit import SPARE_SLOTS, slots_left
from ncore_ray.machine.jit import kernel


@kernel
def free_broken(engine: Engine, local: TakeoverLocal) -> int:
    """Reset the connections that are not whole, and make the list of free ones anew, the first in front."""
    for number in range(engine.connection_count - 1, -1, -1):
        verdict = verdict_of(local, number)
        if verdict == Verdict.WHOLE:
            continue
        tcb = tcb_of(engine, number)
        if verdict == Verdict.BROKEN:
            local.broken += 1
            _reset(engine, tcb)
        _free(engine, tcb, number)
    return 0


@kernel
def _reset(engine: Engine, tcb: Tcb) -> int:
    """Tell both the host and the flow table. A host that hears nothing finds out with its next segment."""
    if tcb.state == TcpState.VIRTUAL:
        return 0
    if tcb.role != Role.SERVER and tcb.role != Role.MONITOR and tcb.role != Role.UDP_SERVER:
        forget_flow(engine, tcb)
    opened = TcpState.SYN_RECEIVED <= tcb.state <= TcpState.LAST_ACK or tcb.state == TcpState.SPLICED
    known = 0 <= tcb.nic < arena_at(base_of(engine)).nic_count and tcb.ports and tcb.remote_mac != NO_MAC
    if opened and known and slots_left(engine) > SPARE_SLOTS:
        send_reset(engine, tcb)
    return 0


@kernel
def _free(engine: Engine, tcb: Tcb, number: int) -> int:
    """Make the record of a connection free; what it held is found by its owner."""
    tcb.role = Role.FREE
    tcb.state = TcpState.CLOSED
    tcb.ports = tcb.peer = tcb.virtual = 0
    tcb.work = tcb.pooled = tcb.busy = tcb.wheel_armed = 0
    chain_init(send_chain(tcb))
    chain_init(hold_chain(tcb))
    tcb.out_of_order = -1
    tcb.out_of_order_count = 0
    tcb.span_block = tcb.span_first = tcb.span_count = tcb.rate_block = 0
    tcb.hash_next = engine.free_connection
    engine.free_connection = number + 1
    return 0
