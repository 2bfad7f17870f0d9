"""The writer of a NIC: sends what the engines put into the NIC's transmit rings, and gives them their frames back."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Core, Stage, cancel_sleep, core_of, prepare_sleep, should_stop, sleep, wake
from ncore_ray.arena.frame import FRAME_SIZE, descriptor_checksum, descriptor_frame, descriptor_length, frame_address
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import ring_give_back, ring_publish, ring_room, ring_take, ring_waiting, ring_write
from ncore_ray.arena.rings import transmit_return_ring, transmit_ring
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.system import now_us
from ncore_ray.nic.faults import FaultVerdict, fault_due, fault_holds, fault_offer, fault_state_at, fault_take
from ncore_ray.nic.local import BATCH, WriterLocal, writer_local_at
from ncore_ray.nic.partition import Writer, counters_of_writer, sends_of_writer, writer_at
from ncore_ray.nic.queue import packet_queue_at, queue_put
from ncore_ray.nic.transmit import can_send, gather, send_gathered

_IDLE_US: Final = 20_000
_BUSY_US: Final = 1_000
"""Longest sleeps: without work, and while packets wait that no doorbell announces."""


@kernel
def _release(local: WriterLocal, limit: int, now: int) -> int:
    """Gather what the fault injector held until now, until the burst has ``limit`` packets."""
    if local.faults == 0:
        return 0
    faults = fault_state_at(local.faults)
    count = 0
    while local.count < limit and fault_due(faults, now):
        place = local.bounce + local.count * FRAME_SIZE
        fault_take(faults, place, now)
        gather(local, place, faults.length)
        count += 1
    return count


@kernel
def _accept(base: int, writer: Writer, local: WriterLocal, word: int, now: int) -> int:
    """Trace the packet of a descriptor and gather it, unless a fault befalls it or it cannot be one."""
    counters = counters_of_writer(writer)
    length = descriptor_length(word)
    if length > FRAME_SIZE:
        counters.drop_nic_bad_descriptor_packets += 1
        return 0
    address = frame_address(base, descriptor_frame(word))
    if local.trace:
        counters.lost_trace_packets += 1 - queue_put(packet_queue_at(local.trace), now, address, length, 0)
    if local.faults:
        state = fault_state_at(local.faults)
        if fault_offer(state, address, length, descriptor_checksum(word), now) == FaultVerdict.TAKEN:
            return 0
    return gather(local, address, length)


@kernel
def _take(base: int, writer: Writer, local: WriterLocal, engine: int, count: int, now: int) -> int:
    """Take ``count`` descriptors of an engine into the burst; what the injector adds stays below BURST."""
    ring = transmit_ring(base, engine, writer.nic)
    for index in range(count):
        word = ring_take(ring)
        store64(local.frames + 8 * index, descriptor_frame(word))
        _accept(base, writer, local, word, now)
        _release(local, BATCH + index, now)
    counters_of_writer(writer).taken_packets += count
    return count


@kernel
def _send_home(base: int, writer: Writer, local: WriterLocal, engine: int, count: int) -> int:
    """Give the frames of the batch back to their engine.

    The words are written, then the places in the transmit ring given up, then the words published: whatever the moment
    of a crash, a frame is found in one of the two rings (`recover_writer`).
    """
    home = transmit_return_ring(base, engine, writer.nic)
    for index in range(count):
        ring_write(home, load64(local.frames + 8 * index))
    ring_give_back(transmit_ring(base, engine, writer.nic))
    return ring_publish(home)


@kernel
def _serve(base: int, writer: Writer, local: WriterLocal, engine: int, now: int) -> int:
    """Send one batch of an engine; return how many descriptors were taken."""
    waiting = min(BATCH, ring_waiting(transmit_ring(base, engine, writer.nic)))
    if waiting == 0:
        return 0
    count = min(waiting, ring_room(transmit_return_ring(base, engine, writer.nic), waiting))
    if count == 0 or not can_send(local, FRAME_SIZE):
        local.stalled = 1
        counters_of_writer(writer).stalled_breaths += 1
        return 0
    _take(base, writer, local, engine, count, now)
    send_gathered(local, sends_of_writer(writer), now)
    return _send_home(base, writer, local, engine, count)


@kernel
def writer_breath(base: int, writer: Writer, local: WriterLocal, now: int) -> int:
    """Send at most one batch of every engine, and what was delayed until now; return how many packets that was."""
    work = 0
    local.stalled = 0
    if local.faults and can_send(local, FRAME_SIZE):
        work += _release(local, BATCH, now)
        send_gathered(local, sends_of_writer(writer), now)
    for engine in range(arena_at(base).engine_count):
        work += _serve(base, writer, local, engine, now)
    return work


@kernel
def _waiting(base: int, writer: Writer) -> int:
    count = 0
    for engine in range(arena_at(base).engine_count):
        count += ring_waiting(transmit_ring(base, engine, writer.nic))
    return count


@kernel
def _wait(base: int, writer: Writer, local: WriterLocal, core: Core) -> int:
    """Sleep on the doorbell; with packets that cannot be sent now, or that are delayed, only for a short time."""
    word = prepare_sleep(core)
    if should_stop(core) or (_waiting(base, writer) and not local.stalled):
        return cancel_sleep(core)
    soon = local.stalled
    if local.faults:
        soon += fault_holds(fault_state_at(local.faults))
    return sleep(core, word, _BUSY_US if soon else _IDLE_US, local.scratch)


@kernel
def _breathe(base: int, writer: Writer, local: WriterLocal, core: Core, now: int) -> int:
    core.heartbeat_at = now
    core.breaths += 1
    core.stage = Stage.SEND
    work = writer_breath(base, writer, local, now)
    core.stage = Stage.ASLEEP
    return work


@entry_kernel
def writer_run(base: int, writer_address: int, local_address: int) -> int:
    """Breathe until control code sets the core's `stop`; return the number of breaths."""
    writer = writer_at(writer_address)
    local = writer_local_at(local_address)
    core = core_of(base, writer.actor)
    work = 0
    last = now_us(local.scratch)
    busy_until = last
    while not should_stop(core):
        now = now_us(local.scratch)
        if work:
            core.busy_us += now - last
            busy_until = now
        last = now
        work = _breathe(base, writer, local, core, now)
        if not work and now - busy_until >= local.spin_us:
            _wait(base, writer, local, core)
    return core.breaths


@entry_kernel
def ring_bell(base: int, actor: int) -> int:
    """Wake an actor, for control code; return 1 if it slept."""
    return wake(core_of(base, actor))
