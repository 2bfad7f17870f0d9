"""Selective acknowledgments, both ways (RFC 2018, RFC 2883, RFC 6675, RFC 6937)."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.reassembly import FEWEST_SEGMENTS
from ncore_ray.engine.tcp.spans import BLOCK_SPANS
from tests.engine.tcp.test_sending import MSS, flight, give
from tests.support.tcp_script import Script, established

sides = pytest.mark.parametrize("side", ["client", "service"])


def pair(side: str = "client") -> Script:
    """Both connections of the pair are open, with SACK; a loss halves the window."""
    return established(side, sack=True, tcp="congestion: newreno")


def at(segment: int) -> int:
    """Return the relative number of the first byte of a full segment."""
    return 1 + MSS * segment


def block(first: int, last: int) -> tuple[int, int]:
    """Return the block of full segments from one to before another."""
    return at(first), at(last)


# What we say.


@sides
def test_early_segments_are_named(side: str) -> None:
    with pair(side) as s:
        s.end.sends("A", 11, data=10)
        s.end.gets("A 1 ack 1 sack 11-21")
        s.end.sends("A", 31, data=10)
        s.end.gets("A 1 ack 1 sack 31-41 11-21")  # the latest first (RFC 2018 §4)
        s.end.sends("A", 21, data=10)
        s.end.gets("A 1 ack 1 sack 11-41")
        s.end.sends("A", 1, data=10)
        s.end.gets("A 1 ack 41")
        s.other.gets("PA 1+40 ack 1")
        s.other.sends("A")
        s.counted(out_of_order_segments=3)


def test_four_blocks_at_the_most_and_the_latest_ones() -> None:
    with pair() as s:
        for start in (11, 31, 51, 71, 91):
            s.end.sends("A", start, data=10)
            s.settle()
        s.end.inbox = s.end.inbox[-1:]
        s.end.gets("A 1 ack 1 sack 91-101 71-81 51-61 31-41")
        s.end.sends("A", 36, data=10)
        s.end.gets("A 1 ack 1 sack 31-46 91-101 71-81 51-61")
        s.end.sends("A", 1, data=10)
        s.end.gets("A 1 ack 21 sack 31-46 91-101 71-81 51-61")
        s.other.inbox.clear()
        s.mark()


def test_no_more_acknowledgments_of_early_segments_than_a_peer_needs() -> None:
    """Each costs walks along all that wait."""
    with pair() as s:
        for start in (11, 31, 51, 71, 91):
            s.end.sends("A", start, data=10)
        s.settle()
        assert len(s.end.inbox) == 3
        s.end.inbox.clear()
        s.mark()


def test_small_early_segments_are_few() -> None:
    """A host that sends single bytes with holes in between would have us walk along a thousand of them each time."""
    with pair() as s:
        for number in range(FEWEST_SEGMENTS + 20):
            s.end.sends("A", 11 + 2 * number, data=1)
            s.settle()
        s.end.inbox.clear()
        s.end.sends("A", 5_001, data=300)
        s.end.gets("A 1 ack 1 sack 5001-5301 201-202 199-200 197-198")
        s.counted(out_of_order_segments=FEWEST_SEGMENTS + 1, drop_tcp_no_memory_packets=20)


def test_blocks_across_the_wrap_of_sequence_numbers() -> None:
    with pair() as s:
        s.end.sends("A", 2, data=4)  # the number 0 lies in it: the first is 2³² − 3
        s.end.gets("A 1 ack 1 sack 2-6")
        s.end.sends("A", 1, data=1)
        s.end.gets("A 1 ack 6")
        s.other.gets("PA 1+5 ack 1")
        s.counted(out_of_order_segments=1)


@sides
def test_what_came_twice_is_said(side: str) -> None:
    with pair(side) as s:
        s.end.sends("A", data=20)
        s.other.gets("PA 1+20 ack 1")
        s.wait(41)
        s.end.gets("A 1 ack 21")
        s.end.sends("A", 1, data=20)
        s.end.gets("A 1 ack 21 sack 1-21")  # RFC 2883 §4.1
        s.end.sends("A", 11, data=20)
        s.other.gets("PA 21+10 ack 1")
        s.wait(41)
        s.end.gets("A 1 ack 31 sack 11-21")
        s.other.sends("A")
        s.settle()
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_what_came_twice_too_early_is_said_before_its_block() -> None:
    with pair() as s:
        s.end.sends("A", 11, data=20)
        s.end.gets("A 1 ack 1 sack 11-31")
        s.end.sends("A", 11, data=10)
        s.end.gets("A 1 ack 1 sack 11-21 11-31")  # RFC 2883 §4.2
        s.counted(out_of_order_segments=1, duplicate_segments=1)


@pytest.mark.parametrize(("permitted", "tcp"), [(False, ""), (True, "sack: false")])
def test_nothing_is_said_unless_both_ends_permit_it(permitted: bool, tcp: str) -> None:
    with established(sack=permitted, tcp=tcp) as s:
        s.end.sends("A", 11, data=10)
        s.end.gets("A 1 ack 1")
        s.counted(out_of_order_segments=1)


# What is done with what the peer says.


@sides
def test_recovery_sends_only_what_is_missing(side: str) -> None:
    with pair(side) as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        s.wait(1)
        s.end.sends("A", ack=1, sack=[block(1, 3)])
        s.end.sends("A", ack=1, sack=[block(1, 3), block(4, 5)])
        s.end.gets(f"A 1+{MSS} ack 1")  # three segments were sent after the first: it is lost (RFC 8985 §6.2)
        assert s.end.live().lost_bytes == MSS  # and so is the other one, before the last of them
        s.end.sends("A", ack=1, sack=[block(4, 8)])
        s.end.gets(f"A {at(3)}+{MSS} ack 1")
        s.end.sends("A", ack=at(3), sack=[block(4, 10)])
        s.end.gets()
        s.end.sends("A", ack=at(10))
        s.end.gets()
        tcb = s.end.live()
        assert (tcb.in_recovery, tcb.span_count, tcb.sacked_bytes) == (0, 0, 0)
        assert tcb.cwnd == tcb.ssthresh == 5 * MSS
        s.counted(fast_retransmits=1, retransmitted_segments=2)


def test_recovery_lets_out_one_segment_for_two_that_arrive() -> None:
    with pair() as s:
        give(s, 40 * MSS)
        s.end.gets(*flight(1, 10))
        s.wait(1)
        new = 10
        sent = []
        for arrived in range(2, 11):
            s.end.sends("A", ack=1, sack=[block(1, arrived)])
            s.settle()
            sent.append(len(s.end.inbox))
            s.end.inbox.clear()
        assert s.end.live().in_recovery
        # Two by RFC 3042; the lost one; from there on as many as arrive × ssthresh ÷ flight (RFC 6937), here a half.
        assert sum(sent[:3]) == 3
        assert sum(sent[3:]) == pytest.approx(6 * 6 / 12, abs=1)
        assert s.end.live().snd_max != s.end.live().snd_una + new * MSS
        s.mark()


def test_the_second_hole_waits_for_its_share() -> None:
    with pair() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        for _ in range(3):
            s.end.sends("A", ack=1, sack=[block(2, 5)])
        s.end.gets(f"A 1+{MSS} ack 1")
        s.end.sends("A", ack=at(1), sack=[block(2, 5)])
        s.end.gets()  # as many are in flight as may be
        s.end.sends("A", ack=at(1), sack=[block(2, 6)])
        s.end.gets(f"A {at(1)}+{MSS} ack 1")
        s.end.sends("A", ack=at(10))
        s.end.gets()
        s.counted(fast_retransmits=1, retransmitted_segments=2)


def test_lost_fin_is_sent_again() -> None:
    with pair() as s:
        give(s, 3 * MSS)
        s.end.gets(*flight(1, 3, last=True))
        s.other.sends("FA")
        s.other.gets(f"A 1 ack {at(3) + 1}")
        s.end.gets(f"FA {at(3)} ack 1")
        s.end.sends("A", ack=at(3))
        s.wait(210)
        s.end.gets(f"FA {at(3)} ack 1")
        s.wait(210)
        s.end.gets(f"FA {at(3)} ack 1")
        s.counted(tail_loss_probes=1, retransmission_timeouts=1, retransmitted_segments=2, lost_retransmissions=1)


def test_time_out_keeps_what_the_peer_said() -> None:
    with pair() as s:
        give(s, 6 * MSS)
        s.end.gets(*flight(1, 6, last=True))
        s.wait(1)
        s.end.sends("A", ack=1, sack=[block(3, 5)])
        s.wait(5)
        s.end.gets(f"A 1+{MSS} ack 1")  # after the reordering window
        s.wait(210)
        s.end.gets(f"A 1+{MSS} ack 1")
        tcb = s.end.live()
        assert (tcb.sacked_bytes, tcb.cwnd) == (2 * MSS, MSS)
        s.end.sends("A", ack=at(1))
        s.end.gets(f"A {at(1)}+{MSS} ack 1", f"A {at(2)}+{MSS} ack 1")  # slow start
        s.end.sends("A", ack=at(5))
        s.end.gets(f"PA {at(5)}+{MSS} ack 1")
        s.end.sends("A", ack=at(6))
        s.end.gets()
        s.counted(fast_retransmits=1, retransmission_timeouts=1, retransmitted_segments=5, lost_retransmissions=1)


@pytest.mark.parametrize("wrong", [(5, 5), (9, 3), (at(1), at(11)), (at(12), at(13))])
def test_wrong_blocks_are_counted_and_nothing_else(wrong: tuple[int, int]) -> None:
    with pair() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        for _ in range(4):
            s.end.sends("A", ack=1, sack=[wrong])
        s.end.gets()
        assert s.end.live().sacked_bytes == 0
        s.counted(bad_sack_blocks=4)


def test_blocks_before_the_acknowledgment_are_duplicates() -> None:
    with pair() as s:
        give(s, 4 * MSS)
        s.end.gets(*flight(1, 4, last=True))
        s.end.sends("A", ack=at(2), sack=[block(0, 1)])
        s.end.gets()
        assert s.end.live().sacked_bytes == 0
        s.counted(duplicate_sack_blocks=1)


def test_more_holes_than_there_is_room_for() -> None:
    with pair() as s:
        give(s, 40 * MSS)
        s.end.gets(*flight(1, 10))
        for piece in range(1, 600, 2):
            start = 1 + 20 * piece
            s.end.sends("A", ack=1, sack=[(start, start + 20)])
            s.settle()
        tcb = s.end.live()
        most = BLOCK_SPANS // 2
        assert 2 * (most - 7) <= tcb.span_count <= BLOCK_SPANS
        assert (most - 7) * 20 <= tcb.sacked_bytes <= most * 20
        s.end.sends("A", ack=tcb_edge(s))
        s.settle()
        assert (tcb.sacked_bytes, tcb.span_block, tcb.in_recovery) == (0, 0, 0)
        s.end.inbox.clear()
        s.mark()


def tcb_edge(s: Script) -> int:
    """Return the relative number behind all that the engine has sent to the end under test."""
    return (s.end.live().snd_max - s.end.engine_first) % (1 << 32)
