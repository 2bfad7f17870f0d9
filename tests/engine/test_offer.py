"""Payload forwarded by reference: received frames change sides with empty ones, and both pools keep their sizes."""

from __future__ import annotations

from functools import partial

import pytest

from ncore_ray.arena.core import Actor
from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.engine.offer import LEAST_KEPT
from ncore_ray.engine.takeover.run import take_over
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import JIT
from tests.engine.takeover.mortal import die_at_line
from tests.support.tcp_script import Script, established, pattern

_OFFER, _BUFFER = "/engine/offer.py", "/engine/buffer.py"
sides = pytest.mark.parametrize("side", ["client", "service"])


def frames_of_pool(lab: EngineLab) -> set[int]:
    """Return the frames that are the engine's, wherever they are."""
    return {int(frame) for frame in (lab._metas()["owner"] == Actor.ENGINE).nonzero()[0]}


def first_pool(lab: EngineLab) -> set[int]:
    engine = lab.engine()
    return set(range(engine.first_frame, engine.first_frame + engine.frame_count))


def kept(s: Script) -> int:
    """Return how many frames that were a NIC's are the engine's; no frame is anybody's twice, none is lost."""
    lab = s.lab
    s.breathe()  # frames of packets that were sent come home
    s.breathe()
    at_nics = [frame for frames in lab._nic_frames for frame in frames]
    pool = frames_of_pool(lab)
    assert len(set(at_nics)) == len(at_nics) == lab.arena.nic_count * lab.blueprint.dimensions.nic_frames
    assert not pool & set(at_nics)
    assert len(pool) == lab.engine().frame_count
    return len(pool - first_pool(lab))


@sides
@pytest.mark.parametrize("size", [LEAST_KEPT - 1, LEAST_KEPT, 1_460])
def test_full_packets_are_kept_and_small_ones_copied(side: str, size: int) -> None:
    with established(side) as s:
        s.end.sends("PA", data=size)
        s.other.gets(f"PA 1+{size} ack 1")
        assert kept(s) == (1 if size >= LEAST_KEPT else 0)
        s.other.sends("A", ack=1 + size)
        s.settle()
        kept(s)
        s.end.inbox.clear()


@sides
def test_full_frames_of_a_large_segment_are_kept(side: str) -> None:
    """The first frame, with the headers, and those that follow; the rest in the last one is copied."""
    with established(side) as s:
        s.end.sends("PA", data=4 * FRAME_SIZE)
        s.settle()
        assert kept(s) == 4
        s.other.sends("A", ack=1 + 4 * FRAME_SIZE)
        s.settle()
        s.end.sends("PA", data=4 * FRAME_SIZE)
        s.settle()
        kept(s)
        s.end.inbox.clear()
        s.other.inbox.clear()


def test_held_bytes_are_kept_and_move_on_as_they_are() -> None:
    with established(tcp="receive_window: 8KiB, send_buffer: 4KiB") as s:
        s.end.sends("PA", data=8_000)
        s.settle()
        assert kept(s) == 4
        s.other.sends("A", ack=4_001)
        s.settle()
        s.other.sends("A", ack=8_001)
        s.settle()
        assert kept(s) == 4
        assert b"".join(segment.payload for _, segment in s.other.inbox) == pattern(1, 8_000)
        s.end.inbox.clear()
        s.other.inbox.clear()


def test_without_memory_the_packet_is_dropped_and_its_frame_goes_home() -> None:
    with established() as s:
        engine = s.lab.engine()
        engine.frame_reserve = engine.frame_count
        s.end.sends("PA", data=1_460)
        assert kept(s) == 0
        s.counted(drop_tcp_no_memory_packets=1)


@pytest.mark.skipif(JIT, reason="only plain Python can be cut off at a line")
@pytest.mark.parametrize(("size", "rooms"), [(1_460, (_OFFER, _BUFFER)), (2 * FRAME_SIZE, (_OFFER,))])
def test_death_at_any_line_of_an_exchange(size: int, rooms: tuple[str, ...]) -> None:
    """Wherever the engine dies, each frame is somebody's, once: the reader's in the end, or the engine's."""
    line, died = 1, True
    seen: set[tuple[bool, bool]] = set()
    while died:
        with established() as s:
            lab, engine = s.lab, s.lab.engine()
            s.end.sends("PA", data=size)
            died = die_at_line(line, partial(lab.run_breath, 0), rooms=rooms)
            if died:
                seen.add((engine.offered != 0, engine.given != 0))
                assert take_over(lab.array, 0, lab.now).unmarked == 0
            kept(s)
            s.end.inbox.clear()
            s.other.inbox.clear()
            s._counted = True
        line += 1
    assert seen == {(False, False), (True, False), (True, True), (False, True)}
