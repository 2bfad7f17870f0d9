"""What the threads of a NIC's actor know that is valid in their process only: descriptors, addresses, scratch."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.machine.record import I32, I64, Record, pointer_to

BATCH: Final = 128
"""Packets that one breath of a reader or of a writer takes at most."""
BURST: Final = 2 * BATCH
"""Packets that one call of a writer sends at most: a batch, and what the fault injector adds to it."""


class DriverKind(IntEnum):
    """Which kernels talk to a NIC."""

    AF_PACKET = 0
    TAP = 1
    QUEUE = 2
    """A packet queue of this process: the memory and the pcap driver."""


class ReaderLocal(Record):
    """What a reader knows in its process."""

    kind: I64
    """`DriverKind`"""
    fd: I32
    """To read from and to poll; −1 where there is none."""
    vlan: I32
    """Packets of this VLAN only, whose tag is taken off; 0: only those without a tag, or with one of priority alone."""
    paced: I32
    """0: packets of a queue come as fast as they are taken; 1: at the distances of their times; 2: the first came."""
    ring: I64
    """Address of the mapped receive ring of AF_PACKET."""
    ring_slots: I64
    slot: I64
    """The slot that the kernel fills next."""
    queue: I64
    """Address of the `PacketQueue` that packets come from."""
    pace_shift: I64
    """With `paced`: time on our clock minus time in the queue."""
    faults: I64
    """Address of a `FaultState`, or 0."""
    trace: I64
    """Address of the `PacketQueue` of the trace, or 0."""
    spin_us: I64
    """A reader without work looks again and again for so long before it sleeps."""
    idle_ms: I64
    """Longest sleep."""
    scratch: I64
    """Address of 64 private bytes."""

    large: I64
    """Address of room for one large packet, or 0."""
    large_headers: I64
    """Bytes of its headers."""
    large_length: I64
    large_at: I64
    """What has been handed on of it, headers included; `large_length`: all."""
    large_checksum: I64

    vectors: I64
    """Address of CHAIN_FRAMES `Vector` records: where a large packet is read to."""

    length: I64
    """Of the packet just received."""
    checksum: I64
    """Its `Checksum` state."""


class WriterLocal(Record):
    """What a writer knows in its process."""

    kind: I64
    """`DriverKind`"""
    fd: I64
    queue: I64
    """Address of the `PacketQueue` that packets go to."""
    messages: I64
    """Address of BURST `Message` records, message i with the vector i."""
    vectors: I64
    """Address of BURST `Vector` records."""
    count: I64
    """Packets gathered in the vectors."""
    stalled: I64
    """1 when packets had to wait in the latest breath: no doorbell will ring for them."""
    bounce: I64
    """Address of BURST places of FRAME_SIZE bytes: packets that come out of the fault injector."""
    frames: I64
    """Address of BATCH words: the frames of the batch."""
    faults: I64
    """Address of a `FaultState`, or 0."""
    trace: I64
    """Address of the `PacketQueue` of the trace, or 0."""
    spin_us: I64
    scratch: I64
    """Address of 64 private bytes."""


reader_local_at = pointer_to(ReaderLocal)
writer_local_at = pointer_to(WriterLocal)
