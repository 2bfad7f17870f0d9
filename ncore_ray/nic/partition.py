"""What a receive queue of a NIC keeps in the arena: its reader, the writer, their counters, the stack of free frames.

The partitions of all queues lie at `Arena.readers`, `Arena.reader_stride` apart. A NIC has one queue for each decider;
the writer belongs to its first one. Each writes to its own records only.
"""

from __future__ import annotations

from typing import Any, Final

from ncore_ray.arena.core import Actor
from ncore_ray.arena.frame import CHAINED, NO_FRAME, RECEIVED, FrameMeta, frame_meta
from ncore_ray.arena.header import Arena, arena_at, check_index
from ncore_ray.arena.layout import Bytes
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import load32, store32
from ncore_ray.machine.record import CACHE_LINE, I64, Record, address_of, pointer_to, size_of, table, view
from ncore_ray.nic.burst import SendCounters, send_counters_at
from ncore_ray.nic.faults import FaultCounters


class Reader(Record):
    """What receives from one queue of a NIC."""

    queue: I64
    actor: I64
    """Its number in `Arena.cores`, and as an owner of frames."""
    decider: I64
    """Number of the actor that takes its packets."""
    frame_count: I64
    """So many frames are its own; which ones changes, as engines keep full ones and send others home for them."""
    free_frames: I64
    """Offset of a stack of 32-bit frame indices."""
    free_count: I64
    spread: I64
    """`UserSpread`: whether this reader feeds the rings of all deciders, and how it chooses one."""
    random: I64
    """State of its generator: 1 … 2³²−1."""


class ReaderCounters(Record):
    """What a reader did. A packet is received when its descriptor goes to the distributor."""

    received_packets: I64
    received_bytes: I64
    received_partial_checksum_packets: I64
    received_large_packets: I64
    """Packets that were longer than a frame."""
    received_parts: I64
    """Of those packets: each part that they were handed on in counts as a received packet (one: as it came)."""
    chained_frames: I64
    """Further frames that packets took which were longer than one and were handed on as they came."""
    returned_frames: I64
    """Frames that came home."""
    stalled_no_frame_breaths: I64
    """Breaths in which packets had to stay in the NIC because every frame was in use."""
    stalled_ring_full_breaths: I64
    """Breaths in which packets had to stay in the NIC because the distributor's ring was full."""
    drop_nic_truncated_packets: I64
    """Longer than a frame, or cut by the kernel or by the capture."""
    drop_nic_runt_packets: I64
    """Shorter than an Ethernet header."""
    drop_nic_vlan_packets: I64
    drop_nic_kernel_packets: I64
    """Dropped by the kernel because its ring was full (read from its statistics by control code)."""
    failed_receives: I64
    """The driver answered with an error (the interface is down)."""
    lost_trace_packets: I64
    """Not written to the trace: its queue was full."""


class Writer(Record):
    """What sends on one NIC for the engines that cannot do it themselves."""

    nic: I64
    actor: I64


class WriterCounters(Record):
    """What a writer did beside sending (`SendCounters`). Every frame that it takes goes home."""

    taken_packets: I64
    """Descriptors taken from the engines."""
    stalled_breaths: I64
    """Breaths in which packets had to wait for room in the driver's output."""
    drop_nic_bad_descriptor_packets: I64
    """Longer than a frame."""
    lost_trace_packets: I64
    """Not written to the trace: its queue was full."""


reader_at = pointer_to(Reader)
reader_counters_at = pointer_to(ReaderCounters)
writer_at = pointer_to(Writer)
writer_counters_at = pointer_to(WriterCounters)


def _lines(record: Any) -> int:
    return -(-size_of(record) // CACHE_LINE) * CACHE_LINE


READER_COUNTERS: Final = _lines(Reader)
READER_FAULTS: Final = READER_COUNTERS + _lines(ReaderCounters)
WRITER: Final = READER_FAULTS + _lines(FaultCounters)
WRITER_COUNTERS: Final = WRITER + _lines(Writer)
WRITER_SENDS: Final = WRITER_COUNTERS + _lines(WriterCounters)
WRITER_FAULTS: Final = WRITER_SENDS + _lines(SendCounters)
_FREE_FRAMES: Final = WRITER_FAULTS + _lines(FaultCounters)

PARTITION_RECORDS: Final = (Reader, ReaderCounters, Writer, WriterCounters, SendCounters, FaultCounters)
"""All records of a partition, for the digest of the arena's layouts."""

COUNTERS: Final = (
    ("reader", ReaderCounters, READER_COUNTERS),
    ("reader", FaultCounters, READER_FAULTS),
    ("writer", WriterCounters, WRITER_COUNTERS),
    ("writer", SendCounters, WRITER_SENDS),
    ("writer", FaultCounters, WRITER_FAULTS),
)
"""Where the counters lie: who counts, the record, and its offset from the partition's start."""


def reader_stride(frame_count: int) -> int:
    """Return the bytes of a partition whose reader has ``frame_count`` frames: a whole number of cache lines."""
    return _FREE_FRAMES + -(-4 * frame_count // CACHE_LINE) * CACHE_LINE


def init_reader(array: Bytes, queue: int, first_frame: int, frame_count: int) -> None:
    """Write the partition of a receive queue in a zeroed region and take possession of its frames.

    The header's offsets and counts have to be there. Actor numbers are those of `reader_actor` and `writer_actor`.
    """
    arena = view(Arena, array)
    offset = arena.readers + queue * arena.reader_stride
    decider, nic = divmod(queue, arena.nic_count)
    reader = view(Reader, array, offset)
    reader.queue, reader.actor = queue, Actor.ENGINE + arena.engine_count + queue
    reader.decider = Actor.ENGINE + decider if arena.decides_itself else Actor.DISTRIBUTOR
    reader.frame_count = frame_count
    reader.free_frames = offset + _FREE_FRAMES
    writer = view(Writer, array, offset + WRITER)
    writer.nic, writer.actor = nic, Actor.ENGINE + arena.engine_count + arena.queue_count + nic
    metas = table(FrameMeta, array, arena.frame_metas, arena.frame_count)
    metas["owner"][first_frame : first_frame + frame_count] = reader.actor
    metas["next"][first_frame : first_frame + frame_count] = -1
    free = array[reader.free_frames : reader.free_frames + 4 * frame_count].view("<i4")
    free[:] = range(first_frame + frame_count - 1, first_frame - 1, -1)
    reader.free_count = frame_count


@kernel
def _partition(base: int, queue: int) -> int:
    if CHECKED:
        check_index(queue, arena_at(base).queue_count)
    return base + arena_at(base).readers + queue * arena_at(base).reader_stride


@kernel
def reader_of(base: int, queue: int) -> Reader:
    """Return the reader of a receive queue."""
    return reader_at(_partition(base, queue))


@kernel
def writer_of(base: int, nic: int) -> Writer:
    """Return the writer of a NIC."""
    return writer_at(_partition(base, nic) + WRITER)


@kernel
def counters_of_reader(reader: Reader) -> ReaderCounters:
    """Return the counters of a reader."""
    return reader_counters_at(address_of(reader) + READER_COUNTERS)


@kernel
def counters_of_writer(writer: Writer) -> WriterCounters:
    """Return the counters of a writer."""
    return writer_counters_at(address_of(writer) + WRITER_COUNTERS - WRITER)


@kernel
def sends_of_writer(writer: Writer) -> SendCounters:
    """Return the send counters of a writer."""
    return send_counters_at(address_of(writer) + WRITER_SENDS - WRITER)


@kernel
def free_frame(base: int, reader: Reader) -> int:
    """Return the free frame that the next packet goes into; it stays on the stack. There is one."""
    return load32(base + reader.free_frames + 4 * (reader.free_count - 1))


@kernel
def push_free(base: int, reader: Reader, frame: int) -> int:
    """Put a frame of the reader on the stack of free frames."""
    if CHECKED:
        check_index(reader.free_count, reader.frame_count)
    frame_meta(base, frame).owner = reader.actor
    store32(base + reader.free_frames + 4 * reader.free_count, frame)
    reader.free_count += 1
    return 0


@kernel
def push_chain(base: int, reader: Reader, frame: int) -> int:
    """Put all frames of a packet on the stack; return how many. The links stay, for a successor to follow."""
    count = 0
    while frame != NO_FRAME:
        push_free(base, reader, frame)
        count += 1
        frame = frame_meta(base, frame).next
    return count


@kernel
def lend(base: int, reader: Reader, frame: int, decider: int) -> int:
    """The frames of a packet, whose descriptor is written, are those of the reader's ``decider``-th from here on."""
    meta = frame_meta(base, frame)
    meta.owner = RECEIVED + reader.decider + decider
    while meta.next != NO_FRAME:
        meta = frame_meta(base, meta.next)
        meta.owner = CHAINED
    return 0


@kernel
def take_back(base: int, reader: Reader, frame: int) -> int:
    """The frames of a packet are the reader's again."""
    while frame != NO_FRAME:
        meta = frame_meta(base, frame)
        meta.owner = reader.actor
        frame = meta.next
    return 0
