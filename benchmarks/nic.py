"""``python -m benchmarks.nic``: what a packet costs in the NIC room, in ns. The veth cases need to make namespaces."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any, Final

import numpy as np

from ncore_ray.arena.ring import ring_give_back, ring_publish, ring_take, ring_waiting, ring_write
from ncore_ray.arena.rings import inbound_ring, return_ring
from ncore_ray.lab.capability import can_make_namespaces
from ncore_ray.lab.namespace import Namespace
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.record import new, table
from ncore_ray.nic.af_packet import AfPacketDriver
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.direct import SLOT_SIZE, SenderMemory, Slot, open_sender, send_slots, sender_at
from ncore_ray.nic.local import ReaderLocal, reader_local_at
from ncore_ray.nic.memory import MemoryDriver
from ncore_ray.nic.partition import Reader, reader_at
from ncore_ray.nic.queue import packet_queue_at
from ncore_ray.nic.reader import reader_breath
from ncore_ray.nic.small_arena import SmallArena, make_small_arena
from ncore_ray.nic.thread_memory import ReaderMemory

ROUNDS: Final = 15
PACKETS: Final = 4_000
LENGTHS: Final = (60, 1_514)


@kernel
def _pass_back(base: int, nic: int) -> int:
    """Play the distributor: send every frame home."""
    ring, home = inbound_ring(base, nic), return_ring(base, 0, nic)
    count = ring_waiting(ring)
    for _ in range(count):
        ring_write(home, ring_take(ring))
    if count:
        ring_give_back(ring)
        ring_publish(home)
    return count


@kernel
def _breathe(base: int, reader: Reader, local: ReaderLocal) -> int:
    reader_breath(base, reader, local, 1)
    return _pass_back(base, reader.queue)


@entry_kernel
def read_all(base: int, reader_address: int, local_address: int, count: int) -> int:
    """Breathe until ``count`` packets have come and gone home (or none comes any more)."""
    reader, local = reader_at(reader_address), reader_local_at(local_address)
    done, idle = 0, 0
    while done < count and idle < 1_000:
        came = _breathe(base, reader, local)
        done += came
        idle = 0 if came else idle + 1
    return done


@entry_kernel
def read_again(base: int, reader_address: int, local_address: int, turns: int) -> int:
    """Read the packets of the memory driver's queue again and again."""
    reader, local = reader_at(reader_address), reader_local_at(local_address)
    queue = packet_queue_at(local.queue)
    done = 0
    for _ in range(turns):
        queue.head = 0
        while queue.head < queue.tail:
            done += _breathe(base, reader, local)
    return done


@entry_kernel
def breathe_idle(base: int, reader_address: int, local_address: int, count: int) -> int:
    """Breathe without any packet."""
    work = 0
    for _ in range(count):
        work += reader_breath(base, reader_at(reader_address), reader_local_at(local_address), 1)
    return work


@entry_kernel
def send_all(base: int, slots: int, count: int, batch: int, sender_address: int) -> int:
    """Send slots in batches."""
    sender = sender_at(sender_address)
    sent = 0
    for first in range(0, count, batch):
        sent += send_slots(base, slots + first * SLOT_SIZE, min(batch, count - first), sender)
    return sent


def _per_packet(run: Any, *arguments: int) -> float:
    """Return the ns per unit of work that ``run`` reports."""
    start = time.perf_counter_ns()
    count = int(run(*arguments))
    return (time.perf_counter_ns() - start) / max(1, count)


def _show(name: str, values: list[float]) -> None:
    print(f"{name:<76} {statistics.median(values):>8.0f} ns   (best {min(values):.0f}, worst {max(values):.0f})")


def bench_memory(arena: SmallArena, length: int) -> None:
    """Measure the reader's breath with the memory driver."""
    driver, reader = MemoryDriver(), ReaderMemory()
    for _ in range(1_024):
        driver.put(bytes(length))
    driver.fill_reader(reader.local)
    arguments = (arena.base, arena.base + arena.header.readers, reader.address)
    values = [_per_packet(read_again, *arguments, 50) for _ in range(ROUNDS + 1)][1:]
    _show(f"reader_breath, memory driver, {length} bytes, frames home", values)


def bench_idle(arena: SmallArena) -> None:
    """Measure a breath without work."""
    driver, reader = MemoryDriver(), ReaderMemory()
    driver.fill_reader(reader.local)
    arguments = (arena.base, arena.base + arena.header.readers, reader.address)

    def run(*numbers: int) -> int:
        breathe_idle(*numbers)
        return numbers[-1]

    _show(
        "reader_breath without work, 2 engines", [_per_packet(run, *arguments, 100_000) for _ in range(ROUNDS + 1)][1:]
    )


def _slots(length: int) -> Any:
    memory = np.zeros(PACKETS * SLOT_SIZE, np.uint8)
    rows = table(Slot, memory, 0, PACKETS)
    rows["header_length"] = min(54, length)
    rows["first"] = 4_096
    rows["first_length"] = length - rows["header_length"]
    return memory


def _make_link(inside: Namespace, outside: Namespace) -> None:
    def make(ip: Any) -> None:
        ip.link("add", ifname="nic0", kind="veth", peer={"ifname": "peer0", "net_ns_fd": outside.name})
        ip.link("set", index=ip.link_lookup(ifname="nic0")[0], state="up")

    for namespace in (inside, outside):
        namespace.create()
        namespace.sysctl({"net/ipv6/conf/default/disable_ipv6": 1})
    inside.netlink(make)
    outside.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="peer0")[0], state="up"))


def bench_veth(arena: SmallArena, inside: Namespace, outside: Namespace, length: int) -> None:
    """Measure send_slots into a veth whose other end is read through AF_PACKET, and that reading."""
    driver, reader = AfPacketDriver("nic0", netns=inside.name), ReaderMemory()
    driver.open()
    driver.fill_reader(reader.local)
    _memory, _, counters = new(SendCounters)
    fd = open_sender("peer0", outside.name)
    sender, slots = SenderMemory([fd], counters), _slots(length)
    sending: dict[int, list[float]] = {1: [], 16: [], 64: [], 256: []}
    receiving: list[float] = []
    for batch, values in sending.items():
        for _ in range(ROUNDS):
            values.append(_per_packet(send_all, arena.base, slots.ctypes.data, PACKETS, batch, sender.address))
            place = arena.base + arena.header.readers
            receiving.append(_per_packet(read_all, arena.base, place, reader.address, PACKETS))
        _show(f"send_slots, veth, {length} bytes, {batch} per call, receiver's kernel included", values[1:])
    _show(f"reader_breath, AF_PACKET ring on a veth, {length} bytes, frames home", receiving[1:])
    print(f"{'':<76} kernel drops: {driver.kernel_drops()}")
    os.close(fd)
    driver.close()


def main() -> None:
    arena = make_small_arena(engines=2, nic_frames=1_024, ring_capacity=1_024)
    bench_idle(arena)
    for length in LENGTHS:
        bench_memory(arena, length)
    if not can_make_namespaces():
        print("the veth cases were left out: network namespaces cannot be made here")
        return
    inside, outside = (Namespace(f"ncbench{os.getpid()}-{name}") for name in "ab")
    try:
        _make_link(inside, outside)
        for length in LENGTHS:
            bench_veth(arena, inside, outside, length)
    finally:
        inside.remove()
        outside.remove()


if __name__ == "__main__":
    main()
