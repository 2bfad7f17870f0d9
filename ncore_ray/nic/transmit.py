"""How a writer's gathered packets leave through each kind of NIC."""

from __future__ import annotations

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.system import EAGAIN, EINTR, ENOBUFS, errno, write
from ncore_ray.nic.burst import SEND_TRIES, VECTOR_SIZE, SendCounters, Vector, send_messages, vector_at
from ncore_ray.nic.local import BURST, DriverKind, WriterLocal
from ncore_ray.nic.queue import entry_size, packet_queue_at, queue_put, queue_room


@kernel
def gathered(local: WriterLocal, index: int) -> Vector:
    """Return the vector of a gathered packet."""
    return vector_at(local.vectors + index * VECTOR_SIZE)


@kernel
def gather(local: WriterLocal, address: int, length: int) -> int:
    """Add a packet to the burst."""
    vector = gathered(local, local.count)
    vector.base = address
    vector.length = length
    local.count += 1
    return 0


@kernel
def can_send(local: WriterLocal, frame_size: int) -> bool:
    """Tell whether the driver's output has room for a whole burst of frames."""
    if local.kind != DriverKind.QUEUE:
        return True
    return queue_room(packet_queue_at(local.queue)) >= (BURST + 1) * entry_size(frame_size)


@kernel
def _write_packet(fd: int, vector: Vector) -> int:
    """Write one packet to a TAP device; return 1 if it took it."""
    for _ in range(SEND_TRIES):
        if write(fd, vector.base, vector.length) == vector.length:
            return 1
        error = errno()
        if error not in (EINTR, EAGAIN, ENOBUFS):
            return 0
    return 0


@kernel
def _send_one(local: WriterLocal, index: int, now: int) -> int:
    vector = gathered(local, index)
    if local.kind == DriverKind.TAP:
        return _write_packet(local.fd, vector)
    return queue_put(packet_queue_at(local.queue), now, vector.base, vector.length, 0)


@kernel
def _send_each(local: WriterLocal, counters: SendCounters, now: int) -> int:
    sent = 0
    for index in range(local.count):
        if _send_one(local, index, now):
            sent += 1
            counters.sent_bytes += gathered(local, index).length
    counters.send_calls += local.count
    counters.sent_packets += sent
    counters.drop_nic_send_packets += local.count - sent
    return sent


@kernel
def send_gathered(local: WriterLocal, counters: SendCounters, now: int) -> int:
    """Send the burst and empty it; return how many packets the NIC took. Others are dropped and counted."""
    if local.kind == DriverKind.AF_PACKET:
        sent = send_messages(local.fd, local.messages, local.count, counters)
    else:
        sent = _send_each(local, counters, now)
    local.count = 0
    return sent
