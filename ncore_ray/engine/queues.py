"""An engine that reads receive queues and distributes by itself (placements `per-core` and `rss`).

The kernels are those of the NIC readers and of the flow distributor, over the same rings: what they hand to this engine
is taken in the same breath, what belongs to another engine goes to that engine's ring.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Core, Stage, cancel_sleep, core_of
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.ring import ring_waiting
from ncore_ray.arena.rings import inbound_ring
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.flow.breath import distributor_breath
from ncore_ray.flow.records import distributor_of
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of
from ncore_ray.machine.system import POLLIN, PollFd, poll_fd_at, poll_us, read
from ncore_ray.nic.local import ReaderLocal, reader_local_at
from ncore_ray.nic.partition import Reader, reader_at
from ncore_ray.nic.reader import announces, clear_error, may_take, reader_breath
from ncore_ray.wire.packet import Packet

_LOOK_AGAIN_US: Final = 1_000
"""Sleep while something is to be done that no file descriptor announces."""


class OwnQueue(Record):
    """One receive queue that an engine reads; private to its process."""

    reader: I64
    """Address of its `Reader` in the arena."""
    local: I64
    """Address of its `ReaderLocal`."""


class OwnQueues(Record):
    """All receive queues that an engine reads; private to its process."""

    count: I64
    """0: others read for it."""
    queues: I64
    """Address of `count` `OwnQueue` records."""
    polls: I64
    """Address of `count` + 1 `PollFd` records: the queues' and the doorbell's."""
    scratch: I64
    """Address of 64 private bytes."""


own_queue_at = pointer_to(OwnQueue)
own_queues_at = pointer_to(OwnQueues)
_OWN_QUEUE_SIZE: Final = size_of(OwnQueue)
_POLL_SIZE: Final = size_of(PollFd)


@kernel
def _queue(own: OwnQueues, index: int) -> OwnQueue:
    return own_queue_at(own.queues + index * _OWN_QUEUE_SIZE)


@kernel
def _reader(own: OwnQueues, index: int) -> Reader:
    return reader_at(_queue(own, index).reader)


@kernel
def _local(own: OwnQueues, index: int) -> ReaderLocal:
    return reader_local_at(_queue(own, index).local)


@kernel
def read_and_distribute(engine: Engine, own: OwnQueues, packet: Packet, now: int) -> int:
    """Take a batch from each queue and hand every packet to its engine; return how much there was to do."""
    base = base_of(engine)
    core = core_of(base, engine.actor)
    work = 0
    core.stage = Stage.READ
    for index in range(own.count):
        work += reader_breath(base, _reader(own, index), _local(own, index), now)
    core.stage = Stage.DISTRIBUTE
    return work + distributor_breath(base, distributor_of(base, engine.index), packet, now)


@kernel
def is_waiting_for_decision(engine: Engine) -> int:
    """Return 1 if a reader has put a packet into a ring that this engine distributes."""
    base = base_of(engine)
    if arena_at(base).decides_itself == 0:
        return 0
    first = engine.index * arena_at(base).nic_count
    for queue in range(first, first + arena_at(base).nic_count):
        if ring_waiting(inbound_ring(base, queue)):
            return 1
    return 0


@kernel
def _prepare(own: OwnQueues, index: int, base: int) -> int:
    """Fill in what a queue waits for; return 1 if its file descriptor announces all that can come up."""
    reader, local = _reader(own, index), _local(own, index)
    waited = poll_fd_at(own.polls + index * _POLL_SIZE)
    waited.fd = local.fd if may_take(base, reader) else -1
    waited.events = POLLIN
    return announces(base, reader, local)


@kernel
def _after(own: OwnQueues, index: int) -> int:
    """Clear the error of a NIC that is down."""
    found = poll_fd_at(own.polls + index * _POLL_SIZE).events >> 16
    if found and found & POLLIN == 0:
        return clear_error(_reader(own, index), _local(own, index))
    return 0


@kernel
def _empty_bell(own: OwnQueues, core: Core) -> int:
    """Take the rings of the bell off its socket."""
    if poll_fd_at(own.polls + own.count * _POLL_SIZE).events >> 16 & POLLIN:
        while read(core.bell_socket, own.scratch + 16, 48) > 0:
            core.wakes_received += 1
    return 0


@kernel
def sleep_on_queues(engine: Engine, core: Core, own: OwnQueues, timeout_us: int) -> int:
    """Sleep until a queue has a packet, another engine rings the bell, or the time is over."""
    base = base_of(engine)
    for index in range(own.count):
        if not _prepare(own, index, base):
            timeout_us = min(timeout_us, _LOOK_AGAIN_US)
    bell = poll_fd_at(own.polls + own.count * _POLL_SIZE)
    bell.fd = core.bell_socket
    bell.events = POLLIN
    core.sleeps += 1
    ready = poll_us(own.polls, own.count + 1, timeout_us, own.scratch)
    cancel_sleep(core)
    if ready > 0:
        for index in range(own.count):
            _after(own, index)
        _empty_bell(own, core)
    return ready
