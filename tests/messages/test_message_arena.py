"""The arena of an appliance has the rings for its cores."""

from __future__ import annotations

import pytest

from ncore_ray.blueprint.build import build, draw
from ncore_ray.config.load import parse
from ncore_ray.lab.dry.arena import mapped_bytes
from ncore_ray.messages.arena import ArenaPort, MessagePlan, management
from ncore_ray.messages.port import Message, Sending
from tests.support.http_lab import configuration


@pytest.mark.parametrize("engines", [1, 3])
def test_engines_and_management_reach_each_other(engines: int) -> None:
    blueprint = draw(parse(configuration(engines=engines)))
    array = mapped_bytes(blueprint.size)
    build(array, blueprint)
    engine, manager = ArenaPort(array, engines, 1), ArenaPort(array, engines, management(engines))
    assert engine.send(management(engines), {"requests": 7}) is Sending.SENT
    assert manager.try_receive() == Message(1, {"requests": 7})
    assert manager.send(1, "seen") is Sending.SENT
    assert engine.try_receive() == Message(management(engines), "seen")
    with pytest.raises(ValueError, match="there is no core"):
        ArenaPort(array, engines, management(engines) + 1)


@pytest.mark.parametrize(("cores", "capacity"), [(3, 32_768), (8, 32_768), (9, 16_384), (32, 2_048), (66, 2_048)])
def test_many_cores_have_smaller_rings(cores: int, capacity: int) -> None:
    plan = MessagePlan(cores)
    assert plan.capacity == capacity
    assert plan.ring(cores - 1, cores - 1) + plan.stride == plan.size
