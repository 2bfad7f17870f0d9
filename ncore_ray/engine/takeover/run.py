"""The door to a take-over: the kernel, and what control code does around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncore_ray.arena.core import Stage, core_of
from ncore_ray.arena.header import Arena, arena_at
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.recover import finish_homes
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.counters import EngineCounters
from ncore_ray.engine.partition import Engine, base_of, engine_at
from ncore_ray.engine.takeover.audit import judge_all
from ncore_ray.engine.takeover.broken import free_broken
from ncore_ray.engine.takeover.links import rebuild_halves, settle_links
from ncore_ray.engine.takeover.local import TakeoverLocal, takeover_local_at
from ncore_ray.engine.takeover.rebuild import enter_all, forget_derived, free_unclaimed, free_unclaimed_blocks
from ncore_ray.engine.takeover.rings import settle_inbound, settle_offer, settle_transmit
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.flow.repair import recover_queues, repair_table
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import dtype_of, new, table, view


@entry_kernel
def take_over_kernel(engine_address: int, local_address: int, now: int) -> int:
    """Make the partition of an engine that has died whole again; return how many connections live on.

    If this process dies in the middle of it, the next one finds the marks as they were and begins anew.
    """
    engine = engine_at(engine_address)
    local = takeover_local_at(local_address)
    base = base_of(engine)
    core_of(base, engine.actor).stage = Stage.REBUILD
    local.last_at = engine.now
    settle_offer(engine)
    settle_inbound(engine, local)
    settle_transmit(engine)
    if arena_at(base).decides_itself:
        local.waiting_again = recover_queues(base, engine.index)
    finish_homes(base, engine.actor)
    judge_all(engine, local)
    if engine.links:
        settle_links(engine)
    forget_derived(engine, now)
    enter_all(engine, local)
    free_unclaimed(engine, local)
    free_unclaimed_blocks(engine, local)
    free_broken(engine, local)
    if engine.links:
        rebuild_halves(engine, local)
    engine.changing = 0
    return local.whole


@dataclass(frozen=True)
class Takeover:
    """What came of a take-over."""

    whole: int
    """Connections that go on."""
    broken: int
    """Connections that were being changed, and are reset."""
    unmarked: int
    """Of these, those that no mark had named: 0, or there is a defect."""
    dropped_packets: int
    waiting_again: int

    def __str__(self) -> str:
        defect = f" ({self.unmarked} without a mark: a defect)" if self.unmarked else ""
        return f"{self.whole} connections go on, {self.broken} were reset{defect}"


def take_over(array: Bytes, index: int, now: int) -> Takeover:
    """Take over the partition of an engine whose process has ended; call it before the successor's first breath."""
    arena = view(Arena, array)
    if arena.decides_itself:
        repair_table(array, index)
    offset = arena.engines + index * arena.engine_stride
    engine = view(Engine, array, offset)
    memory, local, address = new(TakeoverLocal)
    verdicts = np.zeros(engine.connection_count, np.uint8)
    claims = np.zeros(arena.frame_count, np.int32)
    blocks = np.zeros(engine.span_block_count, np.uint8)
    order = _order(array, engine)
    local.blocks = blocks.ctypes.data
    local.verdicts, local.claims, local.order = verdicts.ctypes.data, claims.ctypes.data, order.ctypes.data
    take_over_kernel(array.ctypes.data + offset, address, now)
    del memory
    _balance(array, engine, local)
    return Takeover(local.whole, local.broken, local.unmarked, local.dropped_packets, local.waiting_again)


def _order(array: Bytes, engine: Engine) -> npt.NDArray[np.int32]:
    """Return the numbers of all connections: by the end of TIME-WAIT, or by their last use."""
    tcbs = table(Tcb, array, engine.connections, engine.connection_count)
    over = np.isin(tcbs["state"], (TcpState.TIME_WAIT, TcpState.SPLICE_ENDED))
    key = np.where(over, tcbs["close_at"], tcbs["last_received_at"])
    return np.argsort(key, kind="stable").astype(np.int32)


def _balance(array: Bytes, engine: Engine, local: TakeoverLocal) -> None:
    """Let the counters add up again: packets that got lost between two of them are counted as dropped."""
    counters = view(EngineCounters, array, engine.counters)
    values = {name: int(getattr(counters, name)) for name in dtype_of(EngineCounters).names or ()}
    lost_sends = sum(value for name, value in values.items() if name.startswith("drop_send_"))
    inbound = sum(value for name, value in values.items() if name.startswith(("used_", "drop_"))) - lost_sends
    counters.drop_takeover_packets += values["received_packets"] - inbound
    made_before = values["made_packets"] - engine.slots_used  # without the resets that wait for the first breath
    counters.drop_send_takeover_packets += made_before - values["sent_packets"] - lost_sends
    made = (
        values["connections_accepted"]
        + values["connections_opened"]
        + 2 * (values["udp_sessions"] + values["any_sessions"])
    )
    made += values["virtual_connections_opened"] + values["virtual_connections_accepted"]
    made += values["connections_thawed"] - values["connections_withdrawn"]
    counters.connections_closed = made - engine.live_connections
    counters.connections_taken_over += local.whole
    counters.connections_broken += local.broken
