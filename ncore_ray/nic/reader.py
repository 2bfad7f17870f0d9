"""The reader of a NIC: takes packets from its driver into frames and hands them to the distributor, or to several."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Actor, Core, Stage, core_of, should_stop
from ncore_ray.arena.frame import NO_FRAME, Checksum, descriptor_frame, frame_address, frame_meta, make_descriptor
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import Ring, ring_give_back, ring_take, ring_waiting, ring_write
from ncore_ray.arena.rings import return_ring
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.system import POLLIN, now_us, poll, poll_fd_at, read
from ncore_ray.nic.chain import receive_chain
from ncore_ray.nic.faults import FaultVerdict, fault_due, fault_holds, fault_offer, fault_state_at, fault_take
from ncore_ray.nic.local import BATCH, ReaderLocal, reader_local_at
from ncore_ray.nic.partition import Reader, counters_of_reader, free_frame, lend, push_chain, reader_at
from ncore_ray.nic.queue import packet_queue_at, queue_put
from ncore_ray.nic.receive import Received, receive
from ncore_ray.nic.spread import choose_decider, fed_ring, publish_all, room_in_rings

_BUSY_POLL_MS: Final = 1
"""Sleep while something is to be done that no file descriptor announces."""


@kernel
def _collect_from(base: int, reader: Reader, ring: Ring) -> int:
    count = ring_waiting(ring)
    frames = 0
    for _ in range(count):
        frames += push_chain(base, reader, descriptor_frame(ring_take(ring)))
    if count:
        ring_give_back(ring)
    return frames


@kernel
def _collect(base: int, reader: Reader) -> int:
    """Take the frames that came home from the distributor and the engines; return how many."""
    count = 0
    for actor in range(Actor.ENGINE + arena_at(base).engine_count):
        count += _collect_from(base, reader, return_ring(base, actor, reader.queue))
    counters_of_reader(reader).returned_frames += count
    return count


@kernel
def _room(base: int, reader: Reader) -> int:
    """Return how many packets can be taken now. When it is none, they stay in the NIC, whose own losses are counted."""
    counters = counters_of_reader(reader)
    room = room_in_rings(base, reader, BATCH)
    if room == 0:
        counters.stalled_ring_full_breaths += 1
    elif reader.free_count == 0:
        counters.stalled_no_frame_breaths += 1
    return min(room, reader.free_count)


@kernel
def _deliver(base: int, reader: Reader, local: ReaderLocal, now: int) -> int:
    """Hand the packet in the top free frame to its distributor."""
    frame = free_frame(base, reader)
    if local.trace:
        traced = queue_put(packet_queue_at(local.trace), now, frame_address(base, frame), local.length, 0)
        counters_of_reader(reader).lost_trace_packets += 1 - traced
    frame_meta(base, frame).next = NO_FRAME
    return _hand_on(base, reader, local, 1)


@kernel
def _hand_on(base: int, reader: Reader, local: ReaderLocal, frames: int) -> int:
    """Hand the packet in the top free frames, which are linked, to its distributor.

    The descriptor is written first, then the frame changes its owner: whoever finds an unpublished word after a crash
    knows that the frame it names is still the reader's.
    """
    frame = free_frame(base, reader)
    counters = counters_of_reader(reader)
    decider = 0
    if reader.spread:
        decider = choose_decider(base, reader, frame_address(base, frame), local.length)
    descriptor = make_descriptor(frame, local.length, reader.queue, local.checksum)
    ring_write(fed_ring(base, reader, decider), descriptor)
    lend(base, reader, frame, decider)
    reader.free_count -= frames
    counters.received_packets += 1
    counters.received_bytes += local.length
    if local.checksum == Checksum.PARTIAL:
        counters.received_partial_checksum_packets += 1
    return 1


@kernel
def _release(base: int, reader: Reader, local: ReaderLocal, room: int, now: int) -> int:
    """Deliver what the fault injector held until now, at most ``room`` packets."""
    if local.faults == 0:
        return 0
    faults = fault_state_at(local.faults)
    count = 0
    while count < room and fault_due(faults, now):
        fault_take(faults, frame_address(base, free_frame(base, reader)), now)
        local.length = faults.length
        local.checksum = faults.checksum
        count += _deliver(base, reader, local, now)
    return count


@kernel
def _accept(base: int, reader: Reader, local: ReaderLocal, now: int) -> int:
    """Deliver the packet in the top free frame unless a fault befalls it; return how many were delivered."""
    if local.faults:
        faults = fault_state_at(local.faults)
        address = frame_address(base, free_frame(base, reader))
        if fault_offer(faults, address, local.length, local.checksum, now) == FaultVerdict.TAKEN:
            return 0
        local.checksum = faults.checksum
    return _deliver(base, reader, local, now)


@kernel
def _fill(base: int, reader: Reader, local: ReaderLocal, room: int, now: int) -> int:
    """Receive until the NIC is empty, the room is used, or a batch is done; return the packets looked at."""
    counters = counters_of_reader(reader)
    delivered = _release(base, reader, local, room, now)
    looked_at = delivered
    for _ in range(BATCH):
        if delivered >= room or reader.free_count == 0:
            break
        spare = reader.free_count if local.faults == 0 and local.trace == 0 else 0
        outcome = receive(local, counters, frame_address(base, free_frame(base, reader)), spare, now)
        if outcome == Received.NOTHING:
            break
        looked_at += 1
        if outcome == Received.LARGE:
            frames = receive_chain(base, reader, local)
            delivered += _hand_on(base, reader, local, frames) if frames else 0
        elif outcome == Received.PACKET:
            delivered += _accept(base, reader, local, now)
            delivered += _release(base, reader, local, room - delivered, now)
    return looked_at


@kernel
def reader_breath(base: int, reader: Reader, local: ReaderLocal, now: int) -> int:
    """Do one batch of work and return how much it was: frames that came home and packets looked at."""
    work = _collect(base, reader)
    room = _room(base, reader)
    if room:
        work += _fill(base, reader, local, room, now)
    publish_all(base, reader)
    return work


@kernel
def may_take(base: int, reader: Reader) -> bool:
    """Tell whether a packet could be taken now; a NIC that announces one nobody can take would keep the core busy."""
    return reader.free_count > 0 and room_in_rings(base, reader, 1) > 0


@kernel
def announces(base: int, reader: Reader, local: ReaderLocal) -> bool:
    """Tell whether the NIC's file descriptor announces all work that may come up."""
    if local.fd < 0 or not may_take(base, reader):
        return False
    return local.faults == 0 or fault_holds(fault_state_at(local.faults)) == 0


@kernel
def _wait(base: int, reader: Reader, local: ReaderLocal, core: Core) -> int:
    """Sleep until the NIC has a packet, or for a short time when something else has to be looked at."""
    core.sleeps += 1
    waited = poll_fd_at(local.scratch)
    waited.fd = local.fd if may_take(base, reader) else -1
    waited.events = POLLIN
    timeout = local.idle_ms if announces(base, reader, local) else _BUSY_POLL_MS
    ready = poll(local.scratch, 1, timeout)
    if ready > 0 and (waited.events >> 16) & POLLIN == 0:
        clear_error(reader, local)
    return ready


@kernel
def clear_error(reader: Reader, local: ReaderLocal) -> int:
    """The NIC is down: take the error off the socket and wait a little, so that the core is not kept busy."""
    counters_of_reader(reader).failed_receives += 1
    read(local.fd, local.scratch, 8)
    return poll(local.scratch, 0, _BUSY_POLL_MS)


@kernel
def _breathe(base: int, reader: Reader, local: ReaderLocal, core: Core, now: int) -> int:
    core.heartbeat_at = now
    core.breaths += 1
    core.stage = Stage.READ
    work = reader_breath(base, reader, local, now)
    core.stage = Stage.ASLEEP
    return work


@entry_kernel
def reader_run(base: int, reader_address: int, local_address: int) -> int:
    """Breathe until control code sets the core's `stop`; return the number of breaths."""
    reader = reader_at(reader_address)
    local = reader_local_at(local_address)
    core = core_of(base, reader.actor)
    work = 0
    last = now_us(local.scratch)
    busy_until = last
    while not should_stop(core):
        now = now_us(local.scratch)
        if work:
            core.busy_us += now - last
            busy_until = now
        last = now
        work = _breathe(base, reader, local, core, now)
        if not work and now - busy_until >= local.spin_us:
            _wait(base, reader, local, core)
    return core.breaths
