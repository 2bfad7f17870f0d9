"""Makes the data plane work by the configuration that is wanted: what differs is found in the data plane itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ncore_ray.blueprint.rows import effective
from ncore_ray.config.apply import apply
from ncore_ray.config.change import Change
from ncore_ray.config.diff import diff
from ncore_ray.config.language import to_text
from ncore_ray.config.model import Configuration
from ncore_ray.management.courier import Courier
from ncore_ray.management.live import Commit, LiveError, LiveTables


@dataclass(frozen=True)
class Pass:
    """What a pass of the replicator has done."""

    commands: tuple[str, ...]
    """What had to be changed, as engines see it: what holds for all vServers is said of each. Without any, only rows
    that had drained were freed, or words that no command names were put right."""
    engines: tuple[int, ...]
    """The engines that worked by something else."""
    commit: Commit


class Replicator:
    """Compares what each engine works by with what is wanted, and brings exactly the difference into force."""

    def __init__(self, live: LiveTables, courier: Courier | None = None) -> None:
        """``courier`` asks the engines themselves; without one, what they work by is read in shared memory."""
        self._live = live
        self._courier = courier
        self._image: bytes | None = None
        self._wanted: Configuration | None = None

    def follow(self, wanted: Configuration) -> Pass | None:
        """Do what is to be done, whole or not at all; return None when nothing is.

        Raises:
            LiveError, TableFullError: the data plane cannot take it, and works on as before.
        """
        self._live.assume(wanted)
        target = effective(wanted)
        same = self._image in (None, self._live.image())
        if same and self._image is not None and target == self._wanted and not self._live.has_more_to_do():
            return None
        found = self._found(wanted)
        missing = {one: diff(one, target) for one in set(found.values())}
        changes = list(dict.fromkeys(change for of_one in missing.values() for change in of_one))
        if same and not changes and not self._live.has_more_to_do():
            self._remember(target)
            return None
        for one, of_one in missing.items():
            if apply(of_one, one) != target:
                raise LiveError(f"{'; '.join(map(to_text, of_one))} does not lead to what is wanted")
        commit = self._live.change(target, lambda: self._agree(found, missing, wanted))
        self._remember(target)
        engines = tuple(engine for engine, one in found.items() if missing[one])
        return Pass(tuple(map(to_text, changes)), engines, commit)

    def _found(self, wanted: Configuration) -> dict[int, Configuration]:
        """Return by which configuration each engine works."""
        if self._courier is None:
            return self._live.of_engines()
        return self._courier.configurations(self._live.engines(), wanted)

    def _agree(
        self,
        found: Mapping[int, Configuration],
        missing: Mapping[Configuration, Sequence[Change]],
        wanted: Configuration,
    ) -> None:
        """Send each engine exactly its commands; go on only if all agree."""
        if self._courier is not None:
            commands = {engine: list(map(to_text, missing[one])) for engine, one in found.items()}
            self._courier.agree(commands, wanted)

    def _remember(self, target: Configuration) -> None:
        self._image, self._wanted = self._live.image(), target
