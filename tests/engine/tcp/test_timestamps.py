"""Timestamps and protection against old segments (RFC 7323 §3 to §5), and time-outs that they undo (RFC 3522)."""

from __future__ import annotations

import pytest

from tests.support.tcp_script import WRAP, Script

DAY_US = 86_400_000_000
MSS = 1448


def opened(first: int = 500, *, rtt_ms: int = 0, sack: bool = False) -> Script:
    """The client's connection has timestamps, from a number on; the service's has none."""
    script = Script("client", tcp="timestamps: true, congestion: newreno", sack=sack, rtt_ms=rtt_ms)
    script.client.sends("S", mss=1460, scale=7, sack=sack, ts=(first, 0))
    permitted = " sackok" if sack else ""
    script.client.gets(f"SA 0 ack 1 win 65535 mss 1460{permitted} scale 2 echo {first}")
    script.lab.now += script.rtt_us
    script.client.sends("A", ts=(first + 1, script.client.stamp))
    script.client.gets()
    script.service.gets("S 0 win 65535 mss 1460 sackok scale 2 echo 0")
    script.service.opens()
    script.service.gets("A 1 ack 1")
    script.mark()
    return script


def give(s: Script, length: int) -> None:
    """Let the service send so much that the engine passes on to the client."""
    while length > 0:
        s.service.sends("A", data=min(1024, length))
        length -= 1024
    s.settle()
    s.service.inbox.clear()


def test_every_segment_echoes_and_the_mss_leaves_room() -> None:
    with opened() as s:
        give(s, 2 * MSS)
        s.end.gets(f"A 1+{MSS} ack 1 echo 501", f"PA {1 + MSS}+{MSS} ack 1 echo 501")
        before = s.end.stamp
        s.lab.now += 10 * 1024
        s.end.sends("PA", data=5, ts=(600, before))
        s.other.gets("PA 1+5 ack 2897")
        s.wait(45)
        s.end.gets("A 2897 ack 6 echo 600")
        assert (s.end.stamp - before) % WRAP == pytest.approx(10 + 40, abs=2)
        s.other.sends("A")
        s.counted(delayed_acks=1)


def test_nothing_is_said_to_a_peer_without_timestamps() -> None:
    with opened() as s:
        assert (s.service.live().timestamps, s.service.live().mss) == (0, 1460)
        assert (s.client.live().timestamps, s.client.live().mss) == (1, MSS)


def test_an_old_segment_is_refused_and_answered() -> None:
    with opened() as s:
        s.end.sends("PA", data=5, ts=(500, s.end.stamp))  # 501 came before
        s.end.gets("A 1 ack 1 echo 501")
        s.end.sends("PA", 1, data=5, ts=(501, s.end.stamp))
        s.other.gets("PA 1+5 ack 1")
        s.other.sends("A")
        s.wait(41)
        s.end.gets("A 1 ack 6 echo 501")
        s.counted(drop_tcp_old_timestamp_packets=1, delayed_acks=1)


def test_timestamps_come_round() -> None:
    with opened(WRAP - 2) as s:
        s.end.sends("PA", data=5, ts=(3, s.end.stamp))
        s.other.gets("PA 1+5 ack 1")
        s.other.sends("A")
        s.wait(41)
        s.end.gets("A 1 ack 6 echo 3")
        s.counted(delayed_acks=1)


def test_after_weeks_of_silence_nothing_is_too_old() -> None:
    with opened() as s:
        tcb = s.end.live()
        tcb.ts_recent_at = s.lab.now - 25 * DAY_US
        s.end.sends("PA", data=5, ts=(7, s.end.stamp))
        s.other.gets("PA 1+5 ack 1")
        assert tcb.ts_recent == 7
        s.other.sends("A")
        s.wait(41)
        s.end.gets("A 1 ack 6 echo 7")
        s.counted(delayed_acks=1)


def test_a_segment_without_a_timestamp_is_dropped_but_a_reset_is_not() -> None:
    with opened() as s:
        s.end.sends("PA", data=5)
        s.end.gets()
        s.end.sends("R", 1)
        s.settle()
        assert s.end.tcb() is None
        s.other.inbox.clear()
        assert s.lab.totals().values["drop_tcp_no_timestamp_packets"] == 1
        s.mark()


def test_what_came_too_early_is_not_echoed() -> None:
    with opened(sack=True) as s:
        s.end.sends("A", 11, data=10, ts=(700, s.end.stamp))
        s.end.gets("A 1 ack 1 echo 501 sack 11-21")  # RFC 7323 §4.3, case B
        s.end.sends("A", 1, data=10, ts=(710, s.end.stamp))
        s.end.gets("A 1 ack 21 echo 710")
        s.other.gets("PA 1+20 ack 1")
        s.other.sends("A")
        s.counted(out_of_order_segments=1)


def test_three_blocks_beside_timestamps() -> None:
    with opened(sack=True) as s:
        for start in (11, 31, 51, 71):
            s.end.sends("A", start, data=10, ts=(700, s.end.stamp))
            s.settle()
        s.end.inbox = s.end.inbox[-1:]
        s.end.gets("A 1 ack 1 echo 501 sack 71-81 51-61 31-41")
        s.counted(out_of_order_segments=4)


def timed_out(s: Script) -> int:
    """Ten segments are in flight, of which the first went out again after a time-out; return their timestamp."""
    give(s, 40 * MSS)
    stamp = s.end.live().iss + (s.lab.now >> 10)
    s.wait(520)
    assert s.end.inbox[-1][1].sequence == (s.end.engine_first + 1) % WRAP
    s.end.inbox.clear()
    assert (s.end.live().cwnd, s.end.live().verification) == (MSS, 1)
    return stamp % WRAP


def test_the_echo_of_the_first_one_undoes_a_time_out_at_once() -> None:
    with opened(sack=True, rtt_ms=100) as s:
        stamp = timed_out(s)
        s.end.sends("A", ack=1 + MSS, ts=(900, stamp))
        s.settle()
        tcb = s.end.live()
        assert (tcb.in_recovery, tcb.lost_bytes) == (0, 0)
        assert tcb.cwnd >= 10 * MSS
        assert tcb.srtt >> 3 > 140_000  # one eighth of the way from 100 to 520 ms
        assert s.lab.totals().values["spurious_timeouts"] == 1
        s.end.inbox.clear()
        s.mark()


def test_the_echo_of_the_second_one_shows_a_true_loss_and_the_round_trip_time() -> None:
    with opened(sack=True, rtt_ms=100) as s:
        timed_out(s)
        s.wait(100)
        now = (s.end.live().iss + (s.lab.now - 100_000 >> 10)) % WRAP
        assert s.end.live().rto >= 600_000
        s.end.sends("A", ack=1 + MSS, ts=(900, now))
        s.settle()
        tcb = s.end.live()
        assert tcb.in_recovery
        assert tcb.rto < 400_000  # no back-off is left (RFC 7323 §4)
        assert s.lab.totals().values["spurious_timeouts"] == 0
        s.end.inbox.clear()
        s.mark()


def test_what_was_sent_again_is_not_mistaken_for_what_arrived() -> None:
    with opened(sack=True, rtt_ms=100) as s:
        give(s, 10 * MSS)
        s.end.inbox.clear()
        stamp = (s.end.live().iss + (s.lab.now >> 10)) % WRAP
        s.wait(100)
        s.end.sends("A", ack=1, sack=[(1 + MSS, 1 + 4 * MSS)], ts=(800, stamp))
        s.settle()
        tcb = s.end.live()
        assert tcb.in_recovery
        before = tcb.rack_sent_at
        s.wait(110)  # longer than the least round-trip time, and yet it is the first one that arrived late
        s.end.sends("A", ack=1 + 4 * MSS, ts=(900, stamp))
        s.settle()
        assert tcb.rack_sent_at == before
        s.end.inbox.clear()
        s.mark()
