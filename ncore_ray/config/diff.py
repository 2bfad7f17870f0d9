"""What leads from one configuration to another: `apply(diff(old, new), old) == new`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ncore_ray.config.change import (
    FIRST,
    LISTS,
    SINGLES,
    Add,
    Bind,
    Change,
    Move,
    Remove,
    Set,
    Unbind,
    Unset,
    Value,
    Values,
)
from ncore_ray.config.load import to_data
from ncore_ray.config.model import Configuration

Data = Mapping[str, Any]


def diff(old: Configuration, new: Configuration) -> list[Change]:
    """Return the changes that make ``new`` of ``old``: none that is not needed, in an order in which they can be typed.

    What is used is there before it is used, and goes when nothing uses it any more.
    """
    before, after = to_data(old), to_data(new)
    changes: list[Change] = []
    for kind in SINGLES:
        changes += _edits(kind, "", before.get(kind, {}), after.get(kind, {}))
    changes += _removals("vserver", before, after)
    for kind in LISTS:
        changes += _arrivals(kind, before, after)
    for kind in ("service", "nic", "override"):
        changes += _removals(kind, before, after)
    return changes


def flat(data: Data, prefix: str = "") -> dict[str, Value]:
    """Return the values of an entry by path; a monitor's short form counts as its type."""
    values: dict[str, Value] = {}
    for key, value in data.items():
        path = prefix + key
        if isinstance(value, Mapping):
            values |= flat(value, path + ".") if value else {path: ()}
        elif path == "monitor" and value != "none":
            values["monitor.type"] = value
        else:
            values[path] = tuple(value) if isinstance(value, list | tuple) else value
    return values


def _by_name(kind: str, data: Data) -> dict[str, Data]:
    return {entry["name"]: entry for entry in data.get(LISTS[kind], ())}


def _without(entry: Data, *keys: str) -> Data:
    return {key: value for key, value in entry.items() if key not in keys}


def _edits(kind: str, name: str, before: Data, after: Data) -> Iterator[Change]:
    """Yield what unsets and sets keys; to set a key replaces what is below it, and above it."""
    old, new = flat(before), flat(after)
    values = tuple((key, value) for key, value in new.items() if key not in old or not _same(old[key], value))
    written = [key for key, _ in values]
    keys = tuple(key for key in old if key not in new and not any(_nested(key, other) for other in written))
    if keys:
        yield Unset(kind, name, keys)
    if values:
        yield Set(kind, name, values)


def _same(one: Value, other: Value) -> bool:
    return one == other and type(one) is type(other)


def _nested(one: str, other: str) -> bool:
    return one.startswith(other + ".") or other.startswith(one + ".")


def _removals(kind: str, before: Data, after: Data) -> Iterator[Change]:
    kept = _by_name(kind, after)
    for name in _by_name(kind, before):
        if name not in kept:
            yield Remove(kind, name)


def _arrivals(kind: str, before: Data, after: Data) -> Iterator[Change]:
    """Yield what adds, moves and edits the entries of a section; those that will go are still there, but vServers."""
    old, new = _by_name(kind, before), _by_name(kind, after)
    here = [name for name in old if kind != "vserver" or name in new]
    for name, place in _placements(here, list(new)):
        if name in old:
            yield Move(kind, name, FIRST if place is None else place)
        else:
            yield Add(kind, name, _values_of(new[name]), None if place == _last(here) else place or FIRST)
        _insert(here, name, place)
    for name, entry in new.items():
        if name in old:
            yield from _edits_of_entry(kind, name, old[name], entry)


def _values_of(entry: Data) -> Values:
    return tuple(flat(_without(entry, "name")).items())


def _edits_of_entry(kind: str, name: str, before: Data, after: Data) -> Iterator[Change]:
    bound = ("services",) if kind == "vserver" else ()
    yield from _edits(kind, name, _without(before, "name", *bound), _without(after, "name", *bound))
    if bound:
        yield from _bindings(name, list(before["services"]), list(after["services"]))


def _bindings(vserver: str, before: list[str], after: list[str]) -> Iterator[Change]:
    here = list(before)
    for service, place in _placements(here, after):
        yield Bind(vserver, service, None if place == _last(here) else place or FIRST)
        _insert(here, service, place)
    for service in before:
        if service not in after:
            yield Unbind(vserver, service)


def _last(names: Sequence[str]) -> str | None:
    return names[-1] if names else None


def _insert(names: list[str], name: str, after: str | None) -> None:
    """Put a name behind another one (None: first of all), where it may stand in the list already."""
    if name in names:
        names.remove(name)
    names.insert(0 if after is None else names.index(after) + 1, name)


def _placements(here: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the names that have to be put elsewhere or in, each with the name that it follows (None: it is the first).

    As many as possible stay: those of a longest increasing subsequence.
    """
    staying = _longest_in_order(here, wanted)
    previous: str | None = None
    for name in wanted:
        if name not in staying:
            yield name, previous
        previous = name


def _longest_in_order(here: Sequence[str], wanted: Sequence[str]) -> set[str]:
    """Return a largest set of names that have the same order in both lists (patience sorting)."""
    places = {name: place for place, name in enumerate(here)}
    tails: list[int] = []
    rows: list[tuple[str, int]] = []
    for name in wanted:
        if name in places:
            row = bisect_left(tails, places[name])
            tails[row : row + 1] = [places[name]]
            rows.append((name, row))
    found: set[str] = set()
    row, limit = len(tails) - 1, len(here)
    for name, of_name in reversed(rows):
        if of_name == row and places[name] < limit:
            found.add(name)
            row, limit = row - 1, places[name]
    return found
