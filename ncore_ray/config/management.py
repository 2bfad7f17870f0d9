"""What the management keeps and how: its logs, and where its statistics come from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from ncore_ray.config.section import Section
from ncore_ray.config.units import KIB, MIB, MILLISECOND, MINUTE, SECOND, Microseconds, Size, size_within, time_within
from ncore_ray.config.words import none_is, parse_path, whole, word

BESIDE_THE_STORE: Final = Path("auto")
"""In place of a file: `NAME.events.jsonl` and `NAME.audit.jsonl` beside the store of the configuration."""


def _parse(value: object, info: ValidationInfo) -> Path:
    return BESIDE_THE_STORE if value in ("auto", BESIDE_THE_STORE) else parse_path(value, info)


LogTarget = Annotated[Path, PlainValidator(_parse), PlainSerializer(str, return_type=str, when_used="json")]


class Source(StrEnum):
    """How the counters of the cores come to the management."""

    MEMORY = "memory"
    """It reads them from shared memory."""
    MESSAGES = "messages"
    """It asks each core by a message, and the core answers."""
    QUEUE = "queue"
    """Each core puts them into its ring to the management once in a period, without being asked."""


class Statistics(Section):
    """Where the statistics come from."""

    source: Annotated[Source, *word(Source)] = Source.MEMORY
    period: Annotated[Microseconds, time_within(20 * MILLISECOND, MINUTE)] = SECOND
    """µs from one report of a core to the next, with `queue`."""


class Logs(Section):
    """Files of JSON lines, turned over when they are large."""

    events: Annotated[LogTarget | None, *none_is("none")] = BESIDE_THE_STORE
    """What happened; None: not logged."""
    audit: Annotated[LogTarget | None, *none_is("none")] = BESIDE_THE_STORE
    """Who changed, or tried to change, what, and what came of it; None: not logged."""
    size: Annotated[Size, size_within(4 * KIB, 1024 * MIB)] = 10 * MIB
    """Bytes from which on a file is renamed to FILE.1, that one to FILE.2 …, and another one begun."""
    keep: Annotated[int, whole(0, 100)] = 5
    """How many renamed files are kept."""
