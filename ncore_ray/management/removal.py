"""An appliance's actors by name, and the end of all of them, whatever state they are in."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import ray

from ncore_ray.management.processes import wait_until
from ncore_ray.management.seat import SEATS
from ncore_ray.management.team import NAMESPACE

SUFFIXES: Final = tuple(f"/{seat}" for seat in SEATS)
"""How the names of managements end."""
_GONE_S: Final = 5.0


def _actors(name: str) -> list[str]:
    """Return the names of all actors of an appliance, its management among them."""
    return [actor for actor in all_actors() if actor.startswith(f"{name}/")]


def all_actors() -> list[str]:
    """Return the names of all actors of all appliances on this Ray."""
    listed = ray.util.list_named_actors(all_namespaces=True)
    return [actor["name"] for actor in listed if actor["namespace"] == NAMESPACE]


def remove(name: str) -> list[str]:
    """Kill whatever is there of an appliance, without asking; return the names of those actors."""
    found = _kill(name)
    wait_until(lambda: not _kill(name), _GONE_S)
    return found


def _kill(name: str) -> list[str]:
    """Kill all actors of an appliance, its managements first: they would replace the others. Return their names."""
    found = sorted(_actors(name), key=lambda actor: not actor.endswith(SUFFIXES))
    for actor in found:
        with suppress(ValueError):  # gone meanwhile
            ray.kill(ray.get_actor(actor, namespace=NAMESPACE), no_restart=True)
    return found
