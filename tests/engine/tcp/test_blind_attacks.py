"""Resets, SYNs and acknowledgments of somebody who guesses (RFC 5961), in every state that has a window."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncore_ray.engine.tcp.state import TcpState
from tests.support.tcp_script import (
    CLIENT,
    SYN_ACK,
    WINDOW,
    Script,
    close_wait,
    closing,
    established,
    fin_wait_1,
    fin_wait_2,
    last_ack,
    syn_received,
    time_wait,
)

Builder = Callable[[str], Script]
STATES: dict[str, Builder] = {
    "syn_received": lambda _: syn_received(),
    "established": established,
    "close_wait": close_wait,
    "fin_wait_1": fin_wait_1,
    "fin_wait_2": fin_wait_2,
    "closing": closing,
    "last_ack": last_ack,
    "time_wait": time_wait,
}
ANSWERS = {"fin_wait_1": 2, "fin_wait_2": 2, "closing": 2, "last_ack": 2, "time_wait": 2}
states = pytest.mark.parametrize("name", STATES)
sides = pytest.mark.parametrize("side", ["client", "service"])


def _answer(name: str, s: Script) -> str:
    return f"A {ANSWERS.get(name, 1)} ack {s.end.next}"


@states
@sides
def test_reset_in_the_window_is_challenged(name: str, side: str) -> None:
    with STATES[name](side) as s:
        before = s.end.state
        s.end.sends("R", s.end.next + 1)
        s.settle()
        assert s.end.state == before
        assert len(s.end.inbox) == 1
        s.end.inbox.clear()
        s.counted(drop_tcp_bad_reset_packets=1, challenge_acks=1)


@states
@pytest.mark.parametrize("distance", [-1, -1000, WINDOW + 1, 1 << 30])
def test_reset_outside_the_window_is_dropped(name: str, distance: int) -> None:
    with STATES[name]("client") as s:
        before = s.end.state
        s.end.sends("R", s.end.next + distance)
        s.end.gets()
        assert s.end.state == before
        s.counted(drop_tcp_bad_reset_packets=1)


@states
@sides
def test_reset_at_the_next_byte_is_believed(name: str, side: str) -> None:
    with STATES[name](side) as s:
        s.end.sends("R")
        s.end.gets()
        assert s.end.state == TcpState.CLOSED
        s.other.inbox.clear()
        s.mark()


@states
@sides
def test_syn_in_the_window_is_challenged(name: str, side: str) -> None:
    with STATES[name](side) as s:
        if name == "time_wait" and side == "client":
            return  # a new connection begins
        before, answer = s.end.state, _answer(name, s)
        s.end.sends("SA", s.end.next + 1)
        s.end.gets(answer)
        assert s.end.state == before
        s.counted(drop_tcp_unexpected_syn_packets=1, challenge_acks=1)


@states
@sides
def test_acknowledgment_of_what_was_never_sent(name: str, side: str) -> None:
    if name == "syn_received":
        return  # answered with a reset, see test_opening
    with STATES[name](side) as s:
        before, answer = s.end.state, _answer(name, s)
        s.end.sends("A", ack=9)
        s.end.gets(answer)
        assert s.end.state == before
        s.counted(drop_tcp_bad_acknowledgment_packets=1, challenge_acks=1)


def test_acknowledgment_of_long_ago() -> None:
    with established() as s:
        s.end.sends("PA", data=3, ack=1 - 65535 * 128 - 1)
        s.end.gets("A 1 ack 1")
        s.counted(drop_tcp_bad_acknowledgment_packets=1, challenge_acks=1)


def test_challenges_of_a_connection_are_limited() -> None:
    with established() as s:
        for _ in range(4):
            s.end.sends("R", 5)
            s.end.sends("S", 5)
            s.end.sends("A", ack=9)
            s.settle()
        s.end.gets("A 1 ack 1")
        s.wait(499)
        s.end.sends("R", 5)
        s.end.gets()
        s.wait(1)
        s.end.sends("R", 5)
        s.end.gets("A 1 ack 1")
        s.counted(
            drop_tcp_bad_reset_packets=6,
            drop_tcp_unexpected_syn_packets=4,
            drop_tcp_bad_acknowledgment_packets=4,
            challenge_acks=2,
            challenge_acks_suppressed=12,
        )


def test_challenges_of_all_connections_are_limited() -> None:
    """By a number that nobody outside can know, and that is another one in each second (RFC 5961 §7)."""
    with Script(connections=256, tcp="challenge_acks: 40") as s:
        s.lab.engine().half_open_limit = 999
        clients = []
        for port in range(41000, 41080):
            s.client.own = (CLIENT, port)
            s.client.next = s.client.received = s.client.edge = 0
            s.client.opens()
            s.client.gets(SYN_ACK)
            clients.append((port, s.client.engine_first))
        s.counted(connections_accepted=80)
        s.mark()
        found = []
        for _ in range(8):
            before = s.lab.totals()
            for port, first in clients:
                s.client.own, s.client.engine_first = (CLIENT, port), first
                s.client.sends("R", 5)
                s.settle()
            s.client.inbox.clear()
            s.strays.clear()
            found.append(s.lab.totals().minus(before)["challenge_acks"])
            s.lab.now += 1_000_000
        assert 20 <= min(found) < max(found) <= 40, found
        assert len(set(found)) > 3, found
        s.lab.breathe()
        s._collect()
        s.client.inbox.clear()
        s.strays.clear()
        s.mark()


def test_challenge_at_the_link_layer_goes_to_the_true_peer() -> None:
    with established() as s:
        true = s.end.mac
        s.end.mac = 0x0200_0000_0666
        s.end.sends("A", 1 << 20, data=1)
        s.end.mac = true
        s.end.gets("A 1 ack 1")  # `Script` checks where it went
        s.counted(drop_tcp_out_of_window_packets=1)


def test_link_layer_address_of_a_client_may_change() -> None:
    with established() as s:
        s.end.mac = 0x0200_0000_0902
        s.end.sends("PA", data=3)
        s.end.sends("PA", data=3)
        s.end.gets("A 1 ack 7")
        s.other.inbox.clear()
        s.counted()


@pytest.mark.parametrize("source", ["224.0.0.1", "255.255.255.255", "239.1.2.3"])
def test_syn_from_no_host(source: str) -> None:
    with Script() as s:
        s.client.own = (source, 40000)
        s.client.opens()
        s.client.gets()
        s.counted(drop_ip_bad_source_packets=1)
