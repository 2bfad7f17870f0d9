"""What pydantic says of wrong data → problems with a place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ncore_ray.config.appliance import Appliance, Distribution
from ncore_ray.config.checks import NAMED_SECTIONS, Draft, cross_check
from ncore_ray.config.expect import FindingsError, Location, Source, shown, suggestion
from ncore_ray.config.model import Configuration
from ncore_ray.config.nics import Nic
from ncore_ray.config.overrides import Override
from ncore_ray.config.problems import Problem
from ncore_ray.config.section import Section
from ncore_ray.config.servers import Service, VServer
from ncore_ray.config.transport import Timeouts
from ncore_ray.config.tree import Tree

_FOLLOWS_ANOTHER = "default_factory_not_called"
"""Pydantic's error for a default that would need a value which is wrong: that value is reported."""

_Kind = TypeVar("_Kind", bound=Section)


def problems_of(error: ValidationError, tree: Tree, source: Source) -> Iterator[Problem]:
    """Yield every problem of the data in a tree, those between its sections included.

    When single values are wrong, pydantic does not come to the checks between the sections: they are made here, with
    what is right.
    """
    checked = False
    broken: set[Location] = set()
    for details in error.errors(include_url=False):
        location = tree.existing(details["loc"])
        broken.add(location)
        checked = checked or (not location and _findings_error(details) is not None)
        if details["type"] != _FOLLOWS_ANOTHER and location not in tree.reported:
            yield from _problems(details, location, tree)
    if not checked:
        for finding in cross_check(_draft(tree, broken, source)):
            yield tree.problem(finding.location, finding.text)


def _findings_error(details: Mapping[str, Any]) -> FindingsError | None:
    cause = details.get("ctx", {}).get("error")
    return cause if isinstance(cause, FindingsError) else None


def _problems(details: Mapping[str, Any], location: Location, tree: Tree) -> Iterator[Problem]:
    findings_error = _findings_error(details)
    if findings_error is not None:
        for finding in findings_error.findings:
            yield tree.problem(tree.existing((*details["loc"], *finding.location)), finding.text)
    elif details["type"] == "missing":
        yield tree.problem(location[:-1], f"found no {shown(location[-1])}, which is required here")
    elif details["type"] == "extra_forbidden":
        known = known_keys(details["loc"][:-1])
        present = tree.value(location[:-1])
        absent = [key for key in known if isinstance(present, dict) and key not in present]
        guess = suggestion(location[-1], absent) or f"; the keys here are {', '.join(known)}"
        yield tree.problem(location, f"found an unknown key{guess}", at_key=True)
    else:
        found = shown(tree.value(location))
        yield tree.problem(location, f"found {found}, expected {_expectation(details)}")


def _expectation(details: Mapping[str, Any]) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "expected":
            return str(context["what"])
        case "tuple_type":
            return "a list"
        case "model_type":
            return f"a mapping with the keys {', '.join(known_keys(details['loc']))}"
    return f"something else ({details['msg']})"


def known_keys(location: Location) -> list[str]:
    """Return the keys of the section at a location, as pydantic gives it: with the tags of unions in it."""
    sections: list[type[BaseModel]] = [Configuration]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [section.model_fields[part] for section in sections if part in section.model_fields]
        if fields:
            sections = [inner for field in fields for inner in _sections_in(field.annotation)]
        else:
            sections = [section for section in sections if section.model_fields["type"].default == part]
    return list(dict.fromkeys(key for section in sections for key in section.model_fields))


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a field can hold, through lists, unions and annotations."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)


def _draft(tree: Tree, broken: set[Location], source: Source) -> Draft:
    """Return what is right in a tree. ``broken`` are the locations of the errors."""
    return Draft(
        overrides=_right_entries(Override, "overrides", tree, broken, source),
        nics=_right_entries(Nic, "nics", tree, broken, source),
        services=_right_entries(Service, "services", tree, broken, source),
        vservers=_right_entries(VServer, "vservers", tree, broken, source),
        appliance=_right_section(Appliance, "appliance", tree, broken, source) if _has(tree, "appliance") else None,
        distribution=_right_section(Distribution, "distribution", tree, broken, source),
        timeouts=_right_section(Timeouts, "timeouts", tree, broken, source),
        wanted=[_wanted(entry) for entries in _lists(tree, "vservers") for entry in entries],
        names={section: _names(entries) for section in NAMED_SECTIONS for entries in _lists(tree, section)},
    )


def _has(tree: Tree, section: str) -> bool:
    """Return whether a section that has no default is there."""
    return isinstance(tree.data, dict) and section in tree.data


def _lists(tree: Tree, section: str) -> Iterator[list[object]]:
    """Yield the list of a section, if it is one. A section that is left out is an empty list, not so a misspelt one."""
    data = tree.data if isinstance(tree.data, dict) else {}
    is_misspelt = section not in data and not data.keys() <= Configuration.model_fields.keys()
    entries = None if is_misspelt else data.get(section, [])
    if isinstance(entries, list):
        yield entries


def _names(entries: list[object]) -> list[str | None]:
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    return [name if isinstance(name, str) else None for name in names]


def _wanted(entry: object) -> list[object]:
    """Return the services that an entry of `vservers` names."""
    services = entry.get("services") if isinstance(entry, dict) else None
    return services if isinstance(services, list) else []


def _right_entries(
    kind: type[_Kind], section: str, tree: Tree, broken: set[Location], source: Source
) -> list[_Kind | None]:
    """Return the entries of a section; None for each that has an error in it."""
    wrong = {location[1] for location in broken if location[0:1] == (section,) and len(location) > 1}
    return [
        None if index in wrong else kind.model_validate(entry, context=source)
        for entries in _lists(tree, section)
        for index, entry in enumerate(entries)
    ]


def _right_section(kind: type[_Kind], section: str, tree: Tree, broken: set[Location], source: Source) -> _Kind | None:
    """Return a section, its default when it is left out, None when it has an error in it."""
    if any(location[0:1] == (section,) for location in broken):
        return None
    return kind.model_validate(tree.value((section,)) or {}, context=source)
