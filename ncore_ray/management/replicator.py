"""Makes the data plane work by the configuration that is wanted: what differs is found in the data plane itself."""

from __future__ import annotations

from dataclasses import dataclass

from ncore_ray.blueprint.rows import effective
from ncore_ray.config.apply import apply
from ncore_ray.config.diff import diff
from ncore_ray.config.language import to_text
from ncore_ray.config.model import Configuration
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

    def __init__(self, live: LiveTables) -> None:
        self._live = live
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
        found = self._live.of_engines()
        missing = {one: diff(one, target) for one in set(found.values())}
        changes = list(dict.fromkeys(change for of_one in missing.values() for change in of_one))
        if same and not changes and not self._live.has_more_to_do():
            self._remember(target)
            return None
        for one, of_one in missing.items():
            if apply(of_one, one) != target:
                raise LiveError(f"{'; '.join(map(to_text, of_one))} does not lead to what is wanted")
        commit = self._live.change(target)
        self._remember(target)
        engines = tuple(engine for engine, one in found.items() if missing[one])
        return Pass(tuple(map(to_text, changes)), engines, commit)

    def _remember(self, target: Configuration) -> None:
        self._image, self._wanted = self._live.image(), target
