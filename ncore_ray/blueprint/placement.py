"""Which actor runs on which CPU."""

from __future__ import annotations

from dataclasses import dataclass

from ncore_ray.config.model import Configuration


@dataclass(frozen=True)
class CorePlan:
    """A CPU for each actor, also for engines that may come later; None leaves the choice to the kernel."""

    distributor: int | None
    engines: tuple[int | None, ...]
    readers: tuple[int | None, ...]


def place(configuration: Configuration, available: list[int]) -> CorePlan:
    """Return the plan for the CPUs that there are (ids, ascending).

    Engines get a CPU each as far as there are enough: those that `cores` lists in turn or, with ``auto``, all but the
    first. Readers and distributor share the first CPU; on a single CPU everything does.
    """
    appliance = configuration.appliance
    cpus = available or [0]
    listed = list(appliance.cores) if appliance.cores is not None else (cpus[1:] or cpus)
    if appliance.cores is None and appliance.engine_room > len(listed):
        listed = [*cpus[1:], cpus[0]]
    own = [configuration.override(k).core for k in range(appliance.engine_room)]
    engines = tuple(listed[k % len(listed)] if core is None else core for k, core in enumerate(own))
    first = next((cpu for cpu in cpus if cpu not in engines), cpus[0])
    return CorePlan(first, engines, (first,) * configuration.nic_room)
