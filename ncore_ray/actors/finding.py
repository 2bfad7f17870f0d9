"""How a process finds the arena of an appliance: its owner is asked by name, else any other actor that has it."""

from __future__ import annotations

from typing import Any, Final

import ray
from ray.exceptions import RayError

from ncore_ray.arena.layout import ArenaError
from ncore_ray.management.team import NAMESPACE, reason_of

_ANSWER_S: Final = 5.0


def find_arena(appliance: str) -> tuple[list[Any], str]:
    """Return reference and node of an appliance's arena.

    Raises:
        ArenaError: nobody has it any more.
    """
    why = "nobody who has it is left"
    for name in _who_may_have_it(appliance):
        try:
            handle = ray.get_actor(name, namespace=NAMESPACE)
            reference, node, _ = ray.get(handle.hand_out.remote(), timeout=_ANSWER_S)
        except ValueError:  # it has died since
            continue
        except (RayError, AttributeError) as error:  # a management hands nothing out
            why = f"{name}: {reason_of(error)}"
            continue
        return reference, node
    raise ArenaError(f"the arena of appliance {appliance} cannot be had: {why}")


def _who_may_have_it(appliance: str) -> list[str]:
    """Return the names of the appliance's actors, the one that is there for it first."""
    listed = {actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)}
    found = sorted(name for name in listed if name.startswith(f"{appliance}/"))
    return sorted(found, key=lambda name: not name.startswith(f"{appliance}/arena"))
