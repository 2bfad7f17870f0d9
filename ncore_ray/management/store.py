"""The store of an appliance's configuration: every version it ever had, with author, time and comment."""

from __future__ import annotations

import getpass
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ncore_ray.errors import NcoreError

_APPLICATION: Final = 0x6E63_6F72
"""SQLite's application id of our files ("ncor")."""
_BUSY_MS: Final = 5_000


class StoreError(NcoreError):
    """A store that cannot be opened, or does not have what is asked for."""


@dataclass(frozen=True)
class Version:
    """One version of a configuration. Nothing of it ever changes."""

    number: int
    """From 1 on."""
    at: float
    """Seconds since 1970."""
    author: str
    comment: str
    commands: tuple[str, ...]
    """What made it of the version before; empty for the first."""
    configuration: str
    """YAML."""

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "commands": list(self.commands)}


class Store(Protocol):
    """Where versions are kept."""

    @property
    def lasts(self) -> bool:
        """Whether the versions outlive the process."""

    def latest(self) -> Version | None:
        """Return the version that is wanted now, or None in an empty store."""

    def version(self, number: int) -> Version:
        """Return a version. Raises `StoreError` when there is none of that number."""

    def versions(self, limit: int | None = None) -> list[Version]:
        """Return the latest versions, newest first."""

    def append(
        self, configuration: str, *, author: str, comment: str = "", commands: Sequence[str] = (), after: int
    ) -> Version:
        """Add a version behind version ``after`` (0: the store is empty), whole or not at all.

        Raises `StoreError` when another one has been added since.
        """

    def close(self) -> None:
        """Let go of the file."""


def author() -> str:
    """Return who is at work here."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return f"user {os.getuid()}"


def state_folder() -> Path:
    """Return where is kept what has to last: ``NCORE_STATE_DIR``, by default ncore_ray in the user's state folder."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(os.environ.get("NCORE_STATE_DIR") or state / "ncore_ray")


def store_path(appliance: str) -> Path:
    """Return the file of an appliance."""
    return state_folder() / f"{appliance}.sqlite"


def _create(database: sqlite3.Connection) -> None:
    database.execute(
        "CREATE TABLE versions (number INTEGER PRIMARY KEY, at REAL NOT NULL, author TEXT NOT NULL,"
        " comment TEXT NOT NULL, commands TEXT NOT NULL, configuration TEXT NOT NULL) STRICT"
    )
    database.execute(f"PRAGMA application_id = {_APPLICATION}")


STEPS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_create,)
"""Step n makes a file of format n + 1 of one of format n; an empty file has format 0."""


class SqliteStore:
    """A store in one SQLite file; several processes may use it at once, and any may die at any instant."""

    def __init__(self, path: Path | None, steps: Sequence[Callable[[sqlite3.Connection], None]] = STEPS) -> None:
        """Open or make the file; None: in memory.

        Raises:
            StoreError: the folder or file cannot be had, it is no store, or it was written by a newer version.
        """
        self._path = path
        self._lock = threading.RLock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._open(path)
            self._convert(steps)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the configuration's store {path} cannot be used: {error}") from None

    @property
    def lasts(self) -> bool:
        """Whether the versions outlive the process."""
        return self._path is not None

    def _open(self, path: Path | None) -> sqlite3.Connection:
        database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        return database

    def _convert(self, steps: Sequence[Callable[[sqlite3.Connection], None]]) -> None:
        """Bring the file to the format of this code, one step at a time, each a transaction."""
        while (found := self._pragma("user_version")) < len(steps):
            with self._transaction():
                if self._pragma("user_version") == found:  # another process may have been quicker
                    self._check_ours(found)
                    steps[found](self._database)
                    self._database.execute(f"PRAGMA user_version = {found + 1}")
        self._check_ours(found)
        if found > len(steps):
            raise StoreError(f"{self._path} was written by a newer ncore (format {found}, this one knows {len(steps)})")

    def _check_ours(self, found: int) -> None:
        tables = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        ours = self._pragma("application_id") == _APPLICATION
        if not ours and (found or tables):
            raise StoreError(f"{self._path} is no store of configurations")

    def _pragma(self, name: str) -> int:
        value: int = self._database.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Make what is done inside visible and lasting at once, or not at all."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _rows(self, rest: str, *arguments: object) -> list[Version]:
        with self._lock:
            found = self._database.execute(
                f"SELECT number, at, author, comment, commands, configuration FROM versions {rest}", arguments
            ).fetchall()
        return [
            Version(number, at, who, why, tuple(how.splitlines()), what) for number, at, who, why, how, what in found
        ]

    def latest(self) -> Version | None:
        """Return the version that is wanted now, or None in an empty store."""
        return next(iter(self.versions(1)), None)

    def version(self, number: int) -> Version:
        """Return a version. Raises `StoreError` when there is none of that number."""
        for found in self._rows("WHERE number = ?", number):
            return found
        last = self.latest()
        known = f"only 1 to {last.number}" if last else "none at all"
        raise StoreError(f"there is no version {number} of the configuration, {known}")

    def versions(self, limit: int | None = None) -> list[Version]:
        """Return the latest versions, newest first."""
        return self._rows("ORDER BY number DESC LIMIT ?", -1 if limit is None else limit)

    def append(
        self, configuration: str, *, author: str, comment: str = "", commands: Sequence[str] = (), after: int
    ) -> Version:
        """Add a version behind version ``after`` (0: the store is empty), whole or not at all.

        Raises `StoreError` when another one has been added since.
        """
        version = Version(after + 1, time.time(), author, comment, tuple(commands), configuration)
        try:
            with self._transaction():
                self._check_latest(after)
                self._database.execute(
                    "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)",
                    (version.number, version.at, author, comment, "\n".join(commands), configuration),
                )
        except sqlite3.Error as error:
            raise StoreError(f"the configuration cannot be stored in {self._path}: {error}") from None
        return version

    def _check_latest(self, expected: int) -> None:
        last = self.latest()
        if (last.number if last else 0) != expected:
            who = f"version {last.number} by {last.author}" if last else "nothing"
            raise StoreError(f"the configuration has been changed meanwhile: its store has {who}; look and do it again")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()
