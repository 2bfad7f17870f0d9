"""Which place of the NIC table each NIC has: a number by which packets, routes and connections name it while it lives.

The places are made when the arena is: `appliance.max_nics` of them. A NIC keeps its place as long as it is there; one
that comes takes a place that was never used, else one that is free again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ncore_ray.config.model import Configuration, Driver, Nic
from ncore_ray.errors import NcoreError

EMPTY: Final = Nic.model_construct(name="", driver=Driver.MEMORY, interface="", addresses=())
"""In the place of a NIC that is not there: it leads nowhere, and has no address."""


class NoPlaceError(NcoreError):
    """More NICs than there are places for."""


@dataclass(frozen=True)
class Seats:
    """The places, in the order of their numbers."""

    names: tuple[str, ...]
    """Who has each; "" for one that nobody ever had. The name stays when its NIC has gone: so do its counters."""
    free: frozenset[int]
    """Places that nobody has."""

    @classmethod
    def of(cls, configuration: Configuration) -> Seats:
        """Return the places as an arena is built."""
        names, room = [nic.name for nic in configuration.nics], configuration.nic_room
        return cls((*names, *[""] * (room - len(names))), frozenset(range(len(names), room)))

    def place_of(self, name: str) -> int | None:
        """Return the place that a NIC has, if it has one."""
        return next((place for place, one in enumerate(self.names) if one == name and place not in self.free), None)

    def take(self, name: str) -> tuple[Seats, int]:
        """Give a NIC a place; return its number, too. Its former one is the best. Raises NoPlaceError."""
        wanted = sorted(self.free, key=lambda place: (self.names[place] != name, self.names[place] != "", place))
        if not wanted:
            raise NoPlaceError(
                f"nic {name}: the arena has room for {len(self.names)} NIC{'s' * (len(self.names) > 1)}, those that"
                " leave counted; appliance.max_nics reserves more when it is built"
            )
        place = wanted[0]
        return replace(self, names=_with(self.names, place, name), free=self.free - {place}), place

    def give_back(self, place: int) -> Seats:
        """Let a place be free; its name stays until another NIC takes it."""
        return replace(self, free=self.free | {place})

    def seated(self, configuration: Configuration) -> Configuration:
        """Return a configuration whose NICs stand in their places. Those without a place are left out."""
        by_name = {nic.name: nic for nic in configuration.nics}
        nics = tuple(EMPTY if place in self.free else by_name.get(name, EMPTY) for place, name in enumerate(self.names))
        return configuration.model_copy(update={"nics": nics})


def _with(names: Sequence[str], place: int, name: str) -> tuple[str, ...]:
    return (*names[:place], name, *names[place + 1 :])
