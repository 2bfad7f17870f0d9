"""The command language: what a person types ⇄ a change of the configuration.

    add service web3 address=10.1.0.4:80 weight=2 after web1
    set vserver www method=leastconnection timeouts.header=4s
    unset service web1 monitor.path
    bind www web3                       unbind www web3
    move vserver www first              rm service web3

A value with blanks, commas or quotes stands in double quotes, as in JSON; so does a text that looks like a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args, get_origin

from ncore_ray.config.change import (
    FIRST,
    LISTS,
    SINGLES,
    Add,
    Bind,
    Change,
    ChangeError,
    Move,
    Remove,
    Scalar,
    Set,
    Unbind,
    Unset,
    Value,
    Values,
)
from ncore_ray.config.expect import alternatives, shown, suggestion
from ncore_ray.config.model import Configuration
from ncore_ray.config.tree import scalar_of

_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_TOKEN: Final = re.compile(rf'(?:[^\s"]|{_QUOTED})+')
_ITEM: Final = re.compile(rf'{_QUOTED}|[^,"]*')
_BARE: Final = re.compile(r'[^\s",{}#][^\s",]*')
_EMPTY: Final = "{}"
_WORDS: Final = ("auto", "none", "off")
"""What stands in place of a list that may be left out."""

USAGE: Final = {
    "add": "add KIND NAME KEY=VALUE … [first | after NAME]",
    "set": "set KIND [NAME] KEY=VALUE …",
    "unset": "unset KIND [NAME] KEY …",
    "rm": "rm KIND NAME",
    "move": "move KIND NAME (first | after NAME)",
    "bind": "bind VSERVER SERVICE [first | after SERVICE]",
    "unbind": "unbind VSERVER SERVICE",
}
"""The form of each command."""


def to_text(change: Change) -> str:
    """Return a change as a person would type it."""
    match change:
        case Add():
            return _joined("add", change.kind, change.name, *_pairs(change.values), *_place(change.after))
        case Set():
            return _joined("set", change.kind, change.name, *_pairs(change.values))
        case Unset():
            return _joined("unset", change.kind, change.name, *change.keys)
        case Remove():
            return _joined("rm", change.kind, change.name)
        case Move():
            return _joined("move", change.kind, change.name, *_place(change.after))
        case Bind():
            return _joined("bind", change.vserver, change.service, *_place(change.after))
        case Unbind():
            return _joined("unbind", change.vserver, change.service)


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _place(after: str | None) -> tuple[str, ...]:
    if after is None:
        return ()
    return ("first",) if after == FIRST else ("after", after)


def _pairs(values: Values) -> Iterable[str]:
    return (f"{key}={_value_text(value)}" for key, value in values)


def _value_text(value: Value) -> str:
    if value == ():
        return _EMPTY
    return ",".join(map(_scalar_text, value)) if isinstance(value, tuple) else _scalar_text(value)


def _scalar_text(value: Scalar) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _BARE.fullmatch(value) is not None and scalar_of(value) == value
    return value if plain else json.dumps(value, ensure_ascii=False)


def parse_script(text: str) -> list[Change]:
    """Return the changes of a script: a command on each line; empty lines and those that begin with # are none.

    Raises `ChangeError`, which names the line.
    """
    changes: list[Change] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                changes.append(parse_command(line))
            except ChangeError as error:
                raise ChangeError(f"line {number}: {error}") from None
    return changes


def parse_command(line: str) -> Change:
    """Return the change that a line asks for. Raises `ChangeError`."""
    words = _TOKEN.findall(line)
    if "".join(words) != "".join(line.split()) and _TOKEN.sub("", line).strip():
        raise ChangeError(f"found a quote that is not closed in {shown(line.strip())}")
    return parse_words(words)


def parse_words(words: Sequence[str]) -> Change:
    """Return the change that some words, one command, ask for. Raises `ChangeError`."""
    verb, *rest = words or [""]
    if verb not in USAGE:
        raise ChangeError(f"found {shown(verb)}, expected {alternatives(USAGE)}{suggestion(verb, USAGE)}")
    if verb in ("bind", "unbind"):
        return _binding(verb, rest)
    if not rest or rest[0] not in (*LISTS, *SINGLES):
        kinds = [*LISTS] if verb in ("add", "rm", "move") else [*LISTS, *SINGLES]
        raise _misused(verb, f"KIND is {alternatives(kinds)}{suggestion(rest[0] if rest else None, kinds)}")
    kind, *rest = rest
    if kind in SINGLES and verb in ("add", "rm", "move"):
        raise _misused(verb, f"there is always one {kind} (set {kind} KEY=VALUE changes it)")
    name = "" if kind in SINGLES else _name(verb, rest)
    return _of_entry(verb, kind, name, rest if kind in SINGLES else rest[1:])


def _misused(verb: str, reason: str) -> ChangeError:
    return ChangeError(f"expected {USAGE[verb]}: {reason}")


def _name(verb: str, words: Sequence[str]) -> str:
    if not words or "=" in words[0]:
        raise _misused(verb, "found no NAME")
    return words[0]


def _binding(verb: str, words: Sequence[str]) -> Change:
    if len(words) < 2:
        raise _misused(verb, "found no " + ("SERVICE" if words else "VSERVER"))
    vserver, service, *rest = words
    more, after = _split_place(verb, rest)
    if more or (verb == "unbind" and after is not None):
        raise _misused(verb, f"found {shown(' '.join(words[2:]))}")
    return Bind(vserver, service, after) if verb == "bind" else Unbind(vserver, service)


def _of_entry(verb: str, kind: str, name: str, words: Sequence[str]) -> Change:
    words, after = _split_place(verb, words) if verb in ("add", "move") else (words, None)
    match verb:
        case "add":
            return Add(kind, name, _values(verb, kind, words), after)
        case "set" if words:
            return Set(kind, name, _values(verb, kind, words))
        case "unset" if words and not any("=" in word for word in words):
            return Unset(kind, name, tuple(words))
        case "rm" if not words:
            return Remove(kind, name)
        case "move" if not words and after is not None:
            return Move(kind, name, after)
    raise _misused(verb, f"found {shown(' '.join(words))}" if words else "found nothing more")


def _split_place(verb: str, words: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Return the words without the place at their end, and the place."""
    if len(words) >= 2 and words[-2] == "after":
        return words[:-2], words[-1]
    if words and words[-1] == "first":
        return words[:-1], FIRST
    if words and words[-1] == "after":
        raise _misused(verb, "found no NAME behind after")
    return words, None


def _values(verb: str, kind: str, words: Sequence[str]) -> Values:
    values: dict[str, Value] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not key or not equals:
            raise _misused(verb, f"found {shown(word)}")
        if key in values or key == "name":
            raise _misused(verb, f"found {key}= " + ("twice" if key in values else "(a name cannot change)"))
        values[key] = _value(text, kind, key)
    return tuple(values.items())


def _value(text: str, kind: str, key: str) -> Value:
    if text == _EMPTY:
        return ()
    items = _items(text)
    if len(items) > 1:
        return tuple(items)
    takes_list, takes_word = _takes(kind, key.split("."))
    return tuple(items) if takes_list and not (takes_word and items[0] in _WORDS) else items[0]


def _items(text: str) -> list[Scalar]:
    """Return the values between the commas."""
    items: list[Scalar] = []
    place = 0
    while True:
        match = _ITEM.match(text, place)
        assert match is not None  # it may be empty
        items.append(_scalar(match[0]))
        if match.end() == len(text):
            return items
        if text[match.end()] != ",":
            raise ChangeError(f"found {shown(text)}, expected a value, or several with commas between them")
        place = match.end() + 1


def _scalar(text: str) -> Scalar:
    if not text.startswith('"'):
        return scalar_of(text)
    try:
        return str(json.loads(text))
    except ValueError:
        raise ChangeError(f"found {text}, expected a text in double quotes as in JSON") from None


def _takes(kind: str, path: list[str]) -> tuple[bool, bool]:
    """Return whether the value at a path of an entry is a list, and whether it may be left out (for a word)."""
    annotations: list[Any] = [Configuration.model_fields[LISTS.get(kind, kind)].annotation]
    for key in path:
        fields = [inner.model_fields for annotation in annotations for inner in _sections(annotation)]
        annotations = [known[key].annotation for known in fields if key in known]
    parts = [part for annotation in annotations for part in _parts(annotation)]
    is_list = any(get_origin(part) is tuple and get_args(part)[-1] is Ellipsis for part in parts)
    return is_list, type(None) in parts


def _parts(annotation: Any) -> Iterable[Any]:
    """Yield an annotation and all that it is made of."""
    yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


def _sections(annotation: Any) -> Iterable[Any]:
    return (part for part in _parts(annotation) if hasattr(part, "model_fields"))
