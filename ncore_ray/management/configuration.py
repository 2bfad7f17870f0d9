"""The configuration service of one appliance: what is wanted, who wanted it, and that the data plane works by it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ncore_ray.config.apply import apply
from ncore_ray.config.change import Change
from ncore_ray.config.diff import diff
from ncore_ray.config.language import parse_command, to_text
from ncore_ray.config.live import restart_reasons
from ncore_ray.config.load import dump, parse
from ncore_ray.config.model import Configuration
from ncore_ray.config.problems import ConfigurationError
from ncore_ray.config.scale import room_reasons, scaling_reasons
from ncore_ray.errors import NcoreError
from ncore_ray.management.courier import Courier
from ncore_ray.management.live import LiveTables
from ncore_ray.management.replicator import Pass, Replicator
from ncore_ray.management.store import Store, Version
from ncore_ray.management.trouble import Trouble

log: Final = logging.getLogger("ncore_ray")
_LOOK_S: Final = 1.0
"""From one comparison of what is with what is wanted to the next."""
Plain = dict[str, Any]


class RestartNeededError(NcoreError):
    """A change that a running appliance cannot take; the text has a line for each key."""


class ConfigurationService:
    """Changes the configuration of a running appliance, one change after the other; any thread may ask."""

    def __init__(
        self,
        store: Store,
        live: LiveTables,
        built: Configuration,
        *,
        wanted: Configuration | None = None,
        has_links: bool,
        tell: Callable[[str, str], None],
        changed: Callable[[Configuration], None],
        courier: Courier | None = None,
    ) -> None:
        """Serve an appliance that was built for a configuration; ``wanted`` if it has changed since.

        ``tell`` takes a level and a sentence; ``changed`` is called with each new configuration.
        """
        self.prepare: Callable[[Configuration], None] = lambda wanted: None
        """Makes what a configuration needs before it comes into force. Raises NcoreError: then nothing is changed."""
        self.follow: Callable[[Configuration], None] = lambda wanted: None
        """Lets go what a configuration that is in force needs no more."""
        self.wanted = wanted or built
        self._store = store
        self._live = live
        self._built = built
        self._has_links = has_links
        self._tell = tell
        self._changed = changed
        self._replicator = Replicator(live, courier)
        self._number = 0
        """The version that is wanted."""
        self._lock = threading.RLock()
        self._trouble = Trouble()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="replicator", daemon=True)

    def start(self, source: str, author: str) -> None:
        """Store the configuration that is wanted now, unless it is there, and begin to look after it."""
        self._record(source, author)
        self._thread.start()

    def _record(self, source: str, author: str) -> None:
        last = self._store.latest()
        text = dump(self.wanted)
        if last is None or last.configuration != text:
            before = last.number if last else 0
            commands = self._commands_since(last) if last else []
            comment = f"built from {source}"
            last = self._store.append(text, author=author, comment=comment, commands=commands, after=before)
        self._number = last.number

    def _commands_since(self, last: Version) -> list[str]:
        """Return what differs from a version; nothing when it is of a time with other keys."""
        try:
            return [to_text(change) for change in diff(parse(last.configuration), self.wanted)]
        except ConfigurationError:
            return []

    def change(self, commands: Sequence[str], author: str, comment: str = "", folder: str = ".") -> Plain:
        """Make the changes that some commands ask for, all or none; return what was done.

        Raises:
            NcoreError: a command is wrong, or a running appliance cannot take the change.
        """
        with self._lock:
            changes = [parse_command(command) for command in commands]
            return self._change_to(apply(changes, self.wanted, Path(folder)), author, comment)

    def apply(self, text: str, source: str, author: str, comment: str = "", folder: str = ".") -> Plain:
        """Make the configuration what a YAML text says. Raises `NcoreError`."""
        with self._lock:
            return self._change_to(parse(text, source, Path(folder)), author, comment or f"apply {source}")

    def rollback(self, number: int, author: str, comment: str = "") -> Plain:
        """Make the configuration what a former version was. Raises `NcoreError`."""
        with self._lock:
            former = parse(self._store.version(number).configuration, f"version {number}")
            return self._change_to(former, author, comment or f"rollback to version {number}")

    def versions(self, limit: int) -> list[Plain]:
        """Return the latest versions, newest first."""
        return [version.plain() for version in self._store.versions(limit)]

    def version(self, number: int) -> Plain:
        """Return a version. Raises `NcoreError` when there is none of that number."""
        return self._store.version(number).plain()

    def preview(self, text: str, source: str, folder: str = ".") -> Plain:
        """Return the commands that lead to what a YAML text says, and what of it would need a restart."""
        wanted = parse(text, source, Path(folder))
        changes = diff(self.wanted, wanted)
        return {"commands": list(map(to_text, changes)), "restart": self._reasons(changes, wanted)}

    def _reasons(self, changes: Sequence[Change], wanted: Configuration) -> list[str]:
        return [
            *restart_reasons(changes, self._built, has_links=self._has_links),
            *room_reasons(self._built, wanted),
            *scaling_reasons(self._built, self.wanted, wanted, has_links=self._has_links),
        ]

    def _change_to(self, wanted: Configuration, author: str, comment: str) -> Plain:
        began_at = time.perf_counter()
        changes = diff(self.wanted, wanted)
        commands = tuple(map(to_text, changes))
        if not changes:
            return {"version": self._number, "commands": [], "acknowledged_ms": 0.0, "total_ms": 0.0, "late": []}
        if reasons := self._reasons(changes, wanted):
            raise RestartNeededError("\n".join([*reasons, "nothing was changed"]))
        self._live.check_ready()
        self._live.plan(wanted)  # is there room for it?
        self.prepare(wanted)
        try:
            version = self._store.append(
                dump(wanted), author=author, comment=comment, commands=commands, after=self._number
            )
        except NcoreError:
            self.follow(self.wanted)
            raise
        former, self.wanted, self._number = self.wanted, wanted, version.number
        try:
            done = self._replicator.follow(wanted)
        except NcoreError as error:
            self._take_back(former, author, f"version {version.number} did not come into force: {error}")
            raise
        self.follow(wanted)
        self._changed(wanted)
        return self._report(version, done, (time.perf_counter() - began_at) * 1000)

    def _take_back(self, former: Configuration, author: str, why: str) -> None:
        """Want again what is in force: whoever asked for something else is told that nothing was changed."""
        commands = tuple(map(to_text, diff(self.wanted, former)))
        version = self._store.append(dump(former), author=author, comment=why, commands=commands, after=self._number)
        self.wanted, self._number = former, version.number
        self.follow(former)

    def _report(self, version: Version, done: Pass | None, total_ms: float) -> Plain:
        what = version.commands[0] if len(version.commands) == 1 else f"{len(version.commands)} changes"
        self._tell("info", f"configuration version {version.number} by {version.author}: {what}")
        commit = done.commit if done else None
        if commit is not None and commit.late:
            actors = ", ".join(map(str, commit.late))
            self._tell("warning", f"configuration version {version.number}: no acknowledgment from actor {actors} yet")
        return {
            "version": version.number,
            "commands": list(version.commands),
            "acknowledged_ms": commit.acknowledged_ms if commit else 0.0,
            "total_ms": total_ms,
            "late": list(commit.late) if commit else [],
        }

    def look(self) -> Pass | None:
        """Compare what the engines work by with what is wanted, and put it right; return what that took."""
        with self._lock:
            done = self._replicator.follow(self.wanted)
            self.follow(self.wanted)
        if done is not None and done.commands:
            whose = ", ".join(f"engine-{engine}" for engine in done.engines)
            self._tell("warning", f"{whose} worked by another configuration, repaired: {'; '.join(done.commands)}")
        return done

    def _work(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            try:
                self.look()
                self._trouble.over()
            except Exception as error:  # the next look tries again
                self._say(error)

    def _say(self, error: Exception) -> None:
        """Say that a look has failed: to people the first time, in the log more and more seldom."""
        self._trouble.again()
        if self._trouble.times == 1:
            self._tell("warning", f"the configuration is not replicated: {error}")
        if self._trouble.is_news:
            defect = None if isinstance(error, NcoreError) else error
            log.warning("the configuration is not replicated (%d): %s", self._trouble.times, error, exc_info=defect)

    def stop(self) -> None:
        """End the looking after, and let go of the store."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._store.close()
