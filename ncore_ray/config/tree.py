"""YAML text → plain data that remembers the line and column of every value and key.

Words are understood as in YAML 1.2: only ``true`` and ``false`` are switches, ``off`` and ``no`` are texts, and
``12:30:45`` is no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import yaml

from ncore_ray.config.expect import Location, key_path
from ncore_ray.config.problems import ConfigurationError, Problem

_MOST_VALUES: Final = 100_000
"""A file that stands for more, by repeated aliases, is refused before it fills the memory."""

_TAG: Final = "tag:yaml.org,2002:"
_IMPLICIT: Final = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,18}", list("-+0123456789")),
    ("float", r"[-+]?[0-9]{0,15}\.[0-9]{1,15}", list("-+.0123456789")),
)
_PATTERNS: Final = {name: re.compile(pattern) for name, pattern, _ in _IMPLICIT}


class Loader(yaml.SafeLoader):
    """PyYAML's loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


class Dumper(yaml.SafeDumper):
    """PyYAML's writer with the same scalars, so that it quotes what `Loader` would not take for a text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def ignore_aliases(self, data: object) -> bool:
        """Write equal values in full each time."""
        return True


for _name, _pattern, _first in _IMPLICIT:
    for _kind in (Loader, Dumper):
        _kind.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), _first)


def scalar_of(text: str) -> str | int | float | bool:
    """Return what a word without quotes stands for in YAML 1.2 (nothing is a text here)."""
    if _PATTERNS["bool"].fullmatch(text):
        return text.lower() == "true"
    if _PATTERNS["int"].fullmatch(text):
        return int(text)
    return float(text) if _PATTERNS["float"].fullmatch(text) else text


Mark = tuple[int, int]
"""Line and column, from 1."""


@dataclass
class Tree:
    """The data of a file, and where each part of it stands."""

    file: str
    data: object = None
    values: dict[Location, Mark] = field(default_factory=dict)
    keys: dict[Location, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    reported: set[Location] = field(default_factory=set)
    """Where the value itself is no proper YAML for us: there is a problem for it already."""

    def problem(self, location: Location, text: str, *, at_key: bool = False) -> Problem:
        """Return a problem at a value (or its key); at the nearest section around it when it is not in the file."""
        mark = self.keys.get(location) if at_key else None
        around = location
        while mark is None:
            mark = self.values.get(around, (1, 1) if not around else None)
            around = around[:-1]
        return Problem(self.file, *mark, key_path(location), text)

    def value(self, location: Location) -> object:
        """Return the data at a location, or None when there is none."""
        data = self.data
        for part in location:
            if isinstance(data, dict) or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
                data = data.get(part) if isinstance(data, dict) else data[part]  # type: ignore[index]
            else:
                return None
        return data

    def existing(self, location: Location) -> Location:
        """Return a location without the tags that pydantic puts between the keys for the members of a union."""
        found: Location = ()
        for position, part in enumerate(location):
            is_last = position == len(location) - 1
            if (*found, part) in self.values or is_last or self.value(found) is None:
                found = (*found, part)
        return found


def read_tree(text: str, file: str) -> Tree:
    """Return the tree of a YAML text.

    Raises `ConfigurationError` when the text is not one YAML document. Lesser problems (a key twice, a key without a
    value, an unknown tag) are kept in the tree, so that they are reported together with all the others.
    """
    node = _composed(text, file)
    if node is None:
        raise ConfigurationError([Problem(file, 0, 0, "", "the file is empty, expected a configuration")])
    tree = Tree(file)
    _Growth(tree).grow(node)
    return tree


def _composed(text: str, file: str) -> yaml.Node | None:
    """Return the YAML node of a text; every way that the text can be no YAML becomes one `ConfigurationError`."""
    line = column = 0
    try:
        return yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        reason = _reason(error)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        reason = f"the character U+{ord(text[error.position]):04X} is not allowed"
    except RecursionError:
        reason = "lists and mappings are nested too deeply"
    raise ConfigurationError([Problem(file, line, column, "", f"not valid YAML: {reason}")])


def _reason(error: yaml.MarkedYAMLError) -> str:
    """Return what PyYAML found wrong, on one line."""
    reason = error.problem or "it cannot be read"
    if error.context:
        start = f" (from line {error.context_mark.line + 1} on)" if error.context_mark else ""
        reason = f"{error.context}{start}, {reason}"
    return " ".join(reason.split())


class _Growth:
    """Turns nodes into data."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.open: list[yaml.Node] = []
        self.count = 0

    def grow(self, root: yaml.Node) -> None:
        """Fill the tree."""
        try:
            self.tree.data = self._value(root, ())
        except RecursionError:
            problem = Problem(self.tree.file, 0, 0, "", "lists and mappings are nested too deeply")
            raise ConfigurationError([problem]) from None

    def _report(self, location: Location, text: str) -> None:
        self.tree.problems.append(self.tree.problem(location, text))
        self.tree.reported.add(location)

    def _value(self, node: yaml.Node, location: Location) -> object:
        self.tree.values[location] = _mark(node)
        self.count += 1
        if self.count > _MOST_VALUES:
            text = f"the file stands for more than {_MOST_VALUES:,} values, its aliases written out"
            raise ConfigurationError([Problem(self.tree.file, 0, 0, "", text)])
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        if any(node is outer for outer in self.open):
            self._report(location, "found an alias of the value that it stands in")
            return None
        self.open.append(node)
        data = self._mapping(node, location) if isinstance(node, yaml.MappingNode) else self._list(node, location)
        self.open.pop()
        return data

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> object:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        pattern = _PATTERNS.get(kind)
        if pattern is not None and pattern.fullmatch(text) is None:
            kind = ""  # an explicit tag on a text that it does not fit
        match kind:
            case "str":
                return text
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "null":
                self._report(location, "found nothing, expected a value (leave the key out for its default)")
                return None
        self._report(location, f"found the tag {node.tag.replace(_TAG, '!!')}, expected a value without a tag")
        return text

    def _list(self, node: yaml.Node, location: Location) -> list[object]:
        self._check_tag(node, location, "seq")
        return [self._value(entry, (*location, index)) for index, entry in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, object]:
        self._check_tag(node, location, "map")
        data: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self.tree.problems.append(self._at(key_node, location, "found a key that is not a word"))
            elif key in data:
                first = self.tree.keys[(*location, key)][0]
                text = f"found this key twice, expected it once (the first is in line {first})"
                self.tree.problems.append(self._at(key_node, (*location, key), text))
            else:
                self.tree.keys[(*location, key)] = _mark(key_node)
                data[key] = self._value(value_node, (*location, key))
        return data

    def _check_tag(self, node: yaml.Node, location: Location, name: str) -> None:
        if node.tag != _TAG + name:
            tag = node.tag.replace(_TAG, "!!")
            self._report(location, f"found the tag {tag}, expected a value without a tag")

    def _at(self, node: yaml.Node, location: Location, text: str) -> Problem:
        return Problem(self.tree.file, *_mark(node), key_path(location), text)


def _mark(node: yaml.Node) -> Mark:
    return node.start_mark.line + 1, node.start_mark.column + 1
