"""Losses are repaired without memory to note what the peer says it holds: by counting duplicates."""

from __future__ import annotations

from ncore_ray.engine.tcp.state import Recovery, Sack
from tests.engine.tcp.test_sending import MSS, flight, give
from tests.support.tcp_script import Script, established


def pair(tcp: str = "congestion: newreno") -> Script:
    """Both connections are open with SACK, in an engine whose blocks are all taken."""
    s = established(sack=True, tcp=tcp)
    engine = s.lab.engine()
    engine.span_block_count = engine.span_blocks_used = 0
    return s


def held(first: int, last: int) -> list[tuple[int, int]]:
    """Return the block of full segments from one to before another."""
    return [(1 + MSS * first, 1 + MSS * last)]


def test_three_duplicates_say_that_the_first_segment_is_lost() -> None:
    with pair() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        s.wait(1)
        s.end.sends("A", ack=1, sack=held(1, 2))
        s.end.sends("A", ack=1, sack=held(1, 3))
        s.end.gets()
        assert s.end.live().sack_permitted == Sack.BLIND
        s.end.sends("A", ack=1, sack=held(1, 4))
        s.end.gets(f"A 1+{MSS} ack 1")
        assert s.end.live().in_recovery == Recovery.FAST
        s.end.sends("A", ack=1 + 10 * MSS)
        s.end.gets()
        assert (s.end.live().in_recovery, s.end.live().sack_permitted) == (Recovery.NONE, Sack.FULL)
        s.counted(fast_retransmits=1, retransmitted_segments=1, blind_recoveries=1)


def test_a_block_that_comes_free_does_not_end_the_counting() -> None:
    with pair() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        s.wait(1)
        s.end.sends("A", ack=1, sack=held(1, 2))
        s.end.gets()
        assert s.end.live().sack_permitted == Sack.BLIND
        s.lab.engine().span_block_count = 1
        s.end.sends("A", ack=1, sack=held(1, 3))
        s.end.gets()
        assert s.end.live().sacked_bytes == 0
        s.end.sends("A", ack=1, sack=held(1, 4))
        s.end.gets(f"A 1+{MSS} ack 1")
        s.end.sends("A", ack=1 + 10 * MSS)
        s.end.gets()
        assert s.end.live().sack_permitted == Sack.FULL
        s.counted(fast_retransmits=1, retransmitted_segments=1, blind_recoveries=1)


def test_a_partial_acknowledgment_says_that_the_next_one_is_lost_too() -> None:
    with pair() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        s.wait(1)
        for last in (2, 3, 4):
            s.end.sends("A", ack=1, sack=held(1, last))
        s.end.gets(f"A 1+{MSS} ack 1")
        s.wait(1)
        s.end.sends("A", ack=1 + 4 * MSS, sack=held(5, 10))
        s.end.gets(f"A {1 + 4 * MSS}+{MSS} ack 1")  # and not all that is behind it
        s.end.sends("A", ack=1 + 10 * MSS)
        s.end.gets()
        s.counted(fast_retransmits=1, retransmitted_segments=2, blind_recoveries=1)


def test_after_a_time_out_all_goes_out_again_as_it_is_acknowledged() -> None:
    with pair("congestion: newreno, mtu_probing: off") as s:  # three time-outs could mean a black hole
        give(s, 8 * MSS)
        s.end.gets(*flight(1, 8, last=True))
        s.wait(1_000)  # the probe is lost, too
        s.end.inbox.clear()
        s.mark()
        s.wait(800)
        s.end.inbox.clear()
        for segment in range(1, 8):
            s.end.sends("A", ack=1 + segment * MSS)
            s.settle()
        sent = {text for _, got in s.end.inbox for text in [s.end._text(got)]}
        assert f"A {1 + MSS}+{MSS} ack 1" in sent
        assert s.lab.totals().values["retransmission_timeouts"] <= 3  # not one for each segment
        s.end.sends("A", ack=1 + 8 * MSS)
        s.settle()
        s.end.inbox.clear()
        assert s.end.live().snd_una == s.end.live().snd_max
        s.mark()
