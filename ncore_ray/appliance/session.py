"""Appliances on a Ray cluster, seen from a program: build, find, ask, take down."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ncore_ray.actors.management import Management
from ncore_ray.appliance.ray_node import RayNode, connect, disconnect, running_ray
from ncore_ray.config.load import dump, load
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError, first_line
from ncore_ray.management.processes import wait_gone, wait_until
from ncore_ray.management.store import author
from ncore_ray.management.team import NAMESPACE

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

_SUFFIX: Final = "/management"
_BUILD_S: Final = 600
_STOP_S: Final = 60
_GONE_S: Final = 5.0


@dataclass(frozen=True)
class Appliance:
    """A running appliance, by its management actor."""

    name: str
    management: Any

    def ask(self, method: str, *arguments: Any, timeout_s: float = 30.0) -> Any:
        """Call a method of the management actor. Raises NcoreError when it fails or does not answer."""
        try:
            return ray.get(getattr(self.management, method).remote(*arguments), timeout=timeout_s)
        except GetTimeoutError:
            raise NcoreError(f"appliance {self.name} did not answer within {timeout_s:.0f} s") from None
        except RayActorError:
            raise NcoreError(f"the management of appliance {self.name} has died") from None
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, NcoreError):
                raise cause from None
            raise NcoreError(f"appliance {self.name} failed: {first_line(cause or error)}") from None

    def take_down(self) -> list[str]:
        """Stop all actors and the management; return those that had to be killed."""
        process: int = self.ask("process")
        try:
            late: list[str] = self.ask("stop", timeout_s=_STOP_S)
        finally:
            remove(self.name)
        wait_gone([process], _GONE_S)
        return late


def create(configuration: Configuration, source: str, *, detached: bool, store: Path | None = None) -> Appliance:
    """Build an appliance; returns when packets flow. One that is not ``detached`` ends when the result is forgotten.

    ``store`` is the file that keeps the versions of its configuration; without one they end with the appliance.

    Raises:
        NcoreError: one of that name runs already, or something that it needs cannot be had.
    """
    name = configuration.appliance.name
    if name in names():
        raise NcoreError(f"an appliance named {name} runs already (ncore shutdown {name} ends it)")
    remove(name)
    options: dict[str, Any] = {"lifetime": "detached", "max_restarts": -1} if detached else {}
    options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )  # its NICs are those of the machine where it was asked for
    factory = ray.remote(Management).options(
        name=name + _SUFFIX, namespace=NAMESPACE, num_cpus=0, max_concurrency=32, **options
    )
    try:
        appliance = Appliance(name, factory.remote(name, detached=detached))
    except ValueError:  # the name was taken since we looked
        raise NcoreError(f"an appliance named {name} is being built by another program") from None
    try:
        file = None if store is None else str(store.absolute())
        appliance.ask("build", dump(configuration), source, str(Path.cwd()), file, author(), timeout_s=_BUILD_S)
    except BaseException:
        remove(name)
        raise
    return appliance


def _actors(name: str) -> list[str]:
    """Return the names of all actors of an appliance, its management among them."""
    return [actor for actor in _all_actors() if actor.startswith(f"{name}/")]


def _all_actors() -> list[str]:
    listed = ray.util.list_named_actors(all_namespaces=True)
    return [actor["name"] for actor in listed if actor["namespace"] == NAMESPACE]


def remove(name: str) -> list[str]:
    """Kill whatever is there of an appliance, without asking; return the names of those actors."""
    found = _actors(name)
    for actor in found:
        with suppress(ValueError):  # gone meanwhile
            ray.kill(ray.get_actor(actor, namespace=NAMESPACE), no_restart=True)
    wait_until(lambda: not _actors(name), _GONE_S)
    return found


def names() -> list[str]:
    """Return the names of the appliances on this Ray."""
    return sorted(actor.removesuffix(_SUFFIX) for actor in _all_actors() if actor.endswith(_SUFFIX))


def remains() -> list[str]:
    """Return the names of appliances whose management has died, but not all of their actors."""
    return sorted({actor.partition("/")[0] for actor in _all_actors()} - set(names()))


def find(name: str | None = None) -> Appliance:
    """Return the appliance of a name, or the only one there is. Raises NcoreError."""
    known = names()
    if name is None:
        name = _only(known)
    if name not in known:
        if name in remains():
            raise NcoreError(f"the management of appliance {name} has died (ncore shutdown {name} removes the rest)")
        raise NcoreError(f"there is no appliance named {name}" + (f", only {', '.join(known)}" if known else ""))
    return Appliance(name, ray.get_actor(name + _SUFFIX, namespace=NAMESPACE))


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
