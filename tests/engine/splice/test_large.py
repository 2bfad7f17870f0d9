"""Segments larger than the other side takes: named where they lie, and cut by the kernel or by the engine."""

from __future__ import annotations

import struct

import pytest

from ncore_ray.arena.frame import Checksum
from ncore_ray.lab.dry.packets import internet_checksum, pseudo_header
from ncore_ray.machine.record import size_of, view
from ncore_ray.nic.direct import Offload, Piece, Slot
from ncore_ray.tables.nic import Cutting, Nic, Transmit
from tests.engine.splice.pairs import open_spliced
from tests.support.tcp_script import SERVICE, SNIP, pattern


@pytest.mark.parametrize("checksum", [Checksum.VALID, Checksum.PARTIAL])
@pytest.mark.parametrize("odd", [0, 1])
def test_large_segment_is_cut_here_where_the_nic_cannot(checksum: Checksum, odd: int) -> None:
    with open_spliced() as s:
        s.client.said = dict(enumerate(pattern(1, 5_000 + odd), 1))
        frame = s.client.segment("PFA", 1, 1, pattern(1, 5_000 + odd))
        if checksum == Checksum.PARTIAL:
            frame = frame[:50] + b"\x12\x34" + frame[52:]
        s.inject(0, frame, checksum=checksum)
        s.client.next = 5_002 + odd
        s.service.gets("A 1+1460 ack 1", "A 1461+1460 ack 1", "A 2921+1460 ack 1", f"FPA 4381+{620 + odd} ack 1")
        s.counted(spliced_segments=1)


def test_segment_of_a_partial_checksum_gets_a_whole_one() -> None:
    with open_spliced() as s:
        s.client.said = dict(enumerate(pattern(1, 777), 1))
        frame = s.client.segment("A", 1, 1, pattern(1, 777))
        s.inject(0, frame[:50] + b"\x12\x34" + frame[52:], checksum=Checksum.PARTIAL)
        s.service.gets("A 1+777 ack 1")
        s.counted(spliced_segments=1)


def test_segments_are_as_small_as_the_service_has_said() -> None:
    with open_spliced(service=536) as s:
        s.client.sends("A", 1, ack=1, data=1_200)
        s.service.gets("A 1+536 ack 1", "A 537+536 ack 1", "A 1073+128 ack 1")
        s.counted(spliced_segments=1)


def test_wrong_checksum_goes_no_further() -> None:
    with open_spliced() as s:
        frame = s.client.segment("A", 1, 1, b"abc")
        s.inject(0, frame[:-1] + b"x")
        s.service.gets()
        s.counted(drop_tcp_bad_checksum_packets=1)


def test_batch_of_large_segments_finds_room() -> None:
    """Each takes 45 packets: what was made leaves in between."""
    with open_spliced() as s:
        for number in range(16):
            s.lab.receive(0, s.client.segment("A", 1, 1, pattern(1, 60_000)), checksum=Checksum.VALID)
            if number % 2:
                s.lab.breathe()
                s.lab.sent()
        assert s.lab.counters().drop_tcp_no_slot_packets == 0
        assert s.lab.counters().spliced_segments == 17
        s._before = s.lab.totals()
        s.counted()


@pytest.mark.parametrize("length", [100, 1_460, 1_461, 60_001])
@pytest.mark.parametrize("checksum", [Checksum.VALID, Checksum.PARTIAL])
def test_nic_that_cuts_is_left_the_rest(length: int, checksum: Checksum) -> None:
    """One packet, whatever its length: the checksum of a whole one is carried on, all else is left to the kernel."""
    s = open_spliced()
    nic = view(Nic, s.lab.array, s.lab.arena.nics + size_of(Nic))
    nic.offload, nic.transmit = Cutting.SEGMENTS, Transmit.DIRECT
    s.client.said = dict(enumerate(pattern(1, length), 1))
    s.lab.receive(0, s.client.segment("PA", 1, 1, pattern(1, length)), checksum=checksum)
    before = s.lab.counters().made_packets
    s.lab.breathe()
    assert s.lab.counters().made_packets == before + 1
    slot = view(Slot, s.lab.array, s.lab.engine().slots)
    carried = length <= 1_460 and checksum == Checksum.VALID
    assert slot.offload == (Offload.PLAIN if carried else Offload.CHECKSUM)
    assert slot.segment == (1_460 if length > 1_460 else 0)
    pieces = [(slot.first, slot.first_length), (slot.second, slot.second_length)]
    for index in range(slot.more_count):
        piece = view(Piece, s.lab.array, slot.more + index * size_of(Piece))
        pieces.append((piece.offset, piece.length))
    payload = b"".join(s.lab.array[start : start + size].tobytes() for start, size in pieces)
    assert payload == pattern(1, length)
    header = s.lab.array[slot.header : slot.header + slot.header_length].tobytes()
    _check_sum(header[34:], payload, carried)


def _check_sum(header: bytes, payload: bytes, carried: bool) -> None:
    pseudo = pseudo_header(SNIP, SERVICE, 6, len(header) + len(payload))
    if carried:
        assert internet_checksum(pseudo + header + payload) == 0
    else:
        assert struct.unpack(">H", header[16:18])[0] == 0xFFFF - internet_checksum(pseudo)
