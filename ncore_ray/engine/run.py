"""The loop of an engine, and the doors through which Python calls its kernels."""

from __future__ import annotations

from ncore_ray.arena.core import Core, cancel_sleep, core_of, prepare_sleep, should_stop, sleep
from ncore_ray.arena.header import arena_at
from ncore_ray.engine.breath import engine_breath, is_waiting
from ncore_ray.engine.pacing import await_instant, pace_at
from ncore_ray.engine.partition import Engine, base_of, engine_at
from ncore_ray.engine.queues import (
    OwnQueues,
    is_waiting_for_decision,
    own_queues_at,
    read_and_distribute,
    sleep_on_queues,
)
from ncore_ray.engine.timer import time_to_next
from ncore_ray.flow.burden import ALL_THE_TIME, LOAD_PERIOD_US, publish_load
from ncore_ray.flow.records import distributor_of
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.record import I64, Record, pointer_to
from ncore_ray.machine.system import now_us
from ncore_ray.nic.direct import sender_at
from ncore_ray.wire.packet import packet_at


class EngineLocal(Record):
    """What an engine's loop needs that is private to its process."""

    packet: I64
    """Address of a `Packet`."""
    sender: I64
    """Address of a `Sender`."""
    spin_us: I64
    """How long an idle engine looks at its ring before it sleeps."""
    scratch: I64
    """Address of 64 bytes."""
    own_queues: I64
    """Address of `OwnQueues`."""
    measured_at: I64
    """When the engine's load was told last, and how long it had been busy then."""
    measured_busy_us: I64


engine_local_at = pointer_to(EngineLocal)


@entry_kernel
def breathe_once(engine_address: int, packet_address: int, sender_address: int, now: int) -> int:
    """Do one breath at a given time (tests, benchmarks, warm-up)."""
    return engine_breath(engine_at(engine_address), packet_at(packet_address), sender_at(sender_address), now)


@kernel
def tell_load(engine: Engine, local: EngineLocal, busy_us: int, now: int) -> int:
    """Tell the deciders, once in a while, what share of the time this engine is busy; return 1 if it did."""
    span = now - local.measured_at
    if span < LOAD_PERIOD_US:
        return 0
    share = min((busy_us - local.measured_busy_us) * ALL_THE_TIME // span, ALL_THE_TIME)
    local.measured_at = now
    local.measured_busy_us = busy_us
    base = base_of(engine)
    publish_load(base, distributor_of(base, 0), engine.index, share)
    return 1


@entry_kernel
def engine_run(engine_address: int, local_address: int) -> int:
    """Breathe until control code says stop; return the number of breaths.

    Without work an engine looks on for a moment and then sleeps until there is some, or until the next instant of its
    timer if it has one.
    """
    engine = engine_at(engine_address)
    local = engine_local_at(local_address)
    packet = packet_at(local.packet)
    sender = sender_at(local.sender)
    own = own_queues_at(local.own_queues)
    core = core_of(base_of(engine), engine.actor)
    pace = pace_at(base_of(engine) + engine.pace)
    decides = arena_at(base_of(engine)).decides_itself
    idle_since = now_us(local.scratch)
    now = idle_since
    while not should_stop(core):
        core.heartbeat_at = now
        core.breaths += 1
        tell_load(engine, local, core.busy_us, now)
        work = read_and_distribute(engine, own, packet, now) if decides else 0
        work += engine_breath(engine, packet, sender, now)
        if work:
            after = now_us(local.scratch)
            core.busy_us += after - now
            now = after
            idle_since = after
            continue
        now = now_us(local.scratch)
        if pace.period_us:
            now = await_instant(core, pace, now, local.scratch)
        elif now - idle_since >= local.spin_us:
            _rest(engine, core, own, now, local.scratch)
            now = now_us(local.scratch)
    return core.breaths


@kernel
def _rest(engine: Engine, core: Core, own: OwnQueues, now: int, scratch: int) -> int:
    """Sleep until a packet comes or the next timer is due."""
    word = prepare_sleep(core)
    if is_waiting(engine) or is_waiting_for_decision(engine) or should_stop(core):
        return cancel_sleep(core)
    engine.now = now
    if core.bell_length:
        return sleep_on_queues(engine, core, own, time_to_next(engine))
    return sleep(core, word, time_to_next(engine), scratch)
