"""Any packet whatever: no crash, no byte outside its region, no frame or connection leaked, each counted once."""

from __future__ import annotations

import functools
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.lab.dry.engine import NIC_MACS
from ncore_ray.lab.dry.packets import arp, ethernet, icmp, ipv4, tcp, udp
from ncore_ray.machine.jit import JIT
from tests.engine.tcp.test_blind_attacks import STATES
from tests.engine.tcp.test_sending import MSS, give
from tests.engine.tcp.test_timestamps import opened
from tests.support.tcp_script import (
    CLIENT,
    CLIENT_MAC,
    PORT,
    SERVICE,
    SNIP,
    VIP,
    WINDOW,
    WRAP,
    End,
    Script,
    check_accounts,
    check_nothing_leaked,
    established,
    reset_all,
    syn_sent,
)

EXAMPLES: Final = 150 if JIT else 40
BUILDERS: Final = STATES | {
    "syn_sent": lambda _: syn_sent(),
    "flying": lambda side: flying(side),
    "timestamps": lambda _: opened(sack=True),
}


def flying(side: str) -> Script:
    """Segments are in flight to this end, which permits SACK, and some of them are said to have arrived."""
    script = established(side, sack=True, rtt_ms=20)
    give(script, 9 * MSS)
    script.lab.now += 20_000
    script.end.sends("A", ack=1, sack=[(1 + 2 * MSS, 1 + 3 * MSS), (1 + 5 * MSS, 1 + 6 * MSS)])
    script.settle()
    script.end.inbox.clear()
    script.mark()
    return script


offsets = st.one_of(
    st.integers(-3, 3), st.sampled_from([-1460, 1460, 65535, WINDOW, -WINDOW, 1 << 31, -(1 << 31), 1 << 30])
)
payloads = st.one_of(st.just(b""), st.binary(max_size=40), st.integers(1, 1460).map(lambda n: bytes(n)))
windows = st.sampled_from([0, 1, 100, 65535])
options = st.one_of(st.just(b""), st.binary(max_size=40).map(lambda data: data + bytes(-len(data) % 4)))
mutations = st.one_of(
    st.none(),
    st.tuples(st.just("cut"), st.integers(0, 1514), st.just(0)),
    st.tuples(st.just("byte"), st.integers(0, 120), st.integers(0, 255)),
    st.tuples(st.just("grow"), st.integers(1, 64), st.integers(0, 255)),
)
segments = st.fixed_dictionaries(
    {
        "what": st.just("segment"),
        "flags": st.integers(0, 63),
        "sequence": offsets,
        "acknowledgment": offsets,
        "payload": payloads,
        "window": windows,
        "options": options,
        "port": st.sampled_from([0, 0, 0, 1, 80]),
    }
)
others = st.fixed_dictionaries(
    {
        "what": st.sampled_from(["arp", "icmp", "udp", "raw", "reply", "again"]),
        "payload": st.binary(max_size=80),
        "kind": st.integers(0, 20),
    }
)
packets = st.tuples(
    st.one_of(segments, segments, others),
    mutations,
    st.sampled_from([0, 0, 1, 2]),
    st.sampled_from([0, 0, 0, 1, 50, 1_000, 70_000]),
    st.booleans(),
)


def _segment(end: End, plan: dict[str, Any]) -> bytes:
    tcb = end.tcb()
    sequence = tcb.rcv_nxt if tcb else end.first
    acknowledgment = tcb.snd_max if tcb else 0
    body = tcp(
        end.own[0],
        end.own[1] + (plan["port"] == 1),
        end.engine[0],
        80 if plan["port"] == 80 else end.engine[1],
        plan["flags"],
        plan["payload"],
        sequence=(sequence + plan["sequence"]) % WRAP,
        acknowledgment=(acknowledgment + plan["acknowledgment"]) % WRAP,
        window=plan["window"],
        options=plan["options"],
    )
    return ethernet(ipv4(end.own[0], end.engine[0], 6, body), 0x0800, NIC_MACS[end.nic], end.mac)


def _other(end: End, plan: dict[str, Any], last: bytes) -> bytes:
    what: str = plan["what"]
    payload: bytes = plan["payload"]
    kind: int = plan["kind"]
    own, engine = end.own[0], end.engine[0]
    if what == "arp":
        return ethernet(arp(kind, CLIENT_MAC, own, 0, engine) + payload, 0x0806)
    if what == "udp":
        return ethernet(ipv4(own, engine, 17, udp(own, 5000 + kind, engine, 53, payload)))
    if what == "icmp":
        quoted = ipv4(engine, own, 6, tcp(engine, end.engine[1], own, end.own[1], 2, sequence=end.engine_first % WRAP))
        return ethernet(ipv4(own, engine, 1, icmp(kind, kind & 7, b"\0\0\2\0" + quoted[: 20 + kind] + payload)))
    if what == "raw":
        return payload
    return last if what == "again" else ethernet(ipv4(own, engine, kind, payload))


def _mutated(frame: bytes, mutation: tuple[str, int, int] | None) -> bytes:
    if mutation is None:
        return frame
    kind, place, value = mutation
    if kind == "cut":
        return frame[:place]
    if kind == "grow":
        return frame + bytes([value]) * place
    place %= max(len(frame), 1)
    return frame[:place] + bytes([value]) + frame[place + 1 :]


def _check(s: Script) -> None:
    s.lab.breathe()
    s.lab.sent()
    check_nothing_leaked(s.lab)


@pytest.mark.parametrize("side", ["client", "service"])
@pytest.mark.parametrize("name", BUILDERS)
def test_any_packets_in_every_state(name: str, side: str) -> None:
    @settings(max_examples=EXAMPLES // 5)
    @given(st.lists(packets, max_size=12))
    def run(plans: list[Any]) -> None:
        s = BUILDERS[name](side)
        last = b""
        for plan, mutation, checksum, ms, is_near in plans:
            end = s.end if is_near else s.other
            whole = _segment(end, plan) if plan["what"] == "segment" else _other(end, plan, last)
            last = _mutated(whole, mutation)[:2048]
            s.lab.receive(end.nic, last, checksum=checksum)
            if ms:
                s.lab.now += 1000 * ms
                _check(s)
        _check(s)
        _finish(s)

    run()


def _finish(s: Script) -> None:
    reset_all(s.lab)
    for _ in range(3):
        s.lab.now += 40_000_000  # sessions of datagrams end
        s.lab.breathe()
        s.lab.sent()
    reset_all(s.lab)
    check_nothing_leaked(s.lab, connections=0)


@functools.cache
def _real_frames() -> list[bytes]:
    """One good packet of each kind."""
    s = established()
    segment = s.client.segment("PA", 1, 1, b"hello")
    syn = s.client.segment("S", 0, 0, options=b"\2\4\5\xb4\1\3\3\7")
    echo = ethernet(ipv4(CLIENT, VIP, 1, icmp(8, 0, b"\0\1\0\2" + b"data")))
    quoted = ipv4(SNIP, SERVICE, 6, tcp(SNIP, s.service.engine[1], SERVICE, PORT, 2))
    error = ethernet(ipv4(SERVICE, SNIP, 1, icmp(3, 1, bytes(4) + quoted)))
    question = ethernet(arp(1, CLIENT_MAC, CLIENT, 0, VIP), 0x0806)
    datagram = ethernet(ipv4(CLIENT, VIP, 17, udp(CLIENT, 5000, VIP, 53, b"question")))
    return [segment, syn, echo, error, question, datagram]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("checksum", [0, 1])
def test_packet_cut_at_every_length(number: int, checksum: int) -> None:
    frame = _real_frames()[number]
    s = established()
    for length in range(len(frame) + 1):
        s.lab.receive(0, frame[:length], checksum=checksum)
        s.lab.breathe()
        s.lab.sent()
    assert s.lab.totals().values["received_packets"] >= len(frame)
    check_accounts(s.lab.totals())
    _finish(s)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("value", [0x00, 0xFF, 0x45])
def test_packet_with_every_byte_changed(number: int, value: int) -> None:
    frame = _real_frames()[number]
    s = established()
    for place in range(len(frame)):
        s.lab.receive(0, frame[:place] + bytes([value]) + frame[place + 1 :], checksum=1)
        s.lab.breathe()
        s.lab.sent()
    check_accounts(s.lab.totals())
    _finish(s)


@settings(max_examples=EXAMPLES)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=20), st.integers(0, 2))
def test_random_bytes(frames: list[bytes], checksum: int) -> None:
    s = established()
    for number, frame in enumerate(frames):
        s.lab.receive(number & 1, frame, checksum=checksum)
    _check(s)
    _finish(s)
