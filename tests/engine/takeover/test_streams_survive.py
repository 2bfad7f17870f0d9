"""Streams through an engine that dies time and again: only what was being changed is reset, the rest is byte-exact."""

from __future__ import annotations

import pytest

from ncore_ray.machine.jit import JIT
from tests.engine.crowd import PATIENT, Crowd, Wires
from tests.engine.takeover.mortal import Mortal
from tests.support.tcp_script import check_nothing_leaked, configuration_text

SIZE = 60_000 if JIT else 6_000
CLIENTS = 12 if JIT else 6
SEEDS = 3 if JIT else 6
NIC_FRAMES = 4096
"""Hosts on a quiet wire send whole windows at one instant, and a dead engine takes nothing."""
QUIET, BAD = Wires(), Wires(loss=0.03, double=0.02, jitter_us=3_000)


class MortalCrowd(Crowd):
    """A crowd whose engine dies; a stream that was reset has its other end reset as well, in time."""

    def __init__(self, seed: int, wires: Wires, *, odds: float, frames: int) -> None:
        text = configuration_text(timeouts=PATIENT)
        self.mortal = Mortal(text, connections=max(4 * CLIENTS, 16), frames=frames, nic_frames=NIC_FRAMES)
        super().__init__(seed, wires, clients=CLIENTS, sizes=(SIZE, SIZE), frames=frames, lab=self.mortal)
        self.mortal.begin_dying(seed, odds)

    def check_survivors(self) -> int:
        """Check that every end that is done got what its peer sent; return how many clients that are."""
        clients = [stream for (nic, _), stream in self.streams.items() if nic == 0 and stream.peer.is_done]
        services = [stream for (nic, _), stream in self.streams.items() if nic == 1 and stream.peer.is_done]
        assert all(bytes(stream.peer.received) == self.response for stream in clients)
        sent = {stream.peer.data for (nic, _), stream in self.streams.items() if nic == 0}
        assert all(bytes(stream.peer.received) in sent for stream in services)
        return len(clients)


@pytest.mark.parametrize("wires", [QUIET, BAD], ids=["quiet", "bad"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_streams_survive(seed: int, wires: Wires) -> None:
    odds = {QUIET: 0.1 if JIT else 0.2, BAD: 0.01 if JIT else 0.06}[wires]
    crowd = MortalCrowd(seed, wires, odds=odds, frames=512)
    crowd.run(limit_s=120)
    lab = crowd.mortal
    where = f"seed {seed}: {lab.deaths} deaths, {lab.marked} with a change, {crowd.pool()}"
    # A host to which nothing is said, not even a reset if that gets lost, waits for ever; the engine does not.
    assert all(one.peer.is_done or one.reset for one in crowd.streams.values()) or not lab.connections(), where
    survivors = crowd.check_survivors()
    broken = sum(found.broken for found in lab.found)
    assert survivors >= CLIENTS - lab.marked, where
    assert lab.counters().connections_broken == broken
    lab.odds = 0.0
    crowd.run(limit_s=20)
    check_nothing_leaked(lab)
    assert [len(set(frames)) for frames in lab._nic_frames] == [NIC_FRAMES] * 2
    print(f"{where}, {survivors} of {CLIENTS} streams survived")
