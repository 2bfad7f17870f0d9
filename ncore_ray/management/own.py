"""What a core knows of its configuration by itself: by which it works, and which is written beside it.

For the engines' own processes: they are asked by which configuration they work, and whether some commands lead from it
to what a change would bring into force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.decode import read_live, read_rows
from ncore_ray.blueprint.rows import configuration_of
from ncore_ray.config.apply import apply
from ncore_ray.config.language import parse_command
from ncore_ray.config.load import from_data, parse, to_data
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError
from ncore_ray.machine.record import view
from ncore_ray.management.counters import engine_view
from ncore_ray.office.notebook import read_notes
from ncore_ray.tables.settings import Settings

ASSUMED = ("appliance", "distribution", "nics")
"""Sections that no table says: who asks tells them."""


class OwnConfiguration:
    """Of one engine."""

    def __init__(self, array: Bytes, index: int, built: Configuration | None = None) -> None:
        """``built`` is what the arena was made for; None: as the management's notes say."""
        self._array, self._index, self._built = array, index, built

    def in_force(self, assumed: Mapping[str, Any]) -> Configuration:
        """Return the configuration that the engine works by, in effective form."""
        static, arena = self._static(assumed), view(Arena, self._array)
        rows = read_rows(self._array, arena.bank)
        return configuration_of(rows, static, read_live(engine_view(self._array, self._index), static))

    def prepared(self, assumed: Mapping[str, Any]) -> Configuration:
        """Return what the bank says that is not in force."""
        static, arena = self._static(assumed), view(Arena, self._array)
        bank = 0 if arena.bank else arena.bank_stride
        settings = view(Settings, self._array, arena.settings + bank)
        return configuration_of(read_rows(self._array, bank), static, read_live(settings, static))

    def judge(self, commands: Sequence[str], assumed: Mapping[str, Any]) -> str:
        """Return why a change cannot be: the commands do not lead to what is prepared; "" if it can."""
        try:
            reached = apply(map(parse_command, commands), self.in_force(assumed))
        except NcoreError as error:
            return str(error)
        return "" if reached == self.prepared(assumed) else "the commands do not lead to what is prepared"

    def _static(self, assumed: Mapping[str, Any]) -> Configuration:
        if self._built is None:
            self._built = parse(read_notes(self._array)["text"], "built")
        return from_data({**to_data(self._built), **assumed}, apart=True)


def assumed_of(configuration: Configuration) -> dict[str, Any]:
    """Return what is to be told of the sections that no table says."""
    data = to_data(configuration)
    return {section: data[section] for section in ASSUMED if section in data}
