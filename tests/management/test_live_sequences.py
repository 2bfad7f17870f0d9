"""Any configuration after any other: the data plane works by each in turn, and rows keep their meaning."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.blueprint.rows import effective
from ncore_ray.config.load import from_data, parse, to_data
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.management.live import LiveTables
from ncore_ray.management.replicator import Replicator
from tests.support.configurations import configurations

BASE = """
appliance: {name: edge, engines: 2}
nics: [{name: nc0, driver: memory, addresses: [10.0.0.10/24]}]
"""
LIVE = ("services", "vservers", "timeouts", "tcp")


@settings(max_examples=8)
@given(st.lists(configurations(), min_size=2, max_size=5))
def test_any_configuration_after_any_other(sequence: list[dict[str, Any]]) -> None:
    lab = EngineLab(BASE, connections=16, frames=64)
    built = parse(BASE)

    def breathe() -> None:
        for engine in range(2):
            lab.breathe(engine=engine)

    tables = LiveTables(lab.array, built, lab.blueprint.capacity, lambda: (1, 2), pause=breathe)
    replicator = Replicator(tables)
    for data in sequence:
        wanted = from_data({**to_data(built), **{key: data[key] for key in LIVE}})
        before, epoch = tables.rows(), tables.epoch
        commit = tables.change(wanted)
        assert (commit.epoch, commit.late) == (epoch + 1, ())
        assert set(tables.of_engines().values()) == {effective(wanted)}
        after = tables.rows()
        for number in before.services.keys() & after.services.keys():
            if before.services[number].draining:
                assert after.services[number].service.address == before.services[number].service.address
        replicator.follow(wanted)
    tables.change(built)
    for engine in range(2):
        lab.pass_time(61_000_000, engine=engine, step_us=1_000_000)  # the last probes end
    tables.change(built)
    assert (tables.rows().services, tables.rows().vservers) == ({}, {})
