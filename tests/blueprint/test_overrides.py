"""What holds for one engine only: its core, memory, timer and function; and the plan that shows it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ncore_ray.blueprint.build import build, draw
from ncore_ray.blueprint.placement import place
from ncore_ray.blueprint.plan import plan_of
from ncore_ray.config.apply import apply
from ncore_ray.config.diff import diff
from ncore_ray.config.language import parse_command
from ncore_ray.config.live import restart_reasons
from ncore_ray.config.load import dump, parse
from ncore_ray.config.model import Configuration, Function
from ncore_ray.config.problems import ConfigurationError
from ncore_ray.engine.pacing import Pace
from ncore_ray.machine.record import view
from ncore_ray.management.counters import engine_view

TEXT = """
appliance: {{name: edge, engines: {engines}, cores: [1, 2, 3], arena: 64MiB}}
distribution: {{{distribution}}}
overrides: [{overrides}]
nics: [{{name: nc0, driver: memory, addresses: [10.1.0.10/24]}}]
services: [{{name: web1, address: "10.1.0.2:80"}}]
vservers: [{{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1]{more}}}]
"""


def configured(overrides: str, engines: int = 3, distribution: str = "", more: str = "") -> Configuration:
    return parse(TEXT.format(overrides=overrides, engines=engines, distribution=distribution, more=more))


def test_memory_is_even_by_default_and_uneven_by_setting() -> None:
    even = [row for row in plan_of(configured(""), [0, 1, 2, 3]) if row.function == "both"]
    assert len({(row.memory, row.connections, row.frames) for row in even}) == 1
    uneven = plan_of(configured("{name: engine-1, memory: 200}"), [0, 1, 2, 3])
    rows = {row.name: row for row in uneven}
    assert rows["engine-0"].memory == rows["engine-2"].memory < even[0].memory
    assert rows["engine-1"].memory == pytest.approx(2 * rows["engine-0"].memory, rel=0.05)
    assert rows["engine-1"].connections == pytest.approx(2 * (rows["engine-0"].connections or 0), rel=0.05)
    assert rows["all together"].memory <= 64 << 20


def test_memory_of_the_management_core_is_planned() -> None:
    def management(memory: str) -> int:
        found = dump(configured("")).replace("  name: edge\n", f"  name: edge\n{memory}", 1)
        return plan_of(parse(found), [0, 1])[0].memory

    asked, least = management("  management_memory: 4MiB\n"), management("")
    assert management("  management_memory: 256KiB\n") == least
    assert 4 << 20 < asked < (5 << 20) + least


def test_an_uneven_arena_is_built_as_planned() -> None:
    blueprint = draw(configured("{name: engine-0, memory: 50}, {name: engine-2, memory: 300, timer: 5ms}"))
    array: Any = np.zeros(blueprint.size, np.uint8)
    arena = build(array, blueprint)
    engines = [engine_view(array, index) for index in range(3)]
    rows = {row.name: row for row in plan_of(blueprint.configuration)}
    found = [(engine.connection_count, engine.frame_count) for engine in engines]
    assert found == [(rows[f"engine-{k}"].connections, rows[f"engine-{k}"].frames) for k in range(3)]
    firsts = [engine.first_frame for engine in engines]
    assert [b - a for a, b in pairwise(firsts)] == [one.frame_count for one in engines[:2]]
    assert firsts[2] + engines[2].frame_count == arena.frame_count
    assert [view(Pace, array, engine.pace).period_us for engine in engines] == [0, 0, 5_000]


def test_core_and_function() -> None:
    functional = "parallelism: functional"
    one = configured("{name: engine-1, core: 9}, {name: engine-2, function: both}", distribution=functional)
    assert place(one, [0, 1, 2, 3]).engines == (1, 9, 3)
    assert one.functions() == (Function.TRANSPORT, Function.APPLICATION, Function.BOTH)


@pytest.mark.parametrize(
    ("overrides", "more", "said"),
    [
        ("{name: engine-3}", "", 'found "engine-3", expected the name of an engine, engine-0 to engine-2'),
        ("{name: engine-1}, {name: engine-1}", "", 'found "engine-1", which is the name of overrides[0] already'),
        ("{name: two}", "", 'found "two", expected the name of an engine, such as engine-2'),
        ("{name: engine-1, memory: 5}", "", "found 5, expected a whole number from 10 to 1000"),
        ("{name: engine-1, function: both}", "", 'which belongs to distribution.parallelism "functional" only'),
        ("{name: engine-1, memory: 50}", ", unit: transaction", "engines with virtual connections have the same"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: str, more: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        configured(overrides, more=more)
    assert said in str(raised.value)


def test_overrides_are_changed_by_commands_and_need_a_restart() -> None:
    old = configured("{name: engine-0, memory: 50}")
    commands = [
        "add override engine-2 core=5 memory=150",
        "set override engine-0 timer=5ms",
        "unset override engine-0 memory",
    ]
    new = apply(map(parse_command, commands), old)
    assert (new.override(2).core, new.override(0).timer, new.override(0).memory) == (5, 5_000, 100)
    changes = diff(old, new)
    assert apply(changes, old) == new
    reasons = restart_reasons(changes, old, has_links=False)
    assert len(reasons) >= 2
    assert all("settled when the appliance is built" in reason for reason in reasons)
    assert apply(diff(new, old), new) == old
