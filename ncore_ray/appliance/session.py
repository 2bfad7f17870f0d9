"""Appliances on a Ray cluster, seen from a program: build, find, ask, take down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ncore_ray.actors.management_core import WAITS, ManagementCore
from ncore_ray.appliance.ray_node import RayNode, connect, disconnect, running_ray
from ncore_ray.config.load import dump, load
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError, first_line
from ncore_ray.management.processes import wait_gone
from ncore_ray.management.removal import SUFFIXES, all_actors, remove
from ncore_ray.management.seat import SEATS, NotActiveError
from ncore_ray.management.store import author
from ncore_ray.management.team import NAMESPACE, reason_of

__all__ = [
    "Appliance",
    "RayNode",
    "connect",
    "create",
    "disconnect",
    "find",
    "names",
    "remains",
    "remove",
    "running_ray",
    "start",
]

_BUILD_S: Final = 600
_STOP_S: Final = 60
_GONE_S: Final = 5.0


_READS: Final = frozenset(
    (
        *("configuration", "events", "wait_events", "status", "overview", "stat", "process", "processes"),
        *("flows", "explain", "explain_flow", "statistics"),
    )
)
"""What may be asked again when the one that was asked has died: it changes nothing."""
_TAKE_OVER_S: Final = 10.0
_AGAIN_S: Final = 0.02
_LONGEST_S: Final = 0.2


@dataclass(frozen=True)
class Appliance:
    """A running appliance, by its management actor."""

    name: str
    management: Any
    backup: Any = None
    """The second seat, if there is one. Either of both may be at work."""

    def ask(self, method: str, *arguments: Any, timeout_s: float = 30.0) -> Any:
        """Call a method of the management at work. Raises NcoreError when it fails or does not answer.

        When one has died, the other is asked, once it has taken over; but what would change something is never asked
        twice.
        """
        if self.backup is None:
            return self._call(self.management, method, arguments, timeout_s)
        if method not in _READS:
            return self._call(self._at_work(timeout_s), method, arguments, timeout_s)
        return self._find_at_work(method, arguments, timeout_s)[1]

    def _at_work(self, timeout_s: float) -> Any:
        return self._find_at_work("process", (), timeout_s)[0]

    def _find_at_work(self, method: str, arguments: tuple[Any, ...], timeout_s: float) -> tuple[Any, Any]:
        """Return which of both seats answers, and what.

        Both are asked at once. One that waits says so and is asked again a little later, and so is one that has died:
        Ray may take a second until it says that.
        """
        began_at, pause_s = time.monotonic(), _AGAIN_S
        pending: dict[Any, Any] = {}
        due_at = dict.fromkeys((self.management, self.backup), began_at)
        while (now := time.monotonic()) - began_at < timeout_s:
            for seat in [seat for seat, at in due_at.items() if at <= now]:
                pending[seat.ask.remote(method, *arguments)] = seat
                del due_at[seat]
            for call in ray.wait(list(pending), timeout=pause_s)[0] if pending else ():
                seat = pending.pop(call)
                try:
                    return seat, self._answer(call, timeout_s)
                except (NotActiveError, ManagementDiedError):
                    if now - began_at > _TAKE_OVER_S and not pending:
                        raise
                due_at[seat] = now + pause_s
                pause_s = min(pause_s * 1.2, _LONGEST_S)
            if not pending:
                time.sleep(_AGAIN_S)
        raise NcoreError(f"appliance {self.name} did not answer within {timeout_s:.0f} s")

    def _call(self, seat: Any, method: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        return self._answer(seat.ask.remote(method, *arguments), timeout_s)

    def _answer(self, call: Any, timeout_s: float) -> Any:
        try:
            answer = ray.get(call, timeout=timeout_s)
        except GetTimeoutError:
            raise NcoreError(f"appliance {self.name} did not answer within {timeout_s:.0f} s") from None
        except RayActorError:
            raise ManagementDiedError(f"the management of appliance {self.name} has died") from None
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, NcoreError):
                raise cause from None
            raise NcoreError(f"appliance {self.name} failed: {first_line(cause or error)}") from None
        if answer == WAITS:
            raise NotActiveError(f"another management of appliance {self.name} is at work")
        return answer

    def take_down(self, by: str = "") -> list[str]:
        """Stop all actors and the management; return those that had to be killed."""
        try:
            process: int = self.ask("process")
        except (NotActiveError, ManagementDiedError):  # nobody is at work any more
            remove(self.name)
            return []
        try:
            late: list[str] = self.ask("stop", by or author(), timeout_s=_STOP_S)
        finally:
            remove(self.name)
        wait_gone([process], _GONE_S)
        return late


class ManagementDiedError(NcoreError):
    """The process that was asked is gone."""


def create(
    configuration: Configuration, source: str, *, detached: bool, store: Path | None = None, tether: int = 0
) -> Appliance:
    """Build an appliance; returns when packets flow. One that is not ``detached`` ends when the result is forgotten.

    Args:
        configuration: what it is to be.
        source: where that comes from, for people.
        detached: whether it lasts.
        store: the file that keeps the versions of its configuration; without one they end with the appliance.
        tether: a process of this node whose end is that of the appliance, which has a second management then; 0: none.

    Raises:
        NcoreError: one of that name runs already, or something that it needs cannot be had.
    """
    name = configuration.appliance.name
    if name in names():
        raise NcoreError(f"an appliance named {name} runs already (ncore shutdown {name} ends it)")
    remove(name)
    lasting = detached or bool(tether)
    options: dict[str, Any] = {"lifetime": "detached", "max_restarts": -1} if lasting else {}
    options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )  # its NICs are those of the machine where it was asked for

    def seat(which: str) -> Any:
        factory = ray.remote(ManagementCore).options(
            name=f"{name}/{which}", namespace=NAMESPACE, num_cpus=0, max_concurrency=32, **options
        )
        return factory.remote(name, which, detached=lasting, tether=tether)

    try:
        appliance = Appliance(name, seat(SEATS[0]))
    except ValueError:  # the name was taken since we looked
        raise NcoreError(f"an appliance named {name} is being built by another program") from None
    try:
        file = None if store is None else str(store.absolute())
        appliance.ask("build", dump(configuration), source, str(Path.cwd()), file, author(), timeout_s=_BUILD_S)
        if tether or (detached and configuration.appliance.backup):
            appliance = Appliance(name, appliance.management, _made(seat(SEATS[1])))
    except BaseException:
        remove(name)
        raise
    return appliance


def _made(seat: Any) -> Any:
    """Wait until a seat's process has begun; return the seat.

    Ray gives up an actor whose creator dies before that, a detached one too. Raises NcoreError.
    """
    try:
        ray.get(seat.ask.remote("process"), timeout=_BUILD_S)
    except RayError as error:
        raise NcoreError(f"the second management cannot be started: {reason_of(error)}") from error
    return seat


def names() -> list[str]:
    """Return the names of the appliances on this Ray."""
    return sorted({actor.partition("/")[0] for actor in all_actors() if actor.endswith(SUFFIXES)})


def remains() -> list[str]:
    """Return the names of appliances whose management has died, but not all of their actors."""
    return sorted({actor.partition("/")[0] for actor in all_actors()} - set(names()))


def find(name: str | None = None) -> Appliance:
    """Return the appliance of a name, or the only one there is. Raises NcoreError."""
    known = names()
    if name is None:
        name = _only(known)
    if name not in known:
        if name in remains():
            raise NcoreError(f"the management of appliance {name} has died (ncore shutdown {name} removes the rest)")
        raise NcoreError(f"there is no appliance named {name}" + (f", only {', '.join(known)}" if known else ""))
    seats = [ray.get_actor(name + suffix, namespace=NAMESPACE) for suffix in SUFFIXES if name + suffix in all_actors()]
    if not seats:
        raise NcoreError(f"appliance {name} has ended")
    return Appliance(name, *seats)


def _only(known: list[str]) -> str:
    rest = remains()
    if len(known) == 1 or (not known and len(rest) == 1):
        return (known or rest)[0]
    what = f"there are {', '.join(known)}: name one" if known else "there is none (ncore run CONFIG starts one)"
    raise NcoreError(f"which appliance? {what}")


def start(path: Path, *, detached: bool) -> tuple[Appliance, RayNode]:
    """Load a configuration, connect, and build. Raises NcoreError."""
    configuration = load(path)
    node = connect(configuration.appliance.arena, lasting=detached)
    return create(configuration, str(path), detached=detached), node
