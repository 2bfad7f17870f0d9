"""The access log: a line for each HTTP request."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from ncore_ray.config.expect import Finding, shown
from ncore_ray.config.section import Section
from ncore_ray.config.units import KIB, MIB, MILLION, PartsPerMillion, Size, format_size, size_within
from ncore_ray.config.words import FilePath, word


class LogFormat(StrEnum):
    """How a line looks."""

    COMBINED = "combined"
    """As Apache and nginx write it by default."""
    JSON = "json"


class AccessLog(Section):
    """Where and how requests are logged. What an engine's buffer has no room for is left out, and counted."""

    file: FilePath
    """Lines are appended to it; it may be renamed (logrotate): within a second, another one is begun."""
    format: Annotated[LogFormat, *word(LogFormat)] = LogFormat.COMBINED
    sample: PartsPerMillion = MILLION
    """The share of the requests that is logged, evenly."""
    buffer: Annotated[Size, size_within(64 * KIB, 256 * MIB)] = 1 * MIB
    """Bytes of the arena for each engine: what the management has not written yet. A power of two."""

    def findings(self) -> Iterator[Finding]:
        """Yield a buffer that is no power of two."""
        if self.buffer & (self.buffer - 1):
            text = f"found {shown(format_size(self.buffer))}, expected a power of two, such as 1MiB"
            yield Finding(("buffer",), text)
