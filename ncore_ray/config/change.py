"""Changes of a configuration: one command each, as `language` reads and writes them.

Values are plain data in the form of YAML (`load.to_data`): a time is ``"3s"``, a list is a tuple. Keys within an entry
are paths, such as ``timeouts.header``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ncore_ray.errors import NcoreError

Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]
"""The empty tuple stands for a mapping without keys: no list of a configuration may be empty."""
Values = tuple[tuple[str, Value], ...]

LISTS: Final = {"override": "overrides", "nic": "nics", "service": "services", "vserver": "vservers"}
"""What there are several of, each with a name: what a command calls one → the section."""
SINGLES: Final = ("appliance", "distribution", "timeouts", "tcp", "limits", "access_log", "logs", "statistics")
"""Sections that there is one of."""
FIRST: Final = ""
"""In place of the name of the entry before: there is none."""


class ChangeError(NcoreError):
    """A command that nobody can understand, or that does not fit to the configuration it is for."""


@dataclass(frozen=True)
class Add:
    """A new NIC, service or vServer, behind the entry named ``after`` (None: behind the last)."""

    kind: str
    name: str
    values: Values
    after: str | None = None


@dataclass(frozen=True)
class Set:
    """Other values for keys of an entry, or of a section (then the name is empty)."""

    kind: str
    name: str
    values: Values


@dataclass(frozen=True)
class Unset:
    """Keys that are as by default again, with all that is below them."""

    kind: str
    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Remove:
    """A NIC, service or vServer goes."""

    kind: str
    name: str


@dataclass(frozen=True)
class Move:
    """Another place in the list: behind the entry named ``after``."""

    kind: str
    name: str
    after: str


@dataclass(frozen=True)
class Bind:
    """A vServer uses a service, behind the one named ``after`` (None: behind the last), and only there."""

    vserver: str
    service: str
    after: str | None = None


@dataclass(frozen=True)
class Unbind:
    """A vServer no longer uses a service."""

    vserver: str
    service: str


Change = Add | Set | Unset | Remove | Move | Bind | Unbind
