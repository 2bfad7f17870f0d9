"""Explicit congestion notification: agreed, marks echoed, echoes heeded (RFC 3168 §6.1)."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.ecn import Ecn
from tests.engine.tcp.test_sending import MSS, give
from tests.support.tcp_script import Script, established, open_client

sides = pytest.mark.parametrize("side", ["client", "service"])
OFFER = "congestion: newreno, ecn: offer"
CAPABLE = 2
MARKED = 3


def pair(side: str = "client", *, sack: bool = True, tcp: str = OFFER) -> Script:
    """Both connections of the pair are open, both with ECN; a congestion halves the window."""
    return established(side, sack=sack, tcp=tcp, ecn=True)


def capable(first: int, count: int, *, flags: str = "A", last: bool = False) -> list[str]:
    """Return full segments of new data, which may be marked."""
    texts = [f"{flags if i == 0 else 'A'} {first + MSS * i}+{MSS} ack 1 ecn 2" for i in range(count)]
    return [*texts[:-1], "P" + texts[-1]] if last else texts


@sides
def test_both_ends_agree(side: str) -> None:
    with pair(side) as s:
        assert s.end.live().ecn & (Ecn.AGREED | Ecn.CAPABLE) == Ecn.AGREED | Ecn.CAPABLE
        give(s, 100)
        s.end.gets("PA 1+100 ack 1 ecn 2")
        s.end.sends("A", ack=101)
        s.wait(41)
        s.other.gets("A 1 ack 101")  # no acknowledgment may be marked (§6.1.4)
        s.counted(delayed_acks=1)


@pytest.mark.parametrize("use", ["never", "accept"])
def test_what_is_not_agreed_is_not_used(use: str) -> None:
    with established("service", tcp=f"ecn: {use}", ecn=True) as s:
        assert s.service.live().ecn & Ecn.AGREED == 0  # its SYN did not offer it, whatever the answer says
        assert bool(s.client.live().ecn & Ecn.AGREED) == (use == "accept")
        give(s, 100)
        s.service.gets("PA 1+100 ack 1")


def test_an_answer_that_mirrors_the_offer_is_none() -> None:
    with Script("service", tcp=OFFER, ecn=True) as s:
        open_client(s)
        s.service.sends("SAEC", mss=1460, scale=7)  # §6.1.1.1
        s.service.gets("A 1 ack 1")
        assert s.service.live().ecn & Ecn.AGREED == 0
        s.counted(connections_accepted=1, connections_opened=1, ecn_connections=1)


def test_a_syn_that_was_lost_is_sent_again_without_the_offer() -> None:
    with Script("service", tcp=OFFER, ecn=True) as s:
        open_client(s)
        s.wait(1_001)
        s.service.gets("S 0 win 65535 mss 1460 sackok scale 2")
        s.service.sends("SA", mss=1460, scale=7)
        s.service.gets("A 1 ack 1")
        assert s.service.live().ecn & Ecn.AGREED == 0
        s.client.inbox.clear()
        s.mark()


def test_an_answer_that_agrees_counts_even_if_it_comes_late() -> None:
    with Script("service", tcp=OFFER, ecn=True) as s:
        open_client(s)
        s.wait(1_001)
        s.service.gets("S 0 win 65535 mss 1460 sackok scale 2")
        s.service.opens()  # the first SYN arrived after all
        s.service.gets("A 1 ack 1")
        assert s.service.live().ecn & Ecn.AGREED
        s.client.inbox.clear()
        s.mark()


@sides
@pytest.mark.parametrize("sack", [True, False])
def test_marks_are_echoed_until_the_sender_has_heeded_them(side: str, sack: bool) -> None:
    with pair(side, sack=sack) as s:
        s.end.sends("A", data=MSS, mark=MARKED)
        s.end.sends("A", data=MSS, mark=CAPABLE)
        s.end.gets(f"AE 1 ack {1 + 2 * MSS}")
        s.end.sends("A", data=MSS, mark=CAPABLE)
        s.end.sends("AC", data=MSS, mark=CAPABLE)  # the window is smaller now
        s.end.gets(f"A 1 ack {1 + 4 * MSS}")
        s.end.sends("AC", data=MSS, mark=MARKED)  # and this is another congestion
        s.end.sends("A", data=MSS)
        s.end.gets(f"AE 1 ack {1 + 6 * MSS}")
        s.other.inbox.clear()
        s.counted(ecn_marked_packets=2)


def test_early_segments_echo_marks_beside_their_blocks() -> None:
    with pair() as s:
        s.end.sends("A", 11, data=10, mark=MARKED)
        s.end.gets("AE 1 ack 1 sack 11-21")
        s.end.sends("A", 1, data=10)
        s.end.gets("AE 1 ack 21")
        s.other.gets("PA 1+20 ack 1 ecn 2")
        s.counted(ecn_marked_packets=1, out_of_order_segments=1)


def test_marks_on_what_has_no_data_or_comes_again_say_nothing() -> None:
    with pair() as s:
        s.end.sends("A", data=10)
        s.wait(41)
        s.end.gets("A 1 ack 11")
        s.other.gets("PA 1+10 ack 1 ecn 2")
        s.end.sends("A", mark=MARKED)
        s.end.sends("A", 1, data=10, mark=MARKED)
        s.end.gets("A 1 ack 11 sack 1-11")
        s.mark()


@sides
def test_an_echo_halves_the_window_once_in_a_round_trip(side: str) -> None:
    with pair(side) as s:
        give(s, 30 * MSS)
        s.end.gets(*capable(1, 10))
        s.end.sends("AE", ack=1 + 2 * MSS)
        s.end.gets()
        assert s.end.live().cwnd == s.end.live().ssthresh == 5 * MSS  # it did not grow by this acknowledgment (§6.1.2)
        s.end.sends("AE", ack=1 + 4 * MSS)
        s.end.sends("AE", ack=1 + 6 * MSS)
        s.end.gets(*capable(1 + 10 * MSS, 1, flags="AC"))  # CWR once, with new data
        assert s.end.live().cwnd == 5 * MSS
        s.end.sends("AE", ack=1 + 11 * MSS)  # what was sent after the reduction was marked, too
        s.end.gets(*capable(1 + 11 * MSS, 2, flags="AC"))
        assert s.end.live().cwnd < 5 * MSS
        s.other.inbox.clear()
        s.counted(ecn_reductions=2)


def test_what_is_sent_again_cannot_be_marked() -> None:
    with pair() as s:
        give(s, 10 * MSS)
        s.end.gets(*capable(1, 10, last=True))
        s.wait(1)
        s.end.sends("A", ack=1, sack=[(1 + MSS, 1 + 4 * MSS)])
        s.end.gets(f"A 1+{MSS} ack 1")  # §6.1.5
        s.end.sends("AE", ack=1 + 10 * MSS)  # a mark of the same round trip as the loss
        give(s, MSS)
        s.end.gets(f"PAC {1 + 10 * MSS}+{MSS} ack 1 ecn 2")  # §6.1.2: any reduction is told
        s.counted(fast_retransmits=1, retransmitted_segments=1)


def test_a_probe_of_a_closed_window_cannot_be_marked() -> None:
    with pair(sack=False) as s:
        s.end.sends("A", window=0)
        give(s, 10)
        s.wait(201)
        s.end.gets("A 1+1 ack 1")  # §6.1.6
        s.other.inbox.clear()
        s.counted(zero_window_probes=1, delayed_acks=1)


def test_bbr_does_not_let_itself_be_marked_but_echoes() -> None:
    with pair(tcp="congestion: bbr, ecn: offer") as s:
        give(s, 100)
        s.end.gets("PA 1+100 ack 1")
        s.end.sends("A", data=MSS, mark=MARKED)
        s.end.sends("A", data=MSS)
        s.end.gets(f"AE 101 ack {1 + 2 * MSS}")
        s.other.inbox.clear()
        s.mark()
