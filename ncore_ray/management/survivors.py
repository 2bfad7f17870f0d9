"""What is there of an appliance whose management died: its detached actors, found by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import ray
from ray.exceptions import RayError

from ncore_ray.management.team import Member

_ANSWER_S: Final = 1.0
_STANDBY: Final = "standby-"
_ARENA: Final = "arena"
_ENGINE: Final = "engine-"


@dataclass
class Survivors:
    """Who lives."""

    living: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Handle and Ray's name, by the members whose work they do."""
    waiting: list[Member] = field(default_factory=list)
    """Standbys that could take the place of an actor."""


def survivors(appliance: str, namespace: str, actors: Mapping[str, str]) -> Survivors:
    """Return the actors that live. Standbys that are of no use are ended.

    Args:
        appliance: its name.
        namespace: Ray's, of all actors.
        actors: which actor did each member's work, as the former management noted. A standby that became an actor in
            the instant of its death is not there: those are asked themselves.
    """
    found, prefix = Survivors(), f"{appliance}/"
    listed = {actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)}
    handles = {name: _handle(name, namespace) for name in listed if name.startswith(prefix)}
    for member, actor in actors.items():
        if handles.get(actor) is not None:
            found.living[member] = (handles[actor], actor)
    unknown = [name for name in handles if name.startswith(prefix + _STANDBY) and name not in actors.values()]
    for name, answer in _ask({name: handles[name] for name in unknown if handles[name]}, "role").items():
        _judge(found, prefix, name, handles[name], answer)
    for name in handles:  # a keeper of the arena that nobody has noted: it was being made
        if name.startswith(prefix + _ARENA) and name not in actors.values() and handles[name] is not None:
            ray.kill(handles[name], no_restart=True)
    if any(member not in found.living for member in actors if member.startswith(_ENGINE)):
        _find_guests(found, prefix)
    return found


def _find_guests(found: Survivors, prefix: str) -> None:
    """Look whether an engine that has no process of its own goes on in that of another one."""
    hosts = {member: place for member, place in found.living.items() if member.startswith(_ENGINE)}
    answers = _ask({member: handle for member, (handle, _) in hosts.items()}, "guests")
    for member, guests in answers.items():
        for guest in guests or ():
            found.living.setdefault(guest.removeprefix(prefix), hosts[member])


def _handle(name: str, namespace: str) -> Any:
    try:
        return ray.get_actor(name, namespace=namespace)
    except ValueError:  # it has died since
        return None


def _ask(actors: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return what actors say of themselves, all asked at once; None for one that says nothing."""
    asked = {name: getattr(handle, method).remote() for name, handle in actors.items()}
    if asked:
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=_ANSWER_S)
    answers: dict[str, Any] = {}
    for name, answer in asked.items():
        try:
            answers[name] = ray.get(answer, timeout=0)
        except RayError:
            answers[name] = None
    return answers


def _judge(found: Survivors, prefix: str, name: str, handle: Any, answer: tuple[str | None, int] | None) -> None:
    role, process = answer or (None, 0)
    if role is not None:
        found.living[role.removeprefix(prefix)] = (handle, name)
    elif process:
        found.waiting.append(Member(name.removeprefix(prefix), "Standby", -1, None, handle, process, actor=name))
    else:
        ray.kill(handle, no_restart=True)
