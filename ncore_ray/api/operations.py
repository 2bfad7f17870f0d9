"""The operations of the REST API, in one table: the server's routes and the OpenAPI description are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ncore_ray.api.schemas import (
    CHANGE,
    CHANGED,
    COMMENT,
    CONFIGURATION,
    ENGINES,
    ENTRY,
    LIST_OF_VERSIONS,
    NAMES,
    OBJECT,
    PREVIEW,
    SCALING,
    VERSION,
    WISH,
)
from ncore_ray.config.change import LISTS, SINGLES, ChangeError
from ncore_ray.config.load import dump, from_data, parse, to_data
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError

Plain = dict[str, Any]
AUTHOR: Final = "api"


class NotFoundError(NcoreError):
    """What a path names is not there."""


class Appliances(Protocol):
    """The appliances that the API is about."""

    def names(self) -> list[str]:
        """Return their names."""

    def ask(self, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of an appliance's management. Raises NcoreError; NotFoundError for an unknown appliance."""


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    appliances: Appliances
    path: Mapping[str, str]
    query: Mapping[str, int]
    body: Plain

    def ask(self, method: str, *arguments: Any) -> Any:
        """Ask the management of the appliance that the path names."""
        return self.appliances.ask(self.path["appliance"], method, *arguments)

    def configuration(self) -> Configuration:
        """Return the configuration that the appliance works by."""
        return parse(self.ask("configuration"), "running")

    def number(self, name: str) -> int:
        """Return a number in the path. Raises NotFoundError when it is none."""
        text = self.path[name]
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
            raise NotFoundError(f"there is no {name} {text}")
        return int(text)


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    answer: Mapping[str, Any]
    """JSON schema of the answer."""
    run: Callable[[Request], Any]
    body: Mapping[str, Any] | None = None
    """JSON schema of the request's content."""
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A word for the operation: that of its function."""
        return self.run.__name__


def list_appliances(request: Request) -> Plain:
    """Return the names of the appliances."""
    return {"appliances": request.appliances.names()}


def read_status(request: Request) -> Any:
    """Return how an appliance is."""
    return request.ask("status")


def read_counters(request: Request) -> Any:
    """Return its counters."""
    return request.ask("stat")


def read_events(request: Request) -> Plain:
    """Return its events above a number."""
    return {"events": request.ask("events", request.query.get("after", 0))}


def read_configuration(request: Request) -> Plain:
    """Return its configuration, without what is as by default."""
    return to_data(request.configuration())


def replace_configuration(request: Request) -> Any:
    """Make its configuration what the content says."""
    text = dump(from_data(request.body["configuration"]))
    return request.ask("configure", "apply", text, "the API", AUTHOR, request.body.get("comment", ""))


def preview_configuration(request: Request) -> Any:
    """Return what that would change."""
    return request.ask("configure", "preview", dump(from_data(request.body["configuration"])), "the API")


def read_entries(request: Request) -> Any:
    """Return a section, defaults included."""
    section = request.path["section"]
    if section not in (*LISTS.values(), *SINGLES):
        raise NotFoundError(f"there is no section {section}")
    data = request.configuration().model_dump(mode="json")
    return {section: data[section]}


def read_entry(request: Request) -> Any:
    """Return one entry of a list, defaults included."""
    section, name = request.path["section"], request.path["entry"]
    if section not in LISTS.values():
        raise NotFoundError(f"there is no list {section}")
    for entry in request.configuration().model_dump(mode="json")[section]:
        if entry["name"] == name:
            return entry
    raise NotFoundError(f"there is no {name} in {section}")


def make_changes(request: Request) -> Any:
    """Do the commands of the content, all or none."""
    commands, comment = request.body["commands"], request.body.get("comment", "")
    if any("\n" in command for command in commands):
        raise ChangeError("a command is one line")
    return request.ask("configure", "change", commands, AUTHOR, comment, "/")


def scale_engines(request: Request) -> Any:
    """Let another number of engines work."""
    command = f"set appliance engines={request.body['engines']}"
    return request.ask("configure", "change", [command], AUTHOR, request.body.get("comment", ""), "/")


def read_engines(request: Request) -> Any:
    """Return how far the engines are from what is wanted."""
    return request.ask("scaling")


def list_versions(request: Request) -> Plain:
    """Return the latest versions."""
    return {"versions": request.ask("configure", "versions", request.query.get("limit", 20))}


def read_version(request: Request) -> Any:
    """Return one version."""
    return _version(request)


def roll_back(request: Request) -> Any:
    """Make the configuration what a version was."""
    number: int = _version(request)["number"]
    return request.ask("configure", "rollback", number, AUTHOR, request.body.get("comment", ""))


def _version(request: Request) -> Any:
    number = request.number("version")
    for found in request.ask("configure", "versions", 1):
        if number <= found["number"]:
            return request.ask("configure", "version", number)
    raise NotFoundError(f"there is no version {number}")


_ONE: Final = "/v1/appliances/{appliance}"
_COUNT: Final = {"type": "integer", "minimum": 1, "maximum": 10_000}
_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": (1 << 53) - 1}

OPERATIONS: Final = (
    Operation("GET", "/v1/appliances", "List the appliances that run", NAMES, list_appliances),
    Operation("GET", f"{_ONE}/status", "How it is: its actors, services, vServers", OBJECT, read_status),
    Operation("GET", f"{_ONE}/stat", "All its counters", OBJECT, read_counters),
    Operation("GET", f"{_ONE}/events", "What happened to it", OBJECT, read_events, query={"after": _NUMBER}),
    Operation("GET", f"{_ONE}/configuration", "The configuration it works by", CONFIGURATION, read_configuration),
    Operation("PUT", f"{_ONE}/configuration", "Apply a configuration", CHANGED, replace_configuration, WISH),
    Operation("POST", f"{_ONE}/preview", "What applying would change", PREVIEW, preview_configuration, WISH),
    Operation("POST", f"{_ONE}/changes", "Do commands: add, set, rm, bind …", CHANGED, make_changes, CHANGE),
    Operation("GET", f"{_ONE}/engines", "Engines that are wanted, that come, that go", SCALING, read_engines),
    Operation("POST", f"{_ONE}/engines", "Another number of engines", CHANGED, scale_engines, ENGINES),
    Operation("GET", f"{_ONE}/versions", "Former versions", LIST_OF_VERSIONS, list_versions, query={"limit": _COUNT}),
    Operation("GET", f"{_ONE}/versions/{{version}}", "One version", VERSION, read_version),
    Operation("POST", f"{_ONE}/versions/{{version}}/rollback", "Make it so again", CHANGED, roll_back, COMMENT),
    Operation("GET", f"{_ONE}/sections/{{section}}", "A section with all its keys", OBJECT, read_entries),
    Operation("GET", f"{_ONE}/sections/{{section}}/{{entry}}", "A service, vServer or NIC", ENTRY, read_entry),
)
