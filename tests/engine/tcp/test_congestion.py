"""CUBIC against the equations of RFC 9438, and who uses which congestion control."""

from __future__ import annotations

import numpy as np
import pytest

from ncore_ray.engine.connection import CONTROL_OFFSET, Tcb, tcb_at
from ncore_ray.engine.partition import Engine, engine_at
from ncore_ray.engine.tcp import congestion, cubic
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new, view
from ncore_ray.tables.service import Congestion
from tests.engine.tcp.test_sending import MSS, flight, give
from tests.support.tcp_script import configuration_text, established

SECOND = 1_000_000


@entry_kernel
def grow(tcb: int, acked: int, now: int) -> int:
    return cubic.cubic_grow(tcb_at(tcb), acked, now)


@entry_kernel
def reduced(tcb: int, flying: int) -> int:
    return cubic.cubic_reduced(tcb_at(tcb), flying)


@entry_kernel
def begin(engine: int, tcb: int) -> int:
    return congestion.begin(engine_at(engine), tcb_at(tcb))


@pytest.mark.parametrize(
    ("segments", "mss", "expected"), [(10, 536, 5_360), (10, 1_460, 14_600), (10, 8_960, 17_920), (1, 8_960, 8_960)]
)
def test_initial_window_has_fewer_large_segments(segments: int, mss: int, expected: int) -> None:
    _engine_memory, engine, engine_address = new(Engine)
    _memory, tcb, address = new(Tcb)
    engine.initial_window, tcb.mss = segments, mss
    begin(engine_address, address)
    assert tcb.cwnd == expected  # RFC 6928 §2


def kept(tcb: Tcb) -> cubic.Cubic:
    """Return what CUBIC keeps of a connection."""
    return view(cubic.Cubic, np.frombuffer(tcb, np.uint8), CONTROL_OFFSET)  # type: ignore[call-overload]


def after_a_loss(window: int, rtt_us: int) -> tuple[object, Tcb, int]:
    """Return a connection whose window of so many segments was reduced just now, and its address."""
    memory, tcb, address = new(Tcb)
    tcb.mss, tcb.cwnd, tcb.srtt = MSS, window * MSS, rtt_us << 3
    tcb.cwnd = reduced(address, tcb.cwnd)
    return memory, tcb, address


def windows(tcb: Tcb, address: int, seconds: float, rtt_us: int) -> dict[float, float]:
    """Acknowledge a full window every round trip; return the window in segments at each time in seconds."""
    found = {}
    now = SECOND
    while now <= (1 + seconds) * SECOND:
        left = tcb.cwnd
        tcb.snd_max = tcb.cwnd
        while left > 0:
            grow(address, min(2 * MSS, left), now)
            left -= 2 * MSS
        found[(now - SECOND) / SECOND] = tcb.cwnd / MSS
        now += rtt_us
    return found


@pytest.mark.parametrize("window", [200, 1000])
def test_window_follows_the_curve(window: int) -> None:
    _memory, tcb, address = after_a_loss(window, 100_000)
    assert tcb.cwnd == pytest.approx(0.7 * window * MSS, abs=2)  # §4.6
    k = (0.3 * window / 0.4) ** (1 / 3)
    found = windows(tcb, address, 2 * k, 100_000)
    # §4.2: W_cubic(t + RTT) is where a round trip ends; in front of the plateau, on it, and past it.
    for at, segments in found.items():
        curve = 0.4 * (at + 0.1 - k) ** 3 + window
        assert segments == pytest.approx(curve, rel=0.03), f"after {at} s"


def test_short_ways_grow_as_reno_does() -> None:
    rtt_us = 2_000
    _memory, tcb, address = after_a_loss(20, rtt_us)
    found = windows(tcb, address, 0.02, rtt_us)
    alpha = 3 * 0.3 / 1.7
    assert found[0.02] == pytest.approx(14 + 11 * alpha, rel=0.05)  # §4.3: alpha segments for each round trip


def test_a_second_loss_below_the_first_leaves_room_to_others() -> None:
    _memory, tcb, address = after_a_loss(100, 10_000)
    assert kept(tcb).most == 100 * MSS
    tcb.cwnd = 80 * MSS
    assert reduced(address, 80 * MSS) == pytest.approx(56 * MSS, abs=2)
    assert kept(tcb).most == pytest.approx(68 * MSS, abs=2)  # §4.7
    assert reduced(address, 2 * MSS) == 2 * MSS


def test_window_that_is_not_filled_does_not_grow() -> None:
    _memory, tcb, address = after_a_loss(100, 10_000)
    before = tcb.cwnd
    tcb.snd_max = 5 * MSS
    for step in range(100):
        grow(address, MSS, SECOND + step * 10_000)
    assert tcb.cwnd == before  # §5.8


def test_time_in_which_the_sender_has_little_to_say_does_not_count() -> None:
    """RFC 9438 §5.8: else the first large answer after a minute of small ones would go out in a burst."""
    _memory, tcb, address = after_a_loss(100, 10_000)
    before = tcb.cwnd
    tcb.snd_max = 5 * MSS
    for second in range(60):
        grow(address, MSS, SECOND * (1 + second))
    tcb.snd_max = tcb.cwnd
    grow(address, MSS, 62 * SECOND)
    tcb.snd_max = tcb.cwnd
    grow(address, MSS, 62 * SECOND + 10_000)
    assert before <= tcb.cwnd < before + MSS


def test_curve_of_hours_without_a_loss_stays_a_number() -> None:
    _memory, tcb, address = after_a_loss(100, 10_000)
    tcb.snd_max = tcb.cwnd
    grow(address, MSS, 1)
    tcb.snd_max = tcb.cwnd
    grow(address, MSS, 3600 * 24 * SECOND)
    assert 0 < tcb.cwnd < 1 << 40


def test_a_loss_takes_three_tenths() -> None:
    with established() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        for _ in range(3):
            s.end.sends("A", ack=1)
        s.end.gets(f"A 1+{MSS} ack 1")
        assert s.end.live().ssthresh == 7 * MSS
        s.counted(fast_retransmits=1, retransmitted_segments=1)


def test_each_vserver_and_service_may_have_its_own() -> None:
    text = configuration_text(tcp="congestion: newreno").replace(
        "services: [web]", "services: [web], congestion: cubic"
    )
    text = text.replace('"10.2.0.2:53", monitor: none', '"10.2.0.2:53", monitor: none, congestion: cubic')
    lab = EngineLab(text)
    assert [lab.service(i).congestion for i in range(3)] == [Congestion.NEWRENO, Congestion.NEWRENO, Congestion.CUBIC]
    assert [lab.vserver_record(i).congestion for i in range(3)] == [
        Congestion.NEWRENO,
        Congestion.CUBIC,
        Congestion.NEWRENO,
    ]


@pytest.mark.parametrize("side", ["client", "service"])
@pytest.mark.parametrize(("word", "number"), [("cubic", Congestion.CUBIC), ("newreno", Congestion.NEWRENO)])
def test_connections_use_what_is_configured(side: str, word: str, number: Congestion) -> None:
    with established(side, tcp=f"congestion: {word}") as s:
        assert s.end.live().congestion == number


def test_lost_probe_ends_slow_start_where_the_window_is() -> None:
    """Without SACK duplicates tell of the probe; what CUBIC finds in its words then must not be HyStart's."""
    with established() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        s.wait(20)
        s.end.sends("A", ack=1 + 2 * MSS)  # a round of slow start begins
        s.settle()
        tcb = s.end.live()
        assert kept(tcb).epoch_at  # HyStart's `round_end`
        tcb.probe_length, tcb.probe_end = MSS, tcb.snd_una + MSS
        window = tcb.cwnd
        for _ in range(3):
            s.end.sends("A", ack=1 + 2 * MSS)
        s.end.gets(f"A {1 + 2 * MSS}+{MSS} ack 1")
        assert (tcb.ssthresh, kept(tcb).epoch_at) == (window, 0)
        s.counted(fast_retransmits=1, retransmitted_segments=1, path_mtu_probes_lost=1)
