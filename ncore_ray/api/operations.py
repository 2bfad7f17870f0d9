"""The operations of the REST API, in one table: the server's routes and the OpenAPI description are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final, Protocol

from ncore_ray.api.schemas import (
    CHANGE,
    CHANGED,
    CHECKED,
    COMMENT,
    CONFIGURATION,
    DEPLOYED,
    DRAIN,
    ENGINES,
    ENTRY,
    FLOW,
    FLOWS,
    HISTORY,
    KILLED,
    LEFT,
    LIST_OF_VERSIONS,
    NAMES,
    OBJECT,
    ONLY_WISH,
    PREVIEW,
    SCALING,
    VERSION,
    WISH,
)
from ncore_ray.blueprint.plan import plan_of
from ncore_ray.config.change import LISTS, SINGLES, ChangeError
from ncore_ray.config.load import dump, from_data, parse, to_data
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError
from ncore_ray.flow.explain import protocol_number
from ncore_ray.management.store import StoreError

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

    def deploy(self, configuration: Configuration) -> str:
        """Let a new appliance run; return its name. Raises NcoreError."""

    def shut_down(self, name: str) -> list[str]:
        """End an appliance; return the actors that had to be killed. Raises NcoreError."""


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


def read_history(request: Request) -> Any:
    """Return the main counters as they were."""
    return request.ask("statistics", float(request.query.get("span", 60)), request.query.get("period"))


def list_flows(request: Request) -> Plain:
    """Return connections that live."""
    return {"flows": request.ask("flows", request.query.get("limit", 100))}


def explain_flow(request: Request) -> Any:
    """Return which engine a flow goes to, and why."""
    body = request.body
    for key in ("source", "destination"):
        if not _is_address(body[key]):
            raise ChangeError(f"{key}: found {body[key]}, expected an IP address")
    if protocol_number(body["protocol"], is_ipv6=False) is None:
        raise ChangeError(f"protocol: found {body['protocol']}, expected tcp, udp, icmp or a number")
    keys = ("source", "source_port", "destination", "destination_port", "protocol")
    return request.ask("explain_flow", *(body[key] for key in keys))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def drain_appliance(request: Request) -> Plain:
    """Let it accept no new connections; return how many are left after the time."""
    return {"left": request.ask("drain", float(request.body.get("seconds", 10)), AUTHOR)}


def deploy_appliance(request: Request) -> Plain:
    """Let a new appliance run."""
    configuration = from_data(request.body["configuration"])
    if configuration.appliance.name in request.appliances.names():
        raise StoreError(f"an appliance named {configuration.appliance.name} runs already")
    return {"appliance": request.appliances.deploy(configuration)}


def shut_down_appliance(request: Request) -> Plain:
    """End an appliance."""
    name = request.path["appliance"]
    if name not in request.appliances.names():
        raise NotFoundError(f"there is no appliance {name}")
    return {"killed": request.appliances.shut_down(name)}


def check_configuration(request: Request) -> Plain:
    """Return what is wrong with a configuration, and what it would build."""
    try:
        configuration = from_data(request.body["configuration"])
        return {"valid": True, "problems": [], "plan": [row.plain() for row in plan_of(configuration)]}
    except NcoreError as error:
        return {"valid": False, "problems": str(error).splitlines(), "plan": []}


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
_SPAN: Final = {"type": "integer", "minimum": 1, "maximum": 86_400}
_PERIOD: Final = {"type": "integer", "minimum": 1, "maximum": 60, "enum": [1, 10, 60]}
_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": (1 << 53) - 1}

OPERATIONS: Final = (
    Operation("GET", "/v1/appliances", "List the appliances that run", NAMES, list_appliances),
    Operation("POST", "/v1/appliances", "Deploy a new one", DEPLOYED, deploy_appliance, ONLY_WISH),
    Operation("DELETE", _ONE, "Shut it down", KILLED, shut_down_appliance),
    Operation(
        "POST",
        "/v1/check",
        "Check a configuration; the plan of its memory and cores",
        CHECKED,
        check_configuration,
        ONLY_WISH,
    ),
    Operation("GET", f"{_ONE}/status", "How it is: its actors, services, vServers", OBJECT, read_status),
    Operation("GET", f"{_ONE}/stat", "All its counters", OBJECT, read_counters),
    Operation(
        "GET",
        f"{_ONE}/statistics/history",
        "How it was: rates",
        HISTORY,
        read_history,
        query={"span": _SPAN, "period": _PERIOD},
    ),
    Operation("GET", f"{_ONE}/flows", "Connections that live", FLOWS, list_flows, query={"limit": _COUNT}),
    Operation("POST", f"{_ONE}/explain", "Where a flow goes, and why", OBJECT, explain_flow, FLOW),
    Operation("POST", f"{_ONE}/drain", "Accept no new connections", LEFT, drain_appliance, DRAIN),
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
