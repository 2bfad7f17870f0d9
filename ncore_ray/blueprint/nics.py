"""From the configuration's NICs to what the NIC room wants to know."""

from __future__ import annotations

from ncore_ray.blueprint.seats import EMPTY, Seats
from ncore_ray.config.model import Configuration, Nic
from ncore_ray.nic.faults import FaultSettings
from ncore_ray.nic.settings import NicSettings


def settings_of(nic: Nic, spin_us: int = 0) -> NicSettings:
    """Return the settings of one NIC."""
    faults = nic.faults
    return NicSettings(
        name=nic.name,
        driver=nic.driver.value,
        interface=nic.interface,
        netns=nic.netns,
        mtu=nic.mtu,
        mac=nic.mac,
        vlan=nic.vlan or 0,
        host=None if nic.host is None else str(nic.host),
        input=nic.input,
        output=nic.output,
        trace=nic.trace,
        spin_us=spin_us,
        faults=None
        if faults is None
        else FaultSettings(
            seed=faults.seed,
            loss=faults.loss,
            duplication=faults.duplication,
            reordering=faults.reordering,
            corruption=faults.corruption,
            delay_us=faults.delay,
            jitter_us=faults.jitter,
        ),
    )


def settings_by_place(configuration: Configuration, seats: Seats | None = None) -> list[NicSettings | None]:
    """Return the settings of the NICs in their places; None: there is none."""
    seated = (seats or Seats.of(configuration)).seated(configuration)
    return [None if nic is EMPTY else settings_of(nic) for nic in seated.nics]
