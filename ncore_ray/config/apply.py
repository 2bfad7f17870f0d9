"""Changes made to a configuration: all of them, or, when anything about them is wrong, none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ncore_ray.config.change import (
    FIRST,
    LISTS,
    Add,
    Bind,
    Change,
    ChangeError,
    Move,
    Remove,
    Set,
    Unbind,
    Unset,
    Value,
    Values,
)
from ncore_ray.config.expect import shown, suggestion
from ncore_ray.config.load import from_data, to_data
from ncore_ray.config.model import Configuration
from ncore_ray.config.problems import ConfigurationError
from ncore_ray.config.translate import known_keys

Data = dict[str, Any]

_ENTRY: Final = re.compile(rf"({'|'.join(LISTS.values())})\[(\d+)\]\.?")
_SINGULAR: Final = {section: kind for kind, section in LISTS.items()}


def apply(changes: Iterable[Change], configuration: Configuration, folder: Path | None = None) -> Configuration:
    """Return the configuration with the changes made. Only the result has to fit together, not each step to it.

    Relative paths in the changes start from ``folder``.

    Raises:
        ChangeError: a change names what there is not, or the result would be no right configuration.
    """
    data = to_data(configuration)
    for change in changes:
        _make(data, change)
    try:
        return from_data(data, folder)
    except ConfigurationError as error:
        sentences = [f"{_spoken(one.key, data)}{one.text}" for one in error.problems]
        raise ChangeError("\n".join(sentences)) from None


def _spoken(key: str, data: Data) -> str:
    """Return ``service web1: weight: `` for ``services[0].weight``."""
    match = _ENTRY.match(key)
    if match is not None and int(match[2]) < len(data[match[1]]):
        name = data[match[1]][int(match[2])]["name"]
        rest = key[match.end() :]
        return f"{_SINGULAR[match[1]]} {name}: " + (f"{rest}: " if rest else "")
    return f"{key}: " if key else ""


def _make(data: Data, change: Change) -> None:
    match change:
        case Add():
            _add(data, change)
        case Set():
            _set(_entry(data, change.kind, change.name), change.values)
        case Unset():
            _unset(change.kind, _entry(data, change.kind, change.name), change.keys)
            if change.kind not in LISTS and not data[change.kind]:
                del data[change.kind]
        case Remove():
            data[LISTS[change.kind]].remove(_entry(data, change.kind, change.name))
        case Move():
            _move(data, change)
        case Bind():
            _entry(data, "service", change.service)
            _bind(_entry(data, "vserver", change.vserver)["services"], change)
        case Unbind():
            _unbind(_entry(data, "vserver", change.vserver)["services"], change)


def _entry(data: Data, kind: str, name: str) -> Data:
    """Return the data of an entry, or of a section that there is one of."""
    if kind not in LISTS:
        section: Data = data.setdefault(kind, {})
        return section
    entries = data.setdefault(LISTS[kind], [])
    for entry in entries:
        if entry["name"] == name:
            return entry  # type: ignore[no-any-return]
    names = [entry["name"] for entry in entries]
    raise ChangeError(f"there is no {kind} {shown(name)}{suggestion(name, names)}")


def _add(data: Data, change: Add) -> None:
    entries = data.setdefault(LISTS[change.kind], [])
    if any(entry["name"] == change.name for entry in entries):
        raise ChangeError(f"there is a {change.kind} {shown(change.name)} already")
    entry: Data = {"name": change.name}
    _set(entry, change.values)
    _insert(data, change.kind, entry, change.after)


def _insert(data: Data, kind: str, entry: Data, after: str | None) -> None:
    entries = data[LISTS[kind]]
    if after is None:
        entries.append(entry)
    else:
        place = 0 if after == FIRST else entries.index(_entry(data, kind, after)) + 1
        entries.insert(place, entry)


def _move(data: Data, change: Move) -> None:
    entry = _entry(data, change.kind, change.name)
    if change.after == change.name:
        raise ChangeError(f"{change.kind} {shown(change.name)} cannot come after itself")
    if change.after != FIRST:
        _entry(data, change.kind, change.after)
    data[LISTS[change.kind]].remove(entry)
    _insert(data, change.kind, entry, change.after)


def _bind(services: list[str], change: Bind) -> None:
    if change.after not in (None, FIRST) and (change.after not in services or change.after == change.service):
        raise ChangeError(f"vserver {shown(change.vserver)} has no other service {shown(change.after)}")
    if change.service in services:
        services.remove(change.service)
    if change.after is None:
        services.append(change.service)
    else:
        services.insert(0 if change.after == FIRST else services.index(change.after) + 1, change.service)


def _unbind(services: list[str], change: Unbind) -> None:
    if change.service not in services:
        text = f"vserver {shown(change.vserver)} has no service {shown(change.service)}"
        raise ChangeError(text + suggestion(change.service, services))
    services.remove(change.service)


def _set(entry: Data, values: Values) -> None:
    for path, value in values:
        *above, key = path.split(".")
        _section(entry, above)[key] = _plain(value)


def _plain(value: Value) -> object:
    if value == ():
        return {}
    return list(value) if isinstance(value, tuple) else value


def _section(entry: Data, path: list[str]) -> Data:
    """Return the mapping at a path; what is no mapping there becomes one (a monitor's short form keeps its type)."""
    for key in path:
        inner = entry.get(key)
        if not isinstance(inner, dict):
            inner = {"type": inner} if key == "monitor" and inner not in (None, "none") else {}
            entry[key] = inner
        entry = inner
    return entry


def _unset(kind: str, entry: Data, keys: Iterable[str]) -> None:
    known = known_keys((LISTS.get(kind, kind),))
    for path in keys:
        parts = path.split(".")
        if parts[0] not in known or path == "name":
            raise ChangeError(f"{kind} has no key {shown(path)} that can be unset{suggestion(path, known)}")
        _drop(entry, parts)


def _drop(entry: Data, path: list[str]) -> None:
    """Take out a key, and the mappings around it that are empty then; a monitor's short form is its type alone."""
    key, *rest = path
    inner = entry.get(key)
    if rest and isinstance(inner, dict):
        _drop(inner, rest)
        rest = [] if not inner else rest
    is_short = key == "monitor" and rest == ["type"] and isinstance(inner, str)
    if not rest or is_short:
        entry.pop(key, None)
