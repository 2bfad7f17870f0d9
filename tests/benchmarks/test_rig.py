"""The engines of the in-memory scenarios answer, and the model of their scaling is what it says. (Nothing is timed.)"""

from __future__ import annotations

import pytest

from benchmarks.engines import Scaling, predicted, serial_share
from benchmarks.rig import RigArena
from benchmarks.stages import Round, stages_of
from ncore_ray.engine.counters import EngineCounters
from ncore_ray.engine.partition import Engine
from ncore_ray.machine.record import view


@pytest.mark.parametrize("protocol", ["HTTP", "TCP"])
def test_clients_are_answered(protocol: str) -> None:
    arena = RigArena(1, 8, protocol)
    arena.run_together(200)
    header = arena.header
    counters = view(EngineCounters, arena.array, view(Engine, arena.array, header.engines).counters)
    assert counters.connections_accepted == 8
    assert counters.retransmitted_segments == 0
    assert (counters.http_responses >= 200) == (protocol == "HTTP")


@pytest.mark.parametrize("unit", ["flow", "transaction"])
def test_engines_by_turns_answer_as_well(unit: str) -> None:
    arena = RigArena(2, 8, unit=unit)
    arena.run_together(200)
    engines = [view(Engine, arena.array, arena.header.engines + k * arena.header.engine_stride) for k in range(2)]
    counters = [view(EngineCounters, arena.array, engine.counters) for engine in engines]
    assert sum(one.connections_accepted for one in counters) == 8
    assert sum(one.http_responses for one in counters) >= 200
    if unit == "transaction":
        assert sum(one.transactions for one in counters) >= 200
        assert all(one.http_responses >= 90 for one in counters)
    else:
        assert sum(one.transactions for one in counters) == 0


def test_flows_are_shared_out_as_the_distributor_does() -> None:
    arena = RigArena(2, 64)
    assert sum(thread.flows for thread in arena.threads) == 64
    assert all(thread.flows > 8 for thread in arena.threads)


def test_model_of_scaling() -> None:
    one, two = Scaling((1.0,), 1.0, 1000), Scaling((0.6, 0.5), 0.6, 1000)
    assert one.cpu_us == pytest.approx(1000.0)
    assert two.balance == pytest.approx(0.55 / 0.6)
    assert serial_share(one, two) == pytest.approx(0.1)
    assert serial_share(one, Scaling((0.4, 0.4), 0.4, 1000)) == 0.0
    assert predicted(8, 1.0, 0.0) == 8.0
    assert predicted(2, 0.5, 1.0) == 0.5


def test_stages_add_up_to_the_whole() -> None:
    http = Round(reader=40, distributor=80, engine=1000, send=60, received=2, sent=2.5)
    tcp = Round(reader=40, distributor=80, engine=600, send=50, received=2, sent=2)
    rows = {stage.name: stage for stage in stages_of(http, tcp, 20.0)}
    assert sum(stage.request_ns for stage in rows.values()) == pytest.approx(40 + 80 + 1000 + 60)
    assert rows["IP"].request_ns == 40
    assert rows["TCP"].request_ns == 560
    assert rows["HTTP"].request_ns == 400
    assert rows["TX"].packet_ns == 24
