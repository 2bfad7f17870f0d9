"""Buffers that grow with what a connection needs, within bounds."""

from __future__ import annotations

import pytest

from ncore_ray.engine.connection import Tcb, tcb_at
from ncore_ray.engine.partition import Engine, engine_at
from ncore_ray.engine.tcp import buffers
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new

KIB = 1 << 10
MIB = 1 << 20


@entry_kernel
def send_limit(engine: int, tcb: int) -> int:
    return buffers.send_limit_of(engine_at(engine), tcb_at(tcb))


@entry_kernel
def receive_limit(engine: int, tcb: int) -> int:
    return buffers.receive_limit_of(engine_at(engine), tcb_at(tcb))


@entry_kernel
def note_received(engine: int, tcb: int) -> int:
    return buffers.note_received(engine_at(engine), tcb_at(tcb))


class One:
    """A connection without a peer in an engine whose pool is nearly empty of users."""

    def __init__(self) -> None:
        self._engine_memory, self.engine, self.engine_address = new(Engine)
        self._memory, self.tcb, self.address = new(Tcb)
        self.engine.receive_limit = self.engine.send_limit = 512 * KIB
        self.engine.receive_most = self.engine.send_most = 4 * MIB
        self.engine.frame_count, self.engine.free_frame_count = 1_000, 900
        self.engine.now = 10_000_000

    def send_limit(self) -> int:
        return send_limit(self.engine_address, self.address)

    def receive_limit(self) -> int:
        return receive_limit(self.engine_address, self.address)

    def receives(self, per_round: int, rounds: int, rtt_us: int) -> int:
        """Receive evenly; return the limit then."""
        self.tcb.srtt = rtt_us << 3
        for _ in range(10 * rounds):
            self.engine.now += rtt_us // 10
            self.tcb.received_bytes += per_round // 10
            note_received(self.engine_address, self.address)
        return self.receive_limit()


@pytest.mark.parametrize(("window", "limit"), [(14_600, 512 * KIB), (1 * MIB, 2 * MIB), (8 * MIB, 4 * MIB)])
def test_what_waits_may_be_twice_the_window(window: int, limit: int) -> None:
    one = One()
    one.tcb.cwnd = window
    assert one.send_limit() == limit
    one.engine.free_frame_count = 499
    assert one.send_limit() == 512 * KIB


@pytest.mark.parametrize("rtt_us", [2_000, 100_000])
def test_a_peer_may_send_twice_what_arrives_in_a_round_trip(rtt_us: int) -> None:
    one = One()
    assert one.receives(200 * KIB, 5, rtt_us) == 512 * KIB
    assert one.receives(500 * KIB, 5, rtt_us) == pytest.approx(1000 * KIB, rel=0.15)
    assert one.receives(100 * KIB, 5, rtt_us) == pytest.approx(1000 * KIB, rel=0.15)  # never less again
    assert one.receives(10 * MIB, 5, rtt_us) == 4 * MIB
    one.engine.free_frame_count = 499
    assert one.receive_limit() == buffers.PRESSED_WINDOW


def test_a_pause_is_no_round_trip() -> None:
    one = One()
    one.tcb.srtt = 10_000 << 3
    one.engine.now += 5_000_000
    one.tcb.received_bytes += 3 * MIB
    note_received(one.engine_address, one.address)
    assert one.receive_limit() == 512 * KIB


def test_less_than_the_usual_never_grows() -> None:
    one = One()
    one.engine.receive_limit = one.engine.receive_most = 64 * KIB
    assert one.receives(10 * MIB, 5, 10_000) == 64 * KIB
