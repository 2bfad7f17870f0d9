"""The actors of one appliance: created, attached to one arena, started in order, watched, and taken down."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ncore_ray.actors.arena_owner import ArenaOwner
from ncore_ray.actors.flow_distributor import FlowDistributor
from ncore_ray.actors.nic_reader import NicReader
from ncore_ray.actors.packet_engine import PacketEngine
from ncore_ray.arena.core import Actor
from ncore_ray.arena.layout import PAGE
from ncore_ray.blueprint.build import Blueprint
from ncore_ray.blueprint.nics import settings_by_place
from ncore_ray.blueprint.placement import CorePlan
from ncore_ray.blueprint.seats import Seats
from ncore_ray.config.model import Placement
from ncore_ray.errors import NcoreError
from ncore_ray.management.processes import wait_gone
from ncore_ray.nic.fanout import Fanout
from ncore_ray.nic.settings import NicSettings

NAMESPACE: Final = "ncore"
"""Ray namespace of all actors of all appliances."""
_READY_S: Final = 300.0
"""Time for an actor to attach: kernels may have to be compiled."""
_ANSWER_S: Final = 5.0
_NEEDS_RIGHTS: Final = " (this needs root, or the capabilities CAP_NET_RAW and CAP_NET_ADMIN)"
_WATCH_S: Final = 0.5

log: Final = logging.getLogger("ncore_ray")


Living = Mapping[str, tuple[Any, str]]
"""Handle and Ray's name of the actors that live, by the names of the members whose work they do."""


@dataclass
class Member:
    """One actor of the team."""

    name: str
    kind: str
    number: int
    """Row of the `cores` table, or −1 for the arena's owner."""
    cpu: int | None
    handle: Any
    process: int = 0
    failure: str | None = None
    arguments: tuple[Any, ...] = ()
    """What the actor was made with."""
    is_new: bool = False
    """It is to begin, in the process of a standby."""
    host: str = ""
    """The engine in whose process this one is at work, if it has none of its own."""
    restarts: int = 0
    """How often another process took its place, of one that has no row of the `cores` table."""
    actor: str = ""
    """Ray's name of the actor that does its work: its own, or that of a standby which has become it."""


class Team:
    """Builds and takes down the actors that a blueprint names; tells ``on_failure`` of one that dies."""

    def __init__(
        self,
        blueprint: Blueprint,
        plan: CorePlan,
        *,
        detached: bool,
        on_failure: Callable[[Member], None],
        living: Living | None = None,
        engines: int | None = None,
        nics: Sequence[NicSettings | None] | None = None,
        seats: Seats | None = None,
    ):
        """Create the arena's owner; with ``living`` actors, take these instead of making any.

        ``engines`` is how many are wanted by now, ``nics`` those that are there, in their places, and ``seats`` who
        has which, where that is not what the blueprint says.
        """
        self.blueprint = blueprint
        self.name = blueprint.configuration.appliance.name
        self._plan = plan
        self._engines = engines or blueprint.configuration.appliance.engines
        self.nics = list(settings_by_place(blueprint.configuration) if nics is None else nics)
        """The NICs in their places; None: nobody is there, or one that leaves."""
        self.seats = seats or Seats.of(blueprint.configuration)
        """Who has each place."""
        self._detached = detached
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._reporting = threading.Lock()
        self._watchers: list[threading.Thread] = []
        self.standbys: list[Member] = []
        """Those that wait."""
        self._living = living
        self.owner = self._make("arena", ArenaOwner, f"{self.name}/arena", blueprint.size + PAGE)
        self.members: list[Member] = [
            Member("arena", "ArenaOwner", -1, None, self.owner, actor=self._actor_name("arena"))
        ]

    def _make(self, name: str, actor: type, *arguments: Any) -> Any:
        if self._living is None:
            return self.create_actor(name, actor, *arguments)
        return self._living.get(name, (None, ""))[0]

    def _actor_name(self, name: str) -> str:
        return f"{self.name}/{name}" if self._living is None else self._living.get(name, (None, ""))[1]

    def create_actor(self, name: str, actor: type, *arguments: Any) -> Any:
        """Create an actor on this node and return its handle at once."""
        node = ray.get_runtime_context().get_node_id()
        options = {
            "name": f"{self.name}/{name}",
            "namespace": NAMESPACE,
            "num_cpus": 0,
            "max_restarts": 0,
            "max_concurrency": 4,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
        }
        if self._detached:
            options["lifetime"] = "detached"
        return ray.remote(actor).options(**options).remote(*arguments)

    def actors(self) -> dict[str, str]:
        """Return Ray's name of the actor that does each member's work."""
        return {member.name: member.actor for member in self.members if member.handle is not None}

    def arena_reference(self) -> tuple[list[Any], str]:
        """Return the arena's reference and node. Raises NcoreError if the owner did not get its memory."""
        try:
            result: tuple[list[Any], str, int] = ray.get(self.owner.hand_out.remote(), timeout=60)
        except RayError as error:
            size, reason = self.blueprint.size >> 20, reason_of(error)
            raise NcoreError(f"the arena of {size} MiB cannot be made: {reason}") from None
        self.members[0].process = result[2]
        return result[0], result[1]

    def create(self) -> None:
        """Create the actors of the data plane."""
        if self.blueprint.configuration.distribution.placement is Placement.CORE:
            self._create_readers()
        for index in range(self.blueprint.configuration.appliance.engine_room):
            living = self._living or {}
            if index < self._engines or f"engine-{index}" in living:
                cpu = self._plan.engines[index]
                self._add(f"engine-{index}", PacketEngine, Actor.ENGINE + index, cpu, index, cpu, list(self.nics))

    def _add(self, name: str, actor: type, number: int, cpu: int | None, *arguments: Any) -> None:
        named = (f"{self.name}/{name}", *arguments)
        handle = self._make(name, actor, *named)
        member = Member(name, actor.__name__, number, cpu, handle, arguments=named, actor=self._actor_name(name))
        self.members.append(member)

    def add_engine(self, index: int) -> Member:
        """Add an engine that is to begin; its process is yet to be found."""
        name, cpu = f"engine-{index}", self._plan.engines[index]
        arguments = (f"{self.name}/{name}", index, cpu, list(self.nics))
        member = Member(name, "PacketEngine", Actor.ENGINE + index, cpu, None, arguments=arguments, is_new=True)
        member.failure = "it is about to begin"
        self.members = [*self.members, member]
        return member

    def add_reader(self, place: int, settings: NicSettings) -> Member:
        """Add the reader of a NIC that is to begin; its process is yet to be found."""
        name, number, cpu = f"nic-{settings.name}", self._reader_number(place), self._plan.readers[place]
        arguments = (f"{self.name}/{name}", place, cpu, settings)
        member = Member(name, "NicReader", number, cpu, None, arguments=arguments, is_new=True)
        member.failure = "it is about to begin"
        self.members = [*self.members, member]
        return member

    def put_nic(self, place: int, settings: NicSettings | None) -> None:
        """Note which NIC is in a place: whoever takes an engine's place from now on opens it."""
        self.nics[place] = settings
        for member in self.engines:
            *others, _ = member.arguments
            member.arguments = (*others, list(self.nics))

    def reader_of(self, place: int) -> Member | None:
        """Return the reader of the NIC in a place."""
        number = self._reader_number(place)
        return next((one for one in self.members if one.kind == "NicReader" and one.number == number), None)

    def _reader_number(self, place: int) -> int:
        return Actor.ENGINE + self.blueprint.configuration.appliance.engine_room + place

    def part_from(self, member: Member) -> Any:
        """Note that an actor's process is about to end, as it should; return its handle."""
        with self._reporting:
            handle, member.handle, member.process = member.handle, None, 0
        return handle

    def forget(self, member: Member) -> None:
        """Note that an actor is no more."""
        self.members = [one for one in self.members if one is not member]

    def recognise_guests(self) -> None:
        """Note which engines are at work in the process of another one."""
        hosts = {member.process: member for member in reversed(self.engines)}
        for member in self.engines:
            if (host := hosts.get(member.process)) is not member and host is not None and member.process:
                member.host = host.name

    def working(self, wanted: int) -> int:
        """Return how many of the engines that are wanted, the first ones, have begun: one at least."""
        begun = {one.number - Actor.ENGINE for one in self.engines if not one.is_new and not one.host}
        return next((index for index in range(wanted) if index not in begun), wanted) or 1

    @property
    def engines(self) -> list[Member]:
        """The packet engines, in the order of their numbers, those among them that come or go."""
        return sorted((one for one in self.members if one.kind == "PacketEngine"), key=lambda one: one.number)

    def _create_readers(self) -> None:
        """Create the actors that read and distribute, where engines do not do so themselves."""
        for index, settings in enumerate(self.nics):
            if settings is not None:
                cpu = self._plan.readers[index]
                self._add(f"nic-{settings.name}", NicReader, self._reader_number(index), cpu, index, cpu, settings)
        for index, name in enumerate(self.seats.names):
            if self.nics[index] is None and f"nic-{name}" in (self._living or {}):
                cpu = self._plan.readers[index]
                self._add(f"nic-{name}", NicReader, self._reader_number(index), cpu, index, cpu, None)
        self._add("distributor", FlowDistributor, Actor.DISTRIBUTOR, self._plan.distributor, self._plan.distributor)

    @property
    def workers(self) -> list[Member]:
        """The actors that have a loop."""
        return [member for member in self.members if member.number >= 0]

    def attach(self, reference: list[Any], node: str, epoch: int) -> None:
        """Let all actors map the arena and run their kernels once. Raises NcoreError naming the actor that cannot."""
        pending = [(member, member.handle.attach.remote(reference, node, epoch)) for member in self.workers]
        for member, answer in pending:
            try:
                member.process = ray.get(answer, timeout=_READY_S)
            except RayError as error:
                raise NcoreError(f"{self.name}/{member.name} cannot start: {reason_of(error)}") from None

    def join(self) -> None:
        """Begin to watch actors that live; those that do not are reported."""
        for member in self.members:
            if member.handle is None:
                self.report(member, None, "its process died")
            else:
                self.watch(member)

    def open_queues(self, fanout: Fanout) -> None:
        """Let the engines open their receive queues, in the order of their numbers. Raises NcoreError naming one."""
        for member in self.workers:
            try:
                ray.get(member.handle.open_queues.remote(fanout), timeout=_READY_S)
            except RayError as error:
                raise NcoreError(f"{self.name}/{member.name} cannot start: {reason_of(error)}") from None

    def start(self) -> None:
        """Start the loops, those that take first, and begin to watch all. Raises NcoreError naming an actor."""
        order = {"PacketEngine": 0, "FlowDistributor": 1, "NicReader": 2}
        for member in sorted(self.workers, key=lambda member: order[member.kind]):
            try:
                ray.get(member.handle.start.remote(), timeout=_ANSWER_S * 4)
            except RayError as error:
                raise NcoreError(f"{self.name}/{member.name} cannot start: {reason_of(error)}") from None
        for member in self.members:
            self.watch(member)

    def watch(self, member: Member) -> None:
        """Begin to watch an actor."""
        name = f"watch-{member.name}"
        thread = threading.Thread(target=self._watch, args=(member, member.handle), name=name, daemon=True)
        self._watchers.append(thread)
        thread.start()

    def _watch(self, member: Member, handle: Any) -> None:
        """Wait on an actor all the time: its death fails the pending call within some 25 ms."""
        while not self._stopping.is_set() and member.handle is handle:
            try:
                failure = ray.get(handle.watch.remote(_WATCH_S), timeout=_WATCH_S + _ANSWER_S)
            except GetTimeoutError:
                failure = f"no answer for {_ANSWER_S:.0f} s"
            except RayError as error:
                failure = reason_of(error)
            if failure:
                self.report(member, handle, failure)
                return

    def report(self, member: Member, handle: Any, failure: str) -> None:
        """Note that an actor failed, once, whoever found it out first."""
        with self._reporting:
            if self._stopping.is_set() or member.handle is not handle or member.failure is not None:
                return
            member.failure = failure
        self._on_failure(member)

    def replaced(self, member: Member, handle: Any, process: int) -> None:
        """Note that another process has taken an actor's place, and watch that one."""
        with self._reporting:
            member.handle, member.process = handle, process
            member.failure, member.is_new = None, False
        self.watch(member)

    def stop(self) -> list[str]:
        """End all loops and actors; return the names of those that did not end by themselves and were killed."""
        self._stopping.set()
        order = {"NicReader": 0, "FlowDistributor": 1, "PacketEngine": 2, "ArenaOwner": 3}
        members = sorted(self.members, key=lambda member: order[member.kind])
        late = [member.name for member in members if not self._stop_one(member)]
        members += self.standbys
        for member in members:
            if member.handle is not None:
                ray.kill(member.handle, no_restart=True)
        for thread in self._watchers:
            thread.join(_WATCH_S + 1)
        wait_gone((member.process for member in members), _ANSWER_S)
        return late

    def _stop_one(self, member: Member) -> bool:
        if member.failure is not None or not member.process or member.handle is None:
            return True
        try:
            return bool(ray.get(member.handle.stop.remote(), timeout=_ANSWER_S))
        except RayError:
            return False


def reason_of(error: BaseException) -> str:
    """Return why a call of an actor failed, in one sentence."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, GetTimeoutError):
        return "it did not answer in time"
    if isinstance(cause, RayActorError):
        return "its process died"
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(cause).__name__
    return reason + (_NEEDS_RIGHTS if reason.endswith("Operation not permitted") else "")
