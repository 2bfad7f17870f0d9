"""The plan of an appliance: which actor runs on which core, with how much memory of its own, and what that holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from ncore_ray.blueprint.build import Blueprint, draw
from ncore_ray.blueprint.placement import CorePlan, place
from ncore_ray.config.model import Configuration, Placement

_MANAGEMENT: Final = ("management", "core_messages")
_DISTRIBUTION: Final = ("distributor", "flows", "fragments", "toeplitz", "indirection", "engine sets")


@dataclass(frozen=True)
class PlanRow:
    """One actor, or what all share."""

    name: str
    core: int | None
    """None: any."""
    function: str
    memory: int
    """Bytes of the arena."""
    connections: int | None
    """What an engine can hold; None for others."""
    frames: int | None

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def plan_of(configuration: Configuration, cores: list[int] | None = None) -> list[PlanRow]:
    """Return the plan of a configuration for the cores of this machine, or others.

    Raises:
        ArenaError: the arena is too small for it.
    """
    plan = place(configuration, cores or sorted(os.sched_getaffinity(0)))
    return list(_rows(configuration, draw(configuration), plan))


def _rows(configuration: Configuration, blueprint: Blueprint, plan: CorePlan) -> Iterator[PlanRow]:
    appliance, spans = configuration.appliance, blueprint.layout.spans
    sizes = {name: span.size for name, span in spans.items()}
    office = sum(sizes.pop(name, 0) for name in _MANAGEMENT)
    yield PlanRow("management", appliance.management_core, "management", office, None, None)
    functions = configuration.functions()
    frames = frame_bytes(blueprint)
    for index in range(appliance.engines):
        own = sum(sizes.pop(name) for name in list(sizes) if name.startswith(f"engine.{index}."))
        settings = blueprint.settings[index]
        memory = own + settings.frames * frames
        held = (settings.connections, settings.frames)
        yield PlanRow(f"engine-{index}", plan.engines[index], functions[index].value, memory, *held)
    nic = blueprint.dimensions.nic_frames
    if configuration.distribution.placement is Placement.CORE:
        for one, core in zip(configuration.nics, plan.readers, strict=False):
            yield PlanRow(f"nic-{one.name}", core, "reader", nic * frames, None, nic)
        yield PlanRow("distributor", plan.distributor, "distributor", sizes_of(blueprint, _DISTRIBUTION), None, None)
    yield PlanRow("all together", None, "arena", blueprint.size, None, None)


def frame_bytes(blueprint: Blueprint) -> int:
    """Return what a frame takes, with what is known of it."""
    spans, count = blueprint.layout.spans, blueprint.header["frame_count"]
    return (spans["frames"].size + spans["frame_metas"].size) // max(count, 1)


def sizes_of(blueprint: Blueprint, prefixes: tuple[str, ...]) -> int:
    """Return the bytes of all regions whose names begin so."""
    return sum(span.size for name, span in blueprint.layout.spans.items() if name.startswith(prefixes))
