"""Packets longer than a frame, as the kernel puts them together: one segment whose bytes lie in several frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.arena.frame import FRAME_SIZE, NO_FRAME
from ncore_ray.engine.pieces import take_payload
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new
from ncore_ray.nic.small_arena import make_small_arena
from ncore_ray.wire.packet import Packet, packet_at
from tests.support.tcp_script import established

sides = pytest.mark.parametrize("side", ["client", "service"])
HEADERS = 54
SMALL = "receive_window: 4KiB, send_buffer: 4KiB"
FRAMES = 8


@sides
def test_established_large_segment_is_acknowledged_at_once(side: str) -> None:
    with established(side) as s:
        s.end.sends("PA", data=5_000)
        s.other.gets("A 1+1460 ack 1", "A 1461+1460 ack 1", "A 2921+1460 ack 1", "PA 4381+620 ack 1")
        s.end.gets("A 1 ack 5001")
        s.counted()


@sides
@pytest.mark.parametrize("length", [FRAME_SIZE - HEADERS, FRAME_SIZE - HEADERS + 1, 2 * FRAME_SIZE - HEADERS])
def test_established_segment_that_fills_its_frames(side: str, length: int) -> None:
    with established(side) as s:
        s.end.sends("PA", data=length)
        s.settle()
        assert s.end.live().received_bytes == length
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.counted()


@pytest.mark.parametrize("old", [2, 1_990, 1_994, 2_100, 4_500])
def test_established_old_and_new_bytes_in_a_large_segment(old: int) -> None:
    with established() as s:
        s.end.sends("PA", data=old)
        s.settle()
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.end.sends("PA", 1, data=5_000)
        s.settle()
        assert s.end.live().received_bytes == 5_000
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.counted()


def test_established_large_segment_across_the_windows_edge() -> None:
    with established(tcp=SMALL) as s:
        s.end.sends("PA", data=5_000)
        s.end.gets("A 1 ack 4097")
        s.other.gets("A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+1176 ack 1")
        s.counted()


@sides
def test_established_gap_before_a_large_segment(side: str) -> None:
    with established(side) as s:
        s.end.sends("PA", 4, data=5_000)
        s.end.gets("A 1 ack 1")
        s.end.sends("PA", 4, data=5_000)  # again: it is there already
        s.end.gets("A 1 ack 1")
        s.other.gets()
        s.end.sends("PA", 1, data=3)
        s.other.gets("A 1+1460 ack 1", "A 1461+1460 ack 1", "A 2921+1460 ack 1", "PA 4381+623 ack 1")
        s.end.gets("A 1 ack 5004")
        s.counted(out_of_order_segments=3, duplicate_segments=3)


def test_large_segment_of_no_connection_is_answered_with_a_reset() -> None:
    with established() as s:
        s.end.sends("PA", 1, data=5_000, ack=9)
        s.end.gets("A 1 ack 1")
        s.counted(drop_tcp_bad_acknowledgment_packets=1, challenge_acks=1)


@entry_kernel
def take(base: int, packet: int, target: int, length: int) -> int:
    return take_payload(base, packet_at(packet), target, length)


@settings(max_examples=60)
@given(st.integers(0, 1 << 32))
def test_payload_is_taken_from_frames_that_lie_anywhere(seed: int) -> None:
    random = np.random.default_rng(seed)
    chain = random.permutation(FRAMES).tolist()
    arena = make_small_arena(nic_frames=FRAMES)
    whole = random.integers(0, 256, FRAMES * FRAME_SIZE, np.uint8)
    for place, frame in enumerate(chain):
        arena.write_frame(frame, whole[place * FRAME_SIZE : (place + 1) * FRAME_SIZE].tobytes())
        arena.links()[frame] = chain[place + 1] if place + 1 < FRAMES else NO_FRAME
    kept, packet, address = new(Packet)
    packet.chain, packet.frame = chain[0], arena.base + arena.header.frames + chain[0] * FRAME_SIZE
    packet.chain_at = packet.frame
    at = int(random.integers(HEADERS, 2_000))
    packet.payload, packet.payload_length = packet.frame + at, whole.size - at
    target = np.zeros(whole.size, np.uint8)
    while at < whole.size:
        skipped = min(int(random.integers(0, 3_000)), whole.size - at)
        packet.payload += skipped
        packet.payload_length -= skipped
        at += skipped
        length = min(int(random.integers(1, 5_000)), whole.size - at)
        assert take(arena.base, address, target.ctypes.data, length) == length
        assert target[:length].tobytes() == whole[at : at + length].tobytes()
        at += length
        assert packet.payload_length == whole.size - at
    del kept
