"""An engine with NICs in memory, and clients and servers that answer it packet by packet: all kernels of one thread.

A turn: the peers (clients on NIC 0, servers on NIC 1) take what the engine sent and put their answers into the NICs'
queues; the readers take them from there; the distributor decides; the engine takes a breath. Nothing is lost on the
way, so the peers need no memory: an answer follows from the packet alone. Clients ask again as soon as they are
answered, on the same connection.
"""

from __future__ import annotations

from typing import Final

from numba import types

from ncore_ray.arena.frame import Checksum, descriptor_frame, frame_address
from ncore_ray.arena.ring import ring_give_back, ring_publish, ring_take, ring_waiting, ring_write
from ncore_ray.arena.rings import inbound_ring, transmit_return_ring, transmit_ring
from ncore_ray.engine.breath import _send_frames_home, _take_batches, _work, engine_breath
from ncore_ray.engine.flush import flush
from ncore_ray.engine.partition import Engine, engine_at
from ncore_ray.engine.remote.exchange import exchange_in, exchange_out
from ncore_ray.engine.timer import advance
from ncore_ray.flow.breath import distributor_breath
from ncore_ray.flow.records import distributor_of
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.memory import copy, load8, load16be, load32be, load64, store16be
from ncore_ray.machine.record import I64, Record, pointer_to
from ncore_ray.machine.system import _external, now_us
from ncore_ray.nic.direct import sender_at
from ncore_ray.nic.local import reader_local_at
from ncore_ray.nic.partition import reader_at
from ncore_ray.nic.queue import packet_queue_at, queue_put
from ncore_ray.nic.reader import reader_breath
from ncore_ray.tables.own_address import find_address
from ncore_ray.wire.ethernet import TYPE_ARP, TYPE_IPV4, read_ethernet
from ncore_ray.wire.ipv4 import PROTOCOL_TCP, read_ipv4, write_ipv4
from ncore_ray.wire.packet import Packet, packet_at
from ncore_ray.wire.tcp import ACK, PSH, RST, SYN, TCP_HEADER, write_tcp

_MONOTONIC: Final = 1
_THREAD_CPU: Final = 3
_STALLED_US: Final = 5_000_000
_IP: Final = 14
_TCP: Final = 34
_DATA: Final = 54
_MAC: Final = 6
_SERVER_START: Final = 7000
_WINDOW: Final = 65_535
_clock_gettime = _external("clock_gettime", types.int32, types.int32, types.int64)


class Rig(Record):
    """What the thread of one engine knows. Spans are ns."""

    base: I64
    engine: I64
    packet: I64
    sender: I64
    reader_0: I64
    reader_1: I64
    local_0: I64
    local_1: I64
    queue_0: I64
    queue_1: I64
    """Queues that the NICs receive from."""
    room: I64
    """Address where a peer builds a packet."""
    scratch: I64
    request: I64
    request_length: I64
    response: I64
    response_length: I64

    answered: I64
    """Responses that clients got."""
    resets: I64
    received: I64
    """Packets that readers took."""
    sent: I64
    """Packets that the engine sent."""
    progress_at: I64
    peers_ns: I64
    reader_ns: I64
    distributor_ns: I64
    input_ns: I64
    """Of the engine: IP, TCP, application."""
    output_ns: I64
    """Timers and what is on the work list: application, TCP."""
    send_ns: I64


rig_at = pointer_to(Rig)


@kernel
def _clock(rig: Rig, which: int) -> int:
    _clock_gettime(which, rig.scratch)
    return load64(rig.scratch) * 1_000_000_000 + load64(rig.scratch + 8)


@kernel
def _put(rig: Rig, nic: int, length: int) -> int:
    queue = rig.queue_1 if nic else rig.queue_0
    return queue_put(packet_queue_at(queue), 0, rig.room, length, Checksum.VALID)


@kernel
def _turn_ethernet(rig: Rig, frame: int, ether_type: int) -> int:
    """Begin an answer: back to where the frame came from."""
    copy(rig.room, frame + _MAC, _MAC)
    copy(rig.room + _MAC, frame, _MAC)
    return store16be(rig.room + 2 * _MAC, ether_type)


@kernel
def _answer_arp(rig: Rig, nic: int, frame: int) -> int:
    """Whoever is asked for is at home, at a made-up address."""
    arp = frame + _IP
    if load16be(arp + 6) != 1:
        return 0
    _turn_ethernet(rig, frame, TYPE_ARP)
    own = rig.room + _IP
    copy(own, arp, 6)
    store16be(own + 6, 2)
    store16be(rig.room + _MAC, 0x0200)
    copy(own + 8, rig.room + _MAC, _MAC)
    copy(own + 14, arp + 24, 4)
    copy(own + 18, arp + 8, 10)
    return _put(rig, nic, 60)


@kernel
def _send(rig: Rig, nic: int, frame: int, flags: int, acknowledgment: int, data: int, length: int) -> int:
    """Answer a segment."""
    tcp = frame + _TCP
    _turn_ethernet(rig, frame, TYPE_IPV4)
    source, destination = load32be(frame + _IP + 16), load32be(frame + _IP + 12)
    write_ipv4(rig.room + _IP, source, destination, PROTOCOL_TCP, TCP_HEADER + length)
    sequence = _SERVER_START if flags & SYN else load32be(tcp + 8)
    write_tcp(rig.room + _TCP, load16be(tcp + 2), load16be(tcp), sequence, acknowledgment, flags, _WINDOW, TCP_HEADER)
    copy(rig.room + _DATA, data, length)
    return _put(rig, nic, _DATA + length)


@kernel
def _answer(rig: Rig, nic: int, frame: int) -> int:
    """Do what a client (NIC 0) or a server (NIC 1) does with a packet."""
    if load16be(frame + 12) == TYPE_ARP:
        return _answer_arp(rig, nic, frame)
    tcp = frame + _TCP
    flags = load8(tcp + 13)
    length = load16be(frame + _IP + 2) - 20 - (load8(tcp + 12) >> 4) * 4
    if flags & RST:
        rig.resets += 1
        return 0
    if flags & SYN == 0 and length == 0:
        return 0
    after = (load32be(tcp + 4) + length + (flags & SYN != 0)) & 0xFFFF_FFFF
    if nic == 0:
        rig.answered += length != 0
        return _send(rig, nic, frame, PSH | ACK, after, rig.request, rig.request_length)
    if flags & SYN:
        return _send(rig, nic, frame, SYN | ACK, after, rig.response, 0)
    return _send(rig, nic, frame, PSH | ACK, after, rig.response, rig.response_length)


@kernel
def _play(rig: Rig, engine: Engine) -> int:
    """Let the peers answer all that the engine sent; return how many packets."""
    count = 0
    for nic in range(2):
        ring = transmit_ring(rig.base, engine.index, nic)
        home = transmit_return_ring(rig.base, engine.index, nic)
        waiting = ring_waiting(ring)
        for _ in range(waiting):
            frame = descriptor_frame(ring_take(ring))
            _answer(rig, nic, frame_address(rig.base, frame))
            ring_write(home, frame)
        if waiting:
            ring_give_back(ring)
            ring_publish(home)
        count += waiting
    rig.sent += count
    return count


@kernel
def _read(rig: Rig, engine: Engine, now: int) -> int:
    reader_breath(rig.base, reader_at(rig.reader_0), reader_local_at(rig.local_0), now)
    reader_breath(rig.base, reader_at(rig.reader_1), reader_local_at(rig.local_1), now)
    count = 0
    for nic in range(2):
        count += ring_waiting(inbound_ring(rig.base, 2 * engine.index + nic))
    rig.received += count
    return count


@kernel
def _distribute(rig: Rig, engine: Engine, waiting: int, now: int) -> int:
    """Decide on all that waits. With nothing to decide there is no breath: its sweep would count as a packet's cost."""
    while waiting > 0:
        waiting -= distributor_breath(rig.base, distributor_of(rig.base, engine.index), packet_at(rig.packet), now)
    return 0


@kernel
def _turn(rig: Rig, engine: Engine, now: int, which: int) -> int:
    """Do one turn, and note what each part took by a clock."""
    begin = _clock(rig, which)
    moved = _play(rig, engine)
    played = _clock(rig, which)
    waiting = _read(rig, engine, now)
    read = _clock(rig, which)
    _distribute(rig, engine, waiting, now)
    decided = _clock(rig, which)
    engine.now = now
    if engine.links:
        exchange_in(engine)
    while _take_batches(engine, packet_at(rig.packet), sender_at(rig.sender)):
        pass  # all of it: what a ring has no room for would be lost, and the peers send nothing twice
    taken = _clock(rig, which)
    advance(engine)
    _work(engine, sender_at(rig.sender))
    worked = _clock(rig, which)
    flush(engine, sender_at(rig.sender))
    _send_frames_home(engine)
    if engine.links:
        exchange_out(engine)
    rig.send_ns += _clock(rig, which) - worked
    rig.peers_ns += played - begin
    rig.reader_ns += read - played
    rig.distributor_ns += decided - read
    rig.input_ns += taken - decided
    rig.output_ns += worked - taken
    return moved + waiting


@entry_kernel
def rig_run(rig_address: int, answers: int, on_cpu: int) -> int:
    """Go on until so many more responses have come, or nothing moves any more; return how many came.

    With ``on_cpu`` parts are timed by the thread's CPU clock, which others on the same core do not move; else by the
    monotonic one, which costs less.
    """
    rig = rig_at(rig_address)
    engine = engine_at(rig.engine)
    which = _THREAD_CPU if on_cpu else _MONOTONIC
    before = rig.answered
    now = now_us(rig.scratch)
    rig.progress_at = now
    while rig.answered - before < answers and now - rig.progress_at < _STALLED_US:
        if _turn(rig, engine, now, which):
            rig.progress_at = now
        now = now_us(rig.scratch)
    return rig.answered - before


@entry_kernel
def rigs_run(rig_addresses: int, count: int, answers: int) -> int:
    """Let some engines of one arena take turns until so many responses have come to all; return how many came."""
    first = rig_at(load64(rig_addresses))
    came = 0
    now = now_us(first.scratch)
    progress_at = now
    while came < answers and now - progress_at < _STALLED_US:
        for place in range(count):
            rig = rig_at(load64(rig_addresses + 8 * place))
            before = rig.answered
            _turn(rig, engine_at(rig.engine), now, _MONOTONIC)
            came += rig.answered - before
            if rig.answered != before:
                progress_at = now
        now = now_us(first.scratch)
    return came


@entry_kernel
def empty_breaths(rig_address: int, count: int, with_queues: int) -> int:
    """Breathe where nothing waits, as the loop of an engine does; ``with_queues``: read and distribute as well."""
    rig = rig_at(rig_address)
    engine, packet, sender = engine_at(rig.engine), packet_at(rig.packet), sender_at(rig.sender)
    now = now_us(rig.scratch)
    done = 0
    for _ in range(count):
        if with_queues:
            done += reader_breath(rig.base, reader_at(rig.reader_0), reader_local_at(rig.local_0), now)
            done += reader_breath(rig.base, reader_at(rig.reader_1), reader_local_at(rig.local_1), now)
            done += distributor_breath(rig.base, distributor_of(rig.base, engine.index), packet, now)
        done += engine_breath(engine, packet, sender, now)
    return done


@kernel
def _read_headers(base: int, packet: Packet) -> int:
    read_ethernet(packet)
    read_ipv4(packet)
    return find_address(base, packet.destination_high, packet.destination_low).kind


@entry_kernel
def ip_many(base: int, packet_address: int, frame: int, length: int, count: int) -> int:
    """Do what an engine's IP layer does for each received packet."""
    packet = packet_at(packet_address)
    total = 0
    for _ in range(count):
        packet.frame = frame
        packet.length = length
        total += _read_headers(base, packet)
    return total
