"""An engine tells the deciders how busy it is: now and then, as a share of the time since the last time."""

from __future__ import annotations

from ncore_ray.engine.partition import engine_at
from ncore_ray.engine.run import EngineLocal, engine_local_at, tell_load
from ncore_ray.flow.burden import LOAD_PERIOD_US
from ncore_ray.flow.distributor import slot_view
from ncore_ray.lab.dry.engine import START, EngineLab
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new

TEXT = """
appliance: {name: lab, engines: 2, arena: 64MiB}
nics: [{name: nc0, driver: memory, addresses: [10.1.0.10/24]}]
"""


@entry_kernel
def tell(engine_address: int, local_address: int, busy_us: int, now: int) -> int:
    return tell_load(engine_at(engine_address), engine_local_at(local_address), busy_us, now)


def test_load_is_the_share_of_the_time_since_it_was_told_last() -> None:
    lab = EngineLab(TEXT)
    memory, local, address = new(EngineLocal)
    local.measured_at = START
    engine = lab.base + lab.arena.engines + lab.arena.engine_stride
    slots = [slot_view(lab.array, index) for index in range(2)]
    assert tell(engine, address, 1_000, START + LOAD_PERIOD_US - 1) == 0
    assert tell(engine, address, 10_000, START + LOAD_PERIOD_US) == 1
    assert [slot.load for slot in slots] == [0, 500_000 // 4]
    assert tell(engine, address, 10_000, START + 2 * LOAD_PERIOD_US - 1) == 0
    assert tell(engine, address, 10_000, START + 3 * LOAD_PERIOD_US) == 1
    assert slots[1].load == 125_000 - 125_000 // 4
    for turn in range(4, 60):  # a clock that jumps, or a breath longer than the period: never more than all the time
        tell(engine, address, 10_000 + turn * 10 * LOAD_PERIOD_US, START + turn * LOAD_PERIOD_US)
    assert 999_990 <= slots[1].load <= 1_000_000
    del memory
