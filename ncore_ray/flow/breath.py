"""What the flow distributor does all day: take batches from the readers, decide, hand on to the engines, sleep."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Core, Stage, acknowledge, cancel_sleep, core_of, prepare_sleep, should_stop, sleep
from ncore_ray.arena.frame import (
    descriptor_checksum,
    descriptor_frame,
    descriptor_length,
    descriptor_queue,
    frame_address,
)
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import (
    Ring,
    ring_give_back,
    ring_peek,
    ring_publish,
    ring_room,
    ring_take,
    ring_waiting,
)
from ncore_ray.arena.rings import inbound_ring, nic_of_queue, return_ring
from ncore_ray.flow.ahead import begin_batch, fetch_ahead
from ncore_ray.flow.decide import decide
from ncore_ray.flow.handing import hand_on, hand_on_by_flow, note_packet, publish_to, send_home, show_at_once
from ncore_ray.flow.records import BATCH, Distributor, Forwarding, count_drop, counters_of, distributor_of
from ncore_ray.flow.table import sweep_due
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.record import I64, Record, offset_of, pointer_to
from ncore_ray.machine.system import now_us
from ncore_ray.tables.settings import epoch_in_force
from ncore_ray.wire.packet import Packet, packet_at

SLEEP_US: Final = 20_000
_SWEEP_BUSY: Final = 16
_SWEEP_IDLE: Final = 512
"""Buckets that a breath sweeps at most, with and without packets."""


class DistributorLocal(Record):
    """What one run of the distributor needs of its own process; it lies in private memory."""

    packet: I64
    """Address of a `Packet`."""
    number: I64
    """Of the decider."""
    actor: I64
    spin_us: I64
    """How long it looks at its rings before it sleeps."""
    worked_at: I64
    scratch_0: I64
    scratch_1: I64


local_at = pointer_to(DistributorLocal)
_SCRATCH: Final = offset_of(DistributorLocal, "scratch_0")


@kernel
def _fill_packet(base: int, packet: Packet, word: int) -> int:
    packet.frame = frame_address(base, descriptor_frame(word))
    packet.length = descriptor_length(word)
    packet.nic = nic_of_queue(base, descriptor_queue(word))
    packet.checksum = descriptor_checksum(word)
    return 0


@kernel
def _distribute(base: int, distributor: Distributor, packet: Packet, home: Ring, word: int, now: int) -> int:
    """Decide on one packet and hand it on, now or with its batch; what is dropped goes home.

    Returns the engine, or a `Drop`.
    """
    _fill_packet(base, packet, word)
    engine = decide(base, distributor, packet, now)
    counters = counters_of(base, distributor)
    counters.received_packets += 1
    counters.received_bytes += packet.length
    if engine < 0:
        count_drop(counters, engine)
        send_home(base, home, word)
    elif distributor.forwarding == Forwarding.BATCH_FLOW:
        note_packet(base, distributor, home, packet, word, engine)
    else:
        hand_on(base, distributor, home, word, engine)
    return engine


@kernel
def _serve_queue(base: int, distributor: Distributor, packet: Packet, queue: int, now: int) -> int:
    """Take a batch from one queue; return how many packets. Only as many are taken as could all go home.

    Home is the reader that took them from the NIC, which may feed the queues of other deciders too.
    """
    inbound = inbound_ring(base, queue)
    count = min(ring_waiting(inbound), BATCH)
    if count == 0:
        return 0
    home = return_ring(base, distributor.actor, descriptor_queue(ring_peek(inbound, 0)))
    count = min(count, ring_room(home, count))
    begin_batch(base, distributor, inbound, count)
    for i in range(count):
        fetch_ahead(base, distributor, inbound, i, count)
        engine = _distribute(base, distributor, packet, home, ring_take(inbound), now)
        show_at_once(base, distributor, inbound, engine)
    if distributor.noted:
        hand_on_by_flow(base, distributor, home)
    ring_give_back(inbound)
    ring_publish(home)
    return count


@kernel
def _publish(base: int, distributor: Distributor) -> int:
    """Let the engines see what was written to their rings, and wake those that sleep."""
    for engine in range(distributor.engine_count):
        publish_to(base, distributor, engine)
    return 0


@kernel
def distributor_breath(base: int, distributor: Distributor, packet: Packet, now: int) -> int:
    """Distribute a batch of each of its queues, beginning with another one each time; return how many packets."""
    nics = arena_at(base).nic_count
    first = distributor.number * nics
    work = 0
    for i in range(nics):
        nic = distributor.next_nic + i
        work += _serve_queue(base, distributor, packet, first + (nic - nics if nic >= nics else nic), now)
    distributor.next_nic = distributor.next_nic + 1 if distributor.next_nic + 1 < nics else 0
    if work:
        _publish(base, distributor)
    sweep_due(base, distributor, _SWEEP_BUSY if work else _SWEEP_IDLE, now)
    return work


@entry_kernel
def breathe(base: int, number: int, packet_address: int, now: int) -> int:
    """Control code, tests and benchmarks: one breath of a decider; return how many packets it took."""
    return distributor_breath(base, distributor_of(base, number), packet_at(packet_address), now)


@kernel
def _is_waiting(base: int) -> int:
    for queue in range(arena_at(base).nic_count):
        if ring_waiting(inbound_ring(base, queue)):
            return 1
    return 0


@kernel
def _rest(base: int, core: Core, scratch: int) -> int:
    """Sleep until a reader rings the bell, unless there is work after all."""
    word = prepare_sleep(core)
    if _is_waiting(base) or should_stop(core):
        return cancel_sleep(core)
    return sleep(core, word, SLEEP_US, scratch)


@entry_kernel
def distributor_run(base: int, local_address: int) -> int:
    """Distribute until control code sets `Core.stop`; return 0. The `Core` record's state is left to the caller."""
    local = local_at(local_address)
    distributor = distributor_of(base, local.number)
    packet = packet_at(local.packet)
    core = core_of(base, local.actor)
    scratch = local_address + _SCRATCH
    now = now_us(scratch)
    local.worked_at = now
    while not should_stop(core):
        core.heartbeat_at = now
        core.breaths += 1
        acknowledge(core, epoch_in_force(base))
        core.stage = Stage.DISTRIBUTE
        work = distributor_breath(base, distributor, packet, now)
        core.stage = Stage.ASLEEP
        if not work and now - local.worked_at >= local.spin_us:
            _rest(base, core, scratch)
        after = now_us(scratch)
        if work:
            core.busy_us += after - now
            local.worked_at = after
        now = after
    return 0
