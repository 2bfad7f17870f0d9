"""What may come next in a command that changes a configuration: for the shell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ncore_ray.config.model import Configuration

_PLACES: Final = ("first", "after")


def candidates(before: Sequence[str], configuration: Configuration) -> list[str]:
    """Return the words that may follow the words before (the first of them a verb of the command language)."""
    from ncore_ray.config.change import LISTS, SINGLES
    from ncore_ray.config.language import USAGE

    if not before:
        return [*USAGE]
    verb, *words = before
    if verb in ("bind", "unbind"):
        return _of_binding(verb, words, configuration)
    if verb not in USAGE:
        return []
    if not words:
        return [*LISTS] if verb in ("add", "rm", "move") else [*LISTS, *SINGLES]
    kind, *words = words
    if kind in SINGLES:
        return _keys(verb, kind)
    if kind not in LISTS or (verb == "add" and not words):
        return []
    if not words:
        return _names(kind, configuration)
    if words[-1] == "after":
        return _names(kind, configuration)
    if verb == "move":
        return [*_PLACES]
    return [] if verb == "rm" else [*_keys(verb, kind), *(_PLACES if verb == "add" else ())]


def _of_binding(verb: str, words: Sequence[str], configuration: Configuration) -> list[str]:
    if not words:
        return _names("vserver", configuration)
    bound = next((one.services for one in configuration.vservers if one.name == words[0]), ())
    if len(words) == 1:
        return (
            [*bound] if verb == "unbind" else [name for name in _names("service", configuration) if name not in bound]
        )
    if verb == "bind":
        return [*bound] if words[-1] == "after" else [*_PLACES]
    return []


def _names(kind: str, configuration: Configuration) -> list[str]:
    from ncore_ray.config.change import LISTS

    return [entry.name for entry in getattr(configuration, LISTS[kind])]


def _keys(verb: str, kind: str) -> list[str]:
    """Return the keys of a kind, those below keys too; with the sign behind which the value stands."""
    end = "" if verb == "unset" else "="
    return [key + end for key in paths_of(kind) if key != "name"]


def paths_of(kind: str) -> list[str]:
    """Return the paths of all keys of a kind."""
    from ncore_ray.config.change import LISTS

    return list(_paths((LISTS.get(kind, kind),)))


def _paths(location: tuple[str | int, ...]) -> Iterable[str]:
    from ncore_ray.config.translate import known_keys

    for key in known_keys(location):
        inner = [f"{key}.{path}" for path in _paths((*location, key))]
        yield from inner or [key]
