"""Spliced pairs whose engine dies, and pairs that move to another engine: plain data, as all connections are."""

from __future__ import annotations

import random

import pytest

from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.jit import JIT
from tests.engine.crowd import PATIENT, Crowd, Stream, Wires
from tests.engine.handover.homes import Homes
from tests.engine.splice.worlds import SplicedStream
from tests.engine.takeover.mortal import Mortal
from tests.support.reference_tcp import Wire
from tests.support.tcp_script import check_nothing_leaked, configuration_text

SIZE = 24_000 if JIT else 6_000
CLIENTS = 12 if JIT else 6
NIC_FRAMES = 4096
CAPACITY, PACE = SIZE // 8, SIZE // 60
"""Readers of a pace at which a pair lives for a while."""
QUIET, BAD = Wires(), Wires(loss=0.03, double=0.02, jitter_us=3_000)


class MortalCrowd(Crowd):
    """A crowd of spliced pairs whose engine dies time and again, once all of them are established."""

    def __init__(self, seed: int, wires: Wires, *, odds: float, at_once: bool) -> None:
        text = configuration_text(timeouts=PATIENT, vserver="mode: splice")
        self.mortal = Mortal(text, connections=4 * CLIENTS, frames=64, nic_frames=NIC_FRAMES)
        super().__init__(
            seed, wires, clients=CLIENTS, sizes=(SIZE, SIZE), capacity=CAPACITY, pace=PACE, lab=self.mortal
        )
        self.mortal.begin_dying(seed, 0.0)
        while not at_once and self.mortal.counters().spliced_connections < CLIENTS:
            self.run(limit_s=0.01)
        self.mortal.odds = odds


@pytest.mark.parametrize("wires", [QUIET, BAD], ids=["quiet", "bad"])
@pytest.mark.parametrize("seed", range(2))
def test_established_pairs_survive_all_deaths(seed: int, wires: Wires) -> None:
    """What is known of a pair only grows while segments go on: wherever that was cut off, it is whole."""
    odds = {QUIET: 0.05 if JIT else 0.3, BAD: 0.02 if JIT else 0.06}[wires]
    crowd = MortalCrowd(seed, wires, odds=odds, at_once=False)
    lab = crowd.mortal
    while lab.now < 2_000_000_000 and any(tcb.state == TcpState.SPLICED for tcb in lab.connections()):
        crowd.run(limit_s=0.01)
    where = f"seed {seed}: {lab.deaths} deaths, {lab.marked} with a change"
    assert sum(found.broken for found in lab.found) <= 2 * lab.marked, where
    lab.odds = 0.0
    crowd.run(limit_s=600)
    done = [stream for stream in crowd.streams.values() if stream.peer.is_done]
    assert len(done) >= 2 * (CLIENTS - lab.marked), where
    assert JIT or lab.deaths > 3, where  # machine code is killed at an instant, which may come too late
    sent = {stream.peer.data for stream in crowd.streams.values()}
    assert all(bytes(stream.peer.received) in sent for stream in done)
    print(where)


@pytest.mark.parametrize("seed", range(3))
def test_pairs_of_any_age_survive_or_are_reset(seed: int) -> None:
    crowd = MortalCrowd(seed, QUIET, odds=0.05 if JIT else 0.2, at_once=True)
    lab = crowd.mortal
    crowd.run(limit_s=120)
    where = f"seed {seed}: {lab.deaths} deaths, {lab.marked} with a change"
    finished = sum(stream.peer.is_done for (nic, _), stream in crowd.streams.items() if nic == 0)
    assert finished >= CLIENTS - lab.marked, where
    lab.odds = 0.0
    crowd.run(limit_s=20)
    crowd.events.clear()
    for _ in range(8):
        lab.now += 70_000_000
        lab.breathe()
        lab.sent()
    check_nothing_leaked(lab, connections=0)
    assert [len(set(frames)) for frames in lab._nic_frames] == [NIC_FRAMES] * 2


class MovingCrowd(Crowd):
    """A crowd whose spliced pairs move between two engines."""

    stream_type = SplicedStream
    says_blocks = True

    def __init__(self, seed: int, wires: Wires, *, clients: int) -> None:
        text = configuration_text(timeouts=PATIENT, engines=2, vserver="mode: splice")
        self.homes = Homes(text, connections=4 * clients, frames=64, nic_frames=NIC_FRAMES)
        self.homes.begin_moving(seed, 0.0)
        super().__init__(seed, wires, clients=clients, sizes=(SIZE, SIZE), capacity=CAPACITY, pace=PACE, lab=self.homes)
        self.homes.half_open_limits(1 << 20)

    def _wire(self, stream: Stream, frame: bytes) -> Wire:
        wire = super()._wire(stream, frame)
        stream.scale = 0
        return wire

    def _next_deadline(self) -> int:
        return min(
            [
                1 << 60,
                *(tcb.application_at for k in range(2) for tcb in self.homes.connections(k) if tcb.application_at),
            ]
        )


@pytest.mark.parametrize("wires", [QUIET, BAD], ids=["quiet", "bad"])
def test_pairs_move_time_and_again(wires: Wires) -> None:
    seed = random.Random(5).randrange(1 << 16)
    crowd = MovingCrowd(seed, wires, clients=4)
    crowd.homes.odds = 0.3
    crowd.run(limit_s=120)
    crowd.check_bytes()
    assert crowd.homes.moves > 8, f"seed {seed}"
    assert not crowd.homes.refused, f"seed {seed}"
    crowd.homes.odds = 0.0
    crowd.run(limit_s=20)
    crowd.homes.end_moving()
