"""Data that comes in: order, gaps, overlaps, acknowledgments, the window (RFC 9293 §3.10.7.4, RFC 5681 §4.2)."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.reassembly import FEWEST_SEGMENTS
from tests.support.tcp_script import WINDOW, Script, established

sides = pytest.mark.parametrize("side", ["client", "service"])
SMALL = "receive_window: 4KiB, send_buffer: 4KiB"


@sides
def test_established_one_segment(side: str) -> None:
    with established(side) as s:
        s.end.sends("PA", data=3)
        s.other.gets("PA 1+3 ack 1")
        s.wait(38)
        s.end.gets()
        s.wait(4)
        s.end.gets("A 1 ack 4")
        s.counted(delayed_acks=1)


@sides
def test_established_second_segment_is_acknowledged_at_once(side: str) -> None:
    with established(side) as s:
        s.end.sends("PA", data=3)
        s.end.gets()
        s.end.sends("PA", data=4)
        s.end.gets("A 1 ack 8")
        s.other.gets("PA 1+3 ack 1", "PA 4+4 ack 1")
        s.counted()


@sides
def test_established_acknowledgment_rides_on_data(side: str) -> None:
    with established(side) as s:
        s.end.sends("PA", data=3)
        s.other.gets("PA 1+3 ack 1")
        s.other.sends("PA", data=5)
        s.end.gets("PA 1+5 ack 4")
        s.counted()


def test_established_delayed_acknowledgment_switched_off() -> None:
    with established(tcp="delayed_ack: 0ms") as s:
        s.end.sends("PA", data=3)
        s.end.gets("A 1 ack 4")
        s.other.gets("PA 1+3 ack 1")
        s.counted()


def test_established_batch_in_one_breath() -> None:
    with established() as s:
        for _ in range(4):
            s.end.sends("A", data=1460)
        s.end.gets("A 1 ack 5841")
        s.other.gets(*(f"A {1 + 1460 * i}+1460 ack 1" for i in range(3)), "PA 4381+1460 ack 1")
        s.counted()


@sides
def test_established_gap(side: str) -> None:
    with established(side) as s:
        s.end.sends("PA", 4, data=3)
        s.end.gets("A 1 ack 1")
        s.other.gets()
        s.end.sends("PA", 1, data=3)
        s.other.gets("PA 1+6 ack 1")
        s.end.gets("A 1 ack 7")  # at once, because it fills a gap
        s.counted(out_of_order_segments=1)


def test_established_gap_each_segment_is_answered() -> None:
    with established() as s:
        for i in range(3):
            s.end.sends("PA", 4 + 3 * i, data=3)
        s.end.gets("A 1 ack 1", "A 1 ack 1", "A 1 ack 1")  # one breath, three duplicates: the peer counts them
        s.counted(out_of_order_segments=3)


def test_established_gap_filled_in_the_same_breath() -> None:
    with established() as s:
        s.end.sends("PA", 4, data=3)
        s.end.sends("PA", 7, data=3)
        s.end.sends("PA", 1, data=3)
        s.end.gets("A 1 ack 10")
        s.other.gets("PA 1+9 ack 1")
        s.counted(out_of_order_segments=2)


def test_established_part_of_a_gap() -> None:
    with established() as s:
        s.end.sends("PA", 4, data=3)
        s.end.sends("PA", 10, data=3)
        s.end.gets("A 1 ack 1", "A 1 ack 1")
        s.end.sends("PA", 1, data=3)
        s.end.gets("A 1 ack 7")
        s.other.gets("PA 1+6 ack 1")
        s.end.sends("PA", 7, data=3)
        s.end.gets("A 1 ack 13")
        s.other.gets("PA 7+6 ack 1")
        s.counted(out_of_order_segments=2)


@pytest.mark.parametrize(
    ("second", "length", "kept"), [(4, 3, 0), (5, 1, 0), (3, 5, 1), (2, 3, 1), (6, 5, 1), (4, 9, 1)]
)
def test_established_gap_overlaps(second: int, length: int, kept: int) -> None:
    with established() as s:
        s.end.sends("PA", 4, data=3)
        s.end.sends("PA", second, data=length)
        s.end.gets("A 1 ack 1", "A 1 ack 1")
        s.end.sends("PA", 1, data=3)
        end = max(7, second + length)
        s.other.gets(f"PA 1+{end - 1} ack 1")
        s.end.gets(f"A 1 ack {end}")
        s.counted(out_of_order_segments=1 + kept, duplicate_segments=1 - kept)


def test_established_gap_is_bounded() -> None:
    with established(tcp="receive_window: 64KiB") as s:
        for i in range(FEWEST_SEGMENTS + 4):
            s.end.sends("PA", 2 + 2 * i, data=1)
        s.end.gets(*["A 1 ack 1"] * (FEWEST_SEGMENTS + 4))
        assert s.end.live().out_of_order_count == FEWEST_SEGMENTS
        s.counted(out_of_order_segments=FEWEST_SEGMENTS, drop_tcp_no_memory_packets=4)


def test_established_gap_may_be_as_large_as_a_large_window() -> None:
    with established(tcp="receive_window: 256KiB") as s:
        for i in range(256 + 4):
            s.end.sends("PA", 2 + 129 * i, data=128)
            if i % 64 == 63:
                s.settle()
        s.settle()
        s.end.inbox.clear()
        assert s.end.live().out_of_order_count == 256
        s.counted(out_of_order_segments=256, drop_tcp_no_memory_packets=4)


@sides
def test_established_old_segment(side: str) -> None:
    with established(side) as s:
        s.end.sends("PA", data=3)
        s.end.gets()
        s.other.gets("PA 1+3 ack 1")
        s.end.sends("PA", 1, data=3)
        s.end.gets("A 1 ack 4")
        s.other.gets()
        s.counted(drop_tcp_bad_sequence_packets=1)


@sides
def test_established_old_and_new_bytes(side: str) -> None:
    with established(side) as s:
        s.end.sends("PA", data=3)
        s.other.gets("PA 1+3 ack 1")
        s.end.sends("PA", 2, data=6)
        s.other.gets("PA 4+4 ack 1")
        s.end.gets("A 1 ack 8")
        s.counted()


def test_established_beyond_the_window() -> None:
    with established() as s:
        s.end.sends("PA", 1 + WINDOW, data=3)
        s.end.gets("A 1 ack 1")
        s.counted(drop_tcp_out_of_window_packets=1)


def test_established_across_the_windows_edge() -> None:
    with established(tcp=SMALL) as s:
        s.end.sends("A", data=1000)
        s.end.sends("A", data=1000)
        s.end.sends("A", data=1000)
        s.end.sends("FPA", data=1460)
        s.end.gets("A 1 ack 4097")
        s.other.gets("A 1+1460 ack 1", "A 1461+1460 ack 1", "PA 2921+1176 ack 1")
        s.counted()


def test_established_keep_alive_of_the_peer() -> None:
    with established() as s:
        s.end.sends("A", 0)
        s.end.gets("A 1 ack 1")
        s.end.sends("A", 0, data=b"x")
        s.end.gets("A 1 ack 1")
        s.counted(drop_tcp_old_acknowledgment_packets=1, drop_tcp_bad_sequence_packets=1)


def test_established_urgent_data_is_data() -> None:
    with established() as s:
        s.end.sends("PAU", data=3)
        s.other.gets("PA 1+3 ack 1")
        s.wait(45)
        s.end.gets("A 1 ack 4")
        s.counted(delayed_acks=1, urgent_segments=1)


def test_established_urgent_pointer_without_data_is_nothing() -> None:
    with established() as s:
        s.end.sends("UA")
        s.end.gets()
        s.other.gets()
        s.counted()


def test_established_urgent_data_that_come_early_stay_in_their_place() -> None:
    with established() as s:
        s.end.sends("PAU", 4, data=3)
        s.end.gets("A 1 ack 1")
        s.end.sends("PAU", 1, data=3)
        s.other.gets("PA 1+6 ack 1")
        s.end.gets("A 1 ack 7")
        s.counted(urgent_segments=2, out_of_order_segments=1)


def test_established_acknowledgment_at_the_windows_edge_counts() -> None:
    """The peer filled the window, its first segment was lost: all that it acknowledges stands at the window's end."""
    with established(tcp=SMALL) as s:
        s.other.sends("PA", data=5)
        s.end.gets("PA 1+5 ack 1")
        s.end.sends("A", 4097, ack=6)
        s.end.gets()
        assert s.end.live().send_chain_length == 0
        s.end.sends("A", 4098, ack=6)
        s.end.gets("A 6 ack 1")
        s.wait(41)
        s.other.gets("A 1 ack 6")
        s.counted(drop_tcp_out_of_window_packets=1, delayed_acks=1)


def test_established_answers_to_answers_end() -> None:
    """Two ends that somebody has confused would acknowledge each other for ever."""
    with established() as s:
        for _ in range(20):
            s.end.sends("A", 0)
            s.settle()
            s.wait(3)
        s.end.gets("A 1 ack 1", "A 1 ack 1")
        s.end.sends("PA", 0, data=b"x")
        s.end.gets("A 1 ack 1")
        s.counted(drop_tcp_old_acknowledgment_packets=20, drop_tcp_bad_sequence_packets=1, challenge_acks_suppressed=18)


def _fill(s: Script, segments: int = 4, size: int = 1024) -> None:
    """Let the end send what the other does not acknowledge, until the window is closed."""
    for _ in range(segments):
        s.end.sends("A", data=size)
        s.settle()
    s.other.inbox.clear()
    s.other.received = 1


def test_window_closes_and_opens() -> None:
    with established(tcp=SMALL) as s:
        s.end.show_windows = True
        _fill(s)
        s.end.gets("A 1 ack 2049 win 2048", "A 1 ack 4097 win 0")
        s.other.sends("A", ack=1025)
        s.end.gets()  # too little to tell of
        s.other.sends("A", ack=2049)
        s.end.gets("A 1 ack 4097 win 2048")
        s.counted()


@pytest.mark.parametrize(("in_use", "window"), [(0.4, 512 << 10), (0.6, 128 << 10)])
def test_window_is_smaller_while_half_of_the_pool_is_in_use(in_use: float, window: int) -> None:
    with established(tcp="receive_window: 512KiB") as s:
        engine = s.lab.engine()
        pool, engine.frame_count = engine.frame_count, int(engine.free_frame_count / (1 - in_use))
        s.end.sends("PA", data=3)
        s.end.sends("PA", data=3)
        s.other.gets("PA 1+6 ack 1")
        s.end.gets("A 1 ack 7")
        engine.frame_count = pool
        tcb = s.end.live()
        step = 1 << tcb.rcv_scale
        assert window - 2 * step < tcb.rcv_edge - tcb.rcv_nxt + 6 <= window + step
        s.other.sends("A")
        s.settle()
        s.counted()


def test_window_closed_data_is_refused() -> None:
    with established(tcp=SMALL) as s:
        _fill(s)
        s.end.gets("A 1 ack 2049", "A 1 ack 4097")
        s.end.sends("PA", data=1)
        s.end.gets("A 1 ack 4097")
        s.counted(drop_tcp_out_of_window_packets=1)


def test_window_closed_acknowledgment_counts() -> None:
    with established(tcp=SMALL) as s:
        s.other.sends("PA", data=5)
        s.end.gets("PA 1+5 ack 1")
        s.end.received = 1
        _fill(s)
        s.end.inbox.clear()
        s.end.sends("PA", data=1, ack=6)
        s.end.gets("A 6 ack 4097")
        assert s.end.live().snd_una == (s.end.engine_first + 6) % (1 << 32)
        assert s.end.live().send_chain_length == 0
        s.counted(drop_tcp_out_of_window_packets=1)


def test_window_closed_reset_counts() -> None:
    with established(tcp=SMALL) as s:
        _fill(s)
        s.end.inbox.clear()
        s.end.sends("R")
        s.end.gets()
        s.other.gets("RA 4097 ack 1")
        s.counted(connections_closed=2, connections_reset=2, resets_sent=1)


def test_window_edge_moves_on_by_good_steps_only() -> None:
    with established(tcp=SMALL) as s:
        s.end.show_windows = True
        s.end.sends("A", data=600)
        s.end.gets()
        s.other.gets("PA 1+600 ack 1")
        s.other.sends("A")
        s.end.sends("A", data=600)
        s.end.gets("A 1 ack 1201 win 2896")  # 600 more would be silly (RFC 9293 §3.8.6.2.2)
        s.other.inbox.clear()
        s.other.received = 1201
        s.other.sends("A", ack=1201)
        s.end.sends("A", data=600)
        s.end.sends("A", data=600)
        s.end.gets("A 1 ack 2401 win 1696")  # 1,200 neither
        s.other.inbox.clear()
        s.other.sends("A", ack=2401)
        s.end.sends("A", data=600)
        s.end.sends("A", data=600)
        s.end.gets("A 1 ack 3601 win 2896")
        s.other.inbox.clear()
        s.counted()
