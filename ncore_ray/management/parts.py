"""What a management works with: the actors, the arena that they share, and who reads and writes what lies there.

Made anew for an appliance that is built, or met as a former management has left it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import ray
from ray.exceptions import RayError

from ncore_ray.actors.mapping import Mapping
from ncore_ray.arena.core import Drain
from ncore_ray.arena.header import Arena
from ncore_ray.blueprint.build import build
from ncore_ray.blueprint.placement import CorePlan
from ncore_ray.blueprint.queues import plan_queues
from ncore_ray.blueprint.seats import Seats
from ncore_ray.config.model import Replication
from ncore_ray.machine.record import view
from ncore_ray.management import counters
from ncore_ray.management.courier import Courier, by_calls, by_messages
from ncore_ray.management.desk import Desk
from ncore_ray.management.keeping import Place
from ncore_ray.management.office import Office
from ncore_ray.management.processes import is_worker
from ncore_ray.management.report import Reporter
from ncore_ray.management.sources import source_of, tell_by
from ncore_ray.management.team import Member, Team

_ANSWER_S: Final = 2.0


@dataclass
class Parts:
    """Of one appliance."""

    team: Team
    mapping: Mapping
    place: Place
    office: Office
    desk: Desk | None
    """Takes what the cores answer by messages, if they are to."""
    built: Reporter

    def courier(self) -> Courier | None:
        """Return who carries the replicator's questions to the engines, if anybody is to."""
        match self.team.blueprint.configuration.appliance.replication:
            case Replication.MESSAGES if self.desk is not None:
                return by_messages(self.desk)
            case Replication.CALLS:
                return by_calls(lambda: self.team.engines)
        return None

    def note_seats(self, seats: Seats) -> None:
        """Take note of which place each NIC has; a successor knows it, too."""
        self.team.seats = seats
        self.office.note(nic_names=list(seats.names), nic_free=sorted(seats.free))

    def drains(self) -> bool:
        """Return whether the appliance accepts no new connections."""
        engines = self.team.engines
        return any(counters.core_view(self.mapping.array, one.number).drain == Drain.ALL for one in engines)


def living(team: Team) -> list[int]:
    """Return the numbers of the actors that have not failed."""
    return [member.number for member in team.workers if member.failure is None and member.handle is not None]


def assemble(team: Team, plan: CorePlan) -> Parts:
    """Make the actors and their arena, and let them work. Raises NcoreError."""
    team.create()  # their processes start while the arena is made
    reference, node = team.arena_reference()
    mapping = Mapping(reference, node)
    arena = build(mapping.array, team.blueprint)
    place, office = Place(reference, node, arena.epoch), Office(mapping.array)
    office.seat.take(0)
    tell_by(mapping.array, team.blueprint.configuration)
    team.attach(reference, node, arena.epoch)
    if (queues := plan_queues(team.blueprint, mapping.array)) is not None:
        team.open_queues(queues)
    team.start()
    return _parts(team, mapping, place, office)


def meet(team: Team, mapping: Mapping, office: Office, owner: int, owner_restarts: int) -> Parts:
    """Take what the arena says of actors that live. ``owner`` is the process that is there for the arena."""
    team.create()
    place = Place([mapping.reference], mapping.node, view(Arena, mapping.array).epoch)
    _meet_owner(team.members[0], owner)
    team.members[0].restarts = owner_restarts
    for member in team.workers:
        process = counters.core_view(mapping.array, member.number).process
        # One whose actor is gone may have ended long ago: its number may be another program's by now.
        member.process = process if member.handle is not None or is_worker(process) else 0
    team.recognise_guests()
    return _parts(team, mapping, place, office)


def _meet_owner(member: Member, process: int) -> None:
    """See that the owner has the arena: a successor of it may have been left half-made."""
    member.process = process
    if member.handle is None:
        return
    try:
        member.process = ray.get(member.handle.hand_out.remote(), timeout=_ANSWER_S)[2]
    except RayError:
        ray.kill(member.handle, no_restart=True)
        member.handle = None


def _parts(team: Team, mapping: Mapping, place: Place, office: Office) -> Parts:
    array, configuration = mapping.array, team.blueprint.configuration
    desk = Desk(array).start() if tell_by(array, configuration) else None
    source = source_of(configuration.statistics, array, lambda: living(team), desk)
    return Parts(team, mapping, place, office, desk, Reporter(configuration, team, array, source))
