"""The error that a wrong configuration file ends in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ncore_ray.errors import NcoreError


@dataclass(frozen=True, order=True)
class Problem:
    """One sentence about one place of a configuration file. Lines and columns count from 1; 0: the whole file."""

    file: str
    line: int
    column: int
    key: str
    """Path of the key, such as ``vservers[1].services[0]``; empty at the root."""
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.text) if part)


class ConfigurationError(NcoreError):
    """A configuration that cannot be used; its text has one line for every problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[ConfigurationError], tuple[tuple[Problem, ...]]]:
        """Let it travel between processes: it is made of its problems, not of its text."""
        return type(self), (self.problems,)
