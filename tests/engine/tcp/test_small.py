"""Small segments that wait for company, and those that do not (RFC 9293 §3.7.4)."""

from __future__ import annotations

import pytest

from tests.engine.tcp.test_sending import MSS
from tests.support.tcp_script import Script, established


def say(s: Script, length: int) -> None:
    """Let the other end say something, which the engine passes on in a breath of its own."""
    s.other.sends("A", data=length)
    s.settle()


@pytest.mark.parametrize("side", ["client", "service"])
def test_by_default_nothing_waits_but_what_comes_together_goes_together(side: str) -> None:
    with established(side) as s:
        say(s, 10)
        say(s, 10)
        s.end.gets("PA 1+10 ack 1", "PA 11+10 ack 1")
        for _ in range(5):
            s.other.sends("A", data=20)  # one breath takes all
        s.end.gets("PA 21+100 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_nagle_waits_for_the_acknowledgment() -> None:
    with established(tcp="nagle: true") as s:
        say(s, 10)
        say(s, 10)
        say(s, 10)
        s.end.gets("PA 1+10 ack 1")
        s.end.sends("A", ack=11)
        s.end.gets("PA 11+20 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_nagle_holds_no_full_segment_and_no_end_back() -> None:
    with established(tcp="nagle: true") as s:
        say(s, 10)
        s.other.sends("A", data=1024)
        s.other.sends("A", data=1024)
        s.end.gets("PA 1+10 ack 1", f"A 11+{MSS} ack 1")
        s.other.sends("FA")
        s.end.gets(f"FPA {11 + MSS}+{2048 - MSS} ack 1")
        s.other.inbox.clear()
        s.mark()


def test_a_cork_waits_so_long_and_no_longer() -> None:
    with established(tcp="cork: 20ms") as s:
        say(s, 10)
        s.wait(10)
        say(s, 10)
        s.end.gets()
        s.wait(12)
        s.end.gets("PA 1+20 ack 1")
        assert s.end.times == pytest.approx([20], abs=2)
        say(s, 10)
        s.wait(22)
        s.end.gets("PA 21+10 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_a_cork_lets_full_segments_and_the_end_go() -> None:
    with established(tcp="cork: 20ms") as s:
        for _ in range(2):
            s.other.sends("A", data=1024)
        s.end.gets(f"A 1+{MSS} ack 1")
        s.other.sends("FA")
        s.end.gets(f"FPA {1 + MSS}+{2048 - MSS} ack 1")
        s.other.inbox.clear()
        s.mark()
