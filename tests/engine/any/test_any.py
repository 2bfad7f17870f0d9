"""VServers of protocol ANY: what is forwarded, how it comes back, and what is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.lab.dry.engine import NIC_MACS
from ncore_ray.lab.dry.packets import ethernet, icmp, internet_checksum, ipv4, pseudo_header, tcp
from tests.engine.any.any_lab import CLIENTS, ICMP, OTHERS, SERVERS, SNIPS, TEXT, VIPS, AnyLab, query, with_checksum
from tests.engine.ip.dual import CLIENT_MAC
from tests.engine.ip.test_fragments import fragment, pieces
from tests.support.tcp_script import check_accounts, check_nothing_leaked

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SECOND = 1_000_000


def _ask(lab: AnyLab, family: int, source: str, identifier: int, data: bytes = b"data") -> int:
    """Let a client ping the VIP; return the identifier with which the server is asked."""
    vip = VIPS[family]
    ((*ends, protocol, body),) = lab.passed(0, source, vip, ICMP[family], query(family, source, vip, identifier, data))
    assert (ends, protocol) == ([SNIPS[family], SERVERS[family]], ICMP[family])
    number = int.from_bytes(body[4:6], "big")
    assert body == query(family, SNIPS[family], SERVERS[family], number, data)
    return number


def _answer(lab: AnyLab, family: int, source: str, number: int, identifier: int, data: bytes = b"data") -> None:
    """Let the server answer; the client gets it, with the identifier that it knows."""
    ends = SERVERS[family], SNIPS[family]
    got = lab.passed(1, *ends, ICMP[family], query(family, *ends, number, data, answer=True))
    expected = query(family, VIPS[family], source, identifier, data, answer=True)
    assert got == [(VIPS[family], source, ICMP[family], expected)]


def _check(lab: AnyLab) -> None:
    lab.wait(3 * SECOND)
    check_nothing_leaked(lab.engine, connections=0)
    check_accounts(lab.engine.totals())


@FAMILIES
@pytest.mark.parametrize("size", [0, 1, 56, 1_400, 1_472, 3_000, 20_000])
def test_pings_go_to_the_service_and_back(family: int, size: int) -> None:
    lab = AnyLab()
    data = random.Random(size).randbytes(size)
    vip, source = VIPS[family], CLIENTS[family]
    body = query(family, source, vip, 77, data)
    cut = pieces(len(body), 1_400)
    if len(cut) == 1:
        number = _ask(lab, family, source, 77, data)
    else:
        ((*ends, _, whole),) = lab.frames(*(fragment(family, ICMP[family], body, piece) for piece in cut))
        number = int.from_bytes(whole[4:6], "big")
        assert ends == [SNIPS[family], SERVERS[family]]
        assert whole == query(family, SNIPS[family], SERVERS[family], number, data)
        assert lab.engine.counters().fragmented_packets == (len(body) > (1_480 if family == 4 else 1_460))
    _answer(lab, family, source, number, 77, data[:1_300])
    _check(lab)


@FAMILIES
def test_clients_with_the_same_identifier_are_told_apart(family: int) -> None:
    lab = AnyLab()
    numbers = [_ask(lab, family, source, 5) for source in (CLIENTS[family], OTHERS[family])]
    assert numbers[0] != numbers[1]
    assert _ask(lab, family, CLIENTS[family], 5) == numbers[0]
    _answer(lab, family, OTHERS[family], numbers[1], 5)
    _answer(lab, family, CLIENTS[family], numbers[0], 5)
    values = lab.engine.totals().values
    assert values["echo_replies"] == 0
    assert lab.engine.vserver(0 if family == 4 else 1).connections == 2
    _check(lab)


@FAMILIES
@settings(max_examples=40)
@given(identifier=st.integers(0, 65_535), data=st.binary(max_size=60))
def test_updated_checksums_are_those_worked_out_anew(family: int, identifier: int, data: bytes) -> None:
    lab = LABS[family]
    number = _ask(lab, family, CLIENTS[family], identifier, data)
    _answer(lab, family, CLIENTS[family], number, identifier, data)
    lab.engine.now += 3 * SECOND


LABS = {4: AnyLab(), 6: AnyLab()}


@FAMILIES
def test_a_wrong_checksum_stays_wrong(family: int) -> None:
    lab = AnyLab()
    _ask(lab, family, CLIENTS[family], 9)
    body = bytearray(query(family, CLIENTS[family], VIPS[family], 9, b"data"))
    body[-1] ^= 1
    lab.raw = []
    lab.send(0, CLIENTS[family], VIPS[family], ICMP[family], bytes(body))
    lab.settle()
    ((_, frame),) = lab.raw
    payload = frame[34:] if family == 4 else frame[54:]
    pseudo = b"" if family == 4 else pseudo_header(SNIPS[6], SERVERS[6], 58, len(payload))
    assert internet_checksum(pseudo + payload) not in (0, 0xFFFF)


@FAMILIES
def test_a_session_ends_after_its_time(family: int) -> None:
    lab = AnyLab()
    number = _ask(lab, family, CLIENTS[family], 5)
    lab.wait(SECOND)
    _answer(lab, family, CLIENTS[family], number, 5)
    lab.wait(1_900_000)
    _answer(lab, family, CLIENTS[family], number, 5)
    lab.wait(2_100_000)
    ends = SERVERS[family], SNIPS[family]
    assert lab.passed(1, *ends, ICMP[family], query(family, *ends, number, b"late", answer=True)) == []
    assert lab.engine.counters().drop_icmp_unused_packets == 1
    _check(lab)


def test_timestamps_are_asked_too() -> None:
    lab = AnyLab()
    rest = b"\0\7\0\1" + bytes(12)
    ((*_, body),) = lab.passed(0, CLIENTS[4], VIPS[4], 1, icmp(13, 0, rest))
    number = body[4:6]
    got = lab.passed(1, SERVERS[4], SNIPS[4], 1, icmp(14, 0, number + b"\0\1" + bytes(12)))
    assert got == [(VIPS[4], CLIENTS[4], 1, icmp(14, 0, rest))]


@FAMILIES
def test_the_appliance_still_answers_for_its_other_addresses(family: int) -> None:
    lab = AnyLab()
    snip = {4: "10.1.0.10", 6: "2001:db8:1::10"}[family]
    got = lab.passed(0, CLIENTS[family], snip, ICMP[family], query(family, CLIENTS[family], snip, 3, b"own"))
    own = query(family, snip, CLIENTS[family], 3, b"own", answer=True)
    assert got == [(snip, CLIENTS[family], ICMP[family], own)]


@FAMILIES
@pytest.mark.parametrize("length", [0, 3, 8, 100, 1_480, 5_000])
def test_a_protocol_without_ports_goes_both_ways(family: int, length: int) -> None:
    lab = AnyLab()
    data = random.Random(length).randbytes(length)
    cut = pieces(length, 1_400)
    if len(cut) > 1:
        there = lab.frames(*(fragment(family, 47, data, piece) for piece in cut))
    else:
        there = lab.passed(0, CLIENTS[family], VIPS[family], 47, data)
    assert there == [(SNIPS[family], SERVERS[family], 47, data)]
    back = lab.passed(1, SERVERS[family], SNIPS[family], 47, data[:100])
    assert back == [(VIPS[family], CLIENTS[family], 47, data[:100])]
    _check(lab)


@FAMILIES
@pytest.mark.parametrize(("protocol", "at"), [(136, 6), (33, 6)])
def test_checksums_over_the_addresses_are_updated(family: int, protocol: int, at: int) -> None:
    lab = AnyLab()
    ends, out = (CLIENTS[family], VIPS[family]), (SNIPS[family], SERVERS[family])
    data = bytearray(random.Random(protocol).randbytes(40))
    ((*got, number, body),) = lab.passed(0, *ends, protocol, with_checksum(family, ends, protocol, data, at))
    assert (tuple(got), number) == (out, protocol)
    assert body == with_checksum(family, out, protocol, data, at)


@FAMILIES
def test_a_service_works_for_one_client_of_such_a_protocol(family: int) -> None:
    lab = AnyLab()
    assert len(lab.passed(0, CLIENTS[family], VIPS[family], 47, b"12345678")) == 1
    assert lab.passed(0, OTHERS[family], VIPS[family], 47, b"12345678") == []
    assert lab.engine.counters().drop_any_busy_packets == 1
    assert len(lab.passed(0, OTHERS[family], VIPS[family], 50, b"12345678")) == 1  # of another, too
    lab.wait(3 * SECOND)
    assert len(lab.passed(0, OTHERS[family], VIPS[family], 47, b"12345678")) == 1
    _check(lab)


@FAMILIES
def test_a_client_whom_the_service_does_not_answer_gives_it_up_after_a_second(family: int) -> None:
    """One made-up packet every half minute would keep a service from all others."""
    lab = AnyLab()
    assert len(lab.passed(0, CLIENTS[family], VIPS[family], 47, b"forged")) == 1
    lab.wait(SECOND)
    assert len(lab.passed(0, OTHERS[family], VIPS[family], 47, b"question")) == 1
    ((_, target, *_),) = lab.passed(1, SERVERS[family], SNIPS[family], 47, b"answer")
    assert target == OTHERS[family]
    lab.wait(SECOND)
    assert lab.passed(0, CLIENTS[family], VIPS[family], 47, b"forged") == []
    assert lab.engine.counters().drop_any_busy_packets == 1
    lab.wait(3 * SECOND)
    _check(lab)


@pytest.mark.parametrize("method", ["roundrobin", "leastconnection"])
def test_clients_of_such_a_protocol_share_the_services_out(method: str) -> None:
    services = "".join(f'  - {{name: s{k}, address: "10.2.0.{20 + k}:80", monitor: none}}\n' for k in range(3))
    text = TEXT.replace("services:\n", "services:\n" + services)
    text = text.replace("services: [four]", f"services: [s0, s1, s2], method: {method}")
    lab = AnyLab(text)
    for k in range(3):
        lab.engine.learn(1, f"10.2.0.{20 + k}", 0x0200_0000_0B00 + k)
    used = [lab.passed(0, f"10.1.0.{30 + k}", VIPS[4], 47, b"12345678")[0][1] for k in range(3)]
    assert sorted(used) == ["10.2.0.20", "10.2.0.21", "10.2.0.22"]
    assert lab.passed(0, "10.1.0.40", VIPS[4], 47, b"12345678") == []
    for k in range(3):
        assert lab.passed(1, used[k], SNIPS[4], 47, b"back")[0][1] == f"10.1.0.{30 + k}"


@FAMILIES
def test_datagrams_of_any_port_keep_it(family: int) -> None:
    lab = AnyLab()
    for port in (53, 4_500, 0):
        lab.send_datagram(CLIENTS[family], 5_000, VIPS[family], port, b"question", 0)
        ((source, own, server, other, data),) = lab.datagrams
        assert (source, server, other, data) == (SNIPS[family], SERVERS[family], port, b"question")
        lab.datagrams.clear()
        lab.send_datagram(server, other, source, own, b"answer", 1)
        assert lab.datagrams == [(VIPS[family], port, CLIENTS[family], 5_000, b"answer")]
        lab.datagrams.clear()
    _check(lab)


def test_a_vserver_of_its_own_comes_first() -> None:
    own = '  - {name: dns, address: "10.1.0.100:53", protocol: UDP, services: [four]}\n'
    lab = AnyLab(TEXT.replace("vservers:\n", "vservers:\n" + own))
    lab.send_datagram(CLIENTS[4], 5_000, VIPS[4], 53, b"question", 0)
    lab.send_datagram(CLIENTS[4], 5_000, VIPS[4], 54, b"question", 0)
    assert [row[3] for row in lab.datagrams] == [80, 54]


def test_tcp_is_not_forwarded() -> None:
    lab = AnyLab()
    segment = tcp(CLIENTS[4], 1, VIPS[4], 0, 2)
    lab.inject(0, ethernet(ipv4(CLIENTS[4], VIPS[4], 6, segment), 0x0800, NIC_MACS[0], CLIENT_MAC))
    values = lab.engine.totals().values
    assert (values["drop_tcp_no_connection_packets"], values["resets_sent"]) == (1, 1)


def test_a_full_table_refuses_and_counts() -> None:
    lab = AnyLab()
    engine = lab.engine.engine()
    engine.free_connection, kept = 0, engine.free_connection
    assert lab.passed(0, CLIENTS[4], VIPS[4], 1, query(4, CLIENTS[4], VIPS[4], 1, b"")) == []
    engine.free_connection = kept
    assert lab.engine.counters().drop_any_table_full_packets == 1
    _check(lab)


@settings(max_examples=60)
@given(
    nic=st.integers(0, 1),
    family=st.sampled_from([4, 6]),
    protocol=st.one_of(st.sampled_from([1, 58, 17, 47, 50, 132, 136, 33, 59, 255]), st.integers(7, 255)),
    body=st.binary(max_size=80),
)
def test_any_bytes(nic: int, family: int, protocol: int, body: bytes) -> None:
    lab = LABS[family]
    ends = (CLIENTS[family], VIPS[family]) if nic == 0 else (SERVERS[family], SNIPS[family])
    lab.raw = []
    lab.send(nic, *ends, protocol, body)
    lab.settle()
    lab.raw = None
    lab.engine.now += 3 * SECOND
    check_accounts(lab.engine.totals())
