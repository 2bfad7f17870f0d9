"""Two deciders in two processes see the first packets of the same flows at the same moment: each flow has one owner."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ncore_ray.flow.decide import decide
from ncore_ray.flow.distributor import Algorithm, DistributorPlan, counters_view, live_flows, slot_view
from ncore_ray.flow.explain import list_flows
from ncore_ray.flow.records import Drop, distributor_of
from ncore_ray.lab.dry.arena import VIP, make_arena, mapped_bytes
from ncore_ray.lab.dry.packets import tcp_packet
from ncore_ray.machine.atomic import fetch_add, load_acquire
from ncore_ray.machine.jit import JIT, entry_kernel
from ncore_ray.machine.memory import store16be, store64
from ncore_ray.machine.record import new
from ncore_ray.wire.packet import Packet, packet_at

FLOWS = 20_000
SOURCE_PORT = 14 + 20


@entry_kernel
def begin_flows(base: int, number: int, packet_address: int, frame: int, gate: int, flows: int, answers: int) -> int:
    """Decide the SYNs of ``flows`` flows, in step with the other decider every 64 flows."""
    distributor, packet = distributor_of(base, number), packet_at(packet_address)
    for flow in range(flows):
        if flow % 64 == 0:
            fetch_add(gate, 1)
            while load_acquire(gate) < 2 * (flow // 64 + 1):
                pass
        store16be(frame + SOURCE_PORT, flow)
        packet.frame = frame
        packet.length = 54
        answer = decide(base, distributor, packet, 1_000_000)
        while answer == Drop.TABLE_BUSY:  # the other one holds the bucket and was put to sleep: a client sends again
            answer = decide(base, distributor, packet, 1_000_000)
        store64(answers + 8 * flow, answer)
    return 0


@pytest.mark.skipif(not JIT, reason="compare-and-exchange is atomic in machine code only")
@pytest.mark.parametrize("algorithm", [one for one in Algorithm if one != Algorithm.HASH])
def test_two_processes_agree_on_every_flow(algorithm: Algorithm) -> None:
    plan = DistributorPlan(engines=4, flows=FLOWS, algorithm=algorithm, deciders=2)
    arena = make_arena(engines=4, plan=plan)
    arena.add_vserver(VIP, 80)
    gate, answers = mapped_bytes(4096), mapped_bytes(2 * 8 * FLOWS).view(np.int64)
    words = gate.ctypes.data
    store = answers.ctypes.data
    begin_flows(arena.base, 0, *_private(), words, 0, store)  # compiles
    child = os.fork()
    number = 1 if child == 0 else 0
    begin_flows(arena.base, number, *_private(), words, FLOWS, store + 8 * FLOWS * number)
    if child == 0:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    first, second = answers[:FLOWS], answers[FLOWS : 2 * FLOWS]
    assert (first >= 0).all()
    assert (first == second).all()
    created = [counters_view(arena.array, decider).flows_created for decider in (0, 1)]
    assert sum(created) == FLOWS == sum(live_flows(arena.array))
    rows = list_flows(arena.array, 1_000_000)
    assert sorted(rows["source_port"].tolist()) == list(range(FLOWS))
    assert (first[rows["source_port"]] == rows["engine"]).all()
    given = sum(slot_view(arena.array, engine).given for engine in range(4))
    assert given == (FLOWS if algorithm == Algorithm.LOAD else 0)
    print(f"{algorithm.name}: {live_flows(arena.array)}")
    assert max(live_flows(arena.array)) <= FLOWS / 4 * 1.05


_KEPT: list[object] = []


def _private() -> tuple[int, int]:
    """Return the addresses of a packet record and of a frame, both this process's own."""
    memory, _, address = new(Packet)
    frame = np.frombuffer(bytearray(tcp_packet("10.1.0.7", 1, VIP, 80)), np.uint8)
    _KEPT.extend((memory, frame))
    return address, frame.ctypes.data
