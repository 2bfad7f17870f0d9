"""What is there of an appliance whose management died: its detached actors, found by name."""

from __future__ import annotations

from typing import Any, Final

import ray
from ray.exceptions import RayError

from ncore_ray.errors import NcoreError

_ANSWER_S: Final = 5.0
_STANDBY: Final = "/standby-"
_ENGINE: Final = "/engine-"


def survivors(appliance: str, namespace: str) -> dict[str, Any]:
    """Return the actors that live, by the names of those whose work they do. Standbys that wait are ended.

    Raises:
        NcoreError: the arena's owner is gone: nobody knows the configuration any more.
    """
    found, standbys = {}, []
    for actor in ray.util.list_named_actors(all_namespaces=True):
        name = actor["name"]
        if actor["namespace"] != namespace or not name.startswith(f"{appliance}/"):
            continue
        handle = ray.get_actor(name, namespace=namespace)
        if _STANDBY in name:
            standbys.append(handle)
        else:
            found[name] = handle
    for handle in standbys:
        if role := _ask(handle, "role"):
            found[role] = handle
        else:
            ray.kill(handle, no_restart=True)
    for handle in [handle for name, handle in found.items() if _ENGINE in name]:
        found |= dict.fromkeys(_ask(handle, "guests") or (), handle)
    if f"{appliance}/arena" not in found:
        raise NcoreError(f"the arena of appliance {appliance} has no owner any more")
    return found


def _ask(handle: Any, method: str) -> Any:
    """Return what an actor answers; None when it does not."""
    try:
        return ray.get(getattr(handle, method).remote(), timeout=_ANSWER_S)
    except RayError:
        return None
