"""How a wrong value is reported: what was found, what was expected, where."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

Location = tuple[str | int, ...]
"""The way from the root of a configuration to a value: keys and indices."""

_LONGEST_SHOWN: Final = 60


@dataclass(frozen=True)
class Source:
    """Validation context of values that were written in a YAML file."""

    folder: Path | None
    """What relative paths in the file start from; None: leave them as they are."""
    apart: bool = False
    """The sections need not fit to each other."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, at a location relative to the section that found it."""

    location: Location
    text: str


class FindingsError(ValueError):
    """Raised by a section whose values are right one by one, but do not fit together."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{key_path(finding.location)}: {finding.text}" for finding in findings))
        self.findings = tuple(findings)


def expected(what: str) -> PydanticCustomError:
    """Return the error of a single value that is not ``what``."""
    return PydanticCustomError("expected", "expected {what}", {"what": what})


def source_of(info: ValidationInfo) -> Source | None:
    """Return where a value was written, or None when Python code made it."""
    return info.context if isinstance(info.context, Source) else None


def key_path(location: Location) -> str:
    """Return a location as people write it: ``vservers[1].services[0]``."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def shown(value: object) -> str:
    """Return a value as a report shows it: as YAML would write it, and short."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    return json.dumps(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…", ensure_ascii=False)


def alternatives(words: Iterable[str]) -> str:
    """Return ``"a", "b" or "c"``."""
    quoted = [json.dumps(word) for word in words]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def suggestion(found: object, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the known word that is nearest to what was found, or nothing."""
    by_lower = {word.lower(): word for word in known}
    near = difflib.get_close_matches(str(found).lower(), by_lower, n=1) if isinstance(found, str) else []
    return f'; did you mean "{by_lower[near[0]]}"?' if near else ""


def repeats(values: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Yield (index, index of the first equal one) for each value that stood in the list before."""
    first: dict[object, int] = {}
    for index, value in enumerate(values):
        if value in first:
            yield index, first[value]
        first.setdefault(value, index)
