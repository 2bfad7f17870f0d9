"""The store of configurations: versions, formats, several writers, and a writer that is killed at any instant."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ncore_ray.management.store import STEPS, SqliteStore, StoreError, author, store_path

WRITER = """
import sys
from pathlib import Path
from ncore_ray.management.store import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
while True:
    last = store.latest()
    number = last.number + 1 if last else 1
    store.append(f"text {number} " * 400, author="w", comment=str(number), commands=[f"c{number}"], after=number - 1)
    print(number, flush=True)
"""
SEED = 20_240_607
ROUNDS = 12


def filled(path: Path | None, count: int = 3) -> SqliteStore:
    store = SqliteStore(path)
    for number in range(1, count + 1):
        store.append(f"yaml {number}", author="ann", comment=f"c{number}", commands=["a", "b"], after=number - 1)
    return store


def test_versions_are_numbered_and_kept(tmp_path: Path) -> None:
    filled(tmp_path / "deep" / "edge.sqlite").close()
    store = SqliteStore(tmp_path / "deep" / "edge.sqlite")
    last = store.latest()
    assert last is not None
    assert (last.number, last.author, last.comment, last.commands) == (3, "ann", "c3", ("a", "b"))
    assert [version.configuration for version in store.versions()] == ["yaml 3", "yaml 2", "yaml 1"]
    assert [version.number for version in store.versions(2)] == [3, 2]
    assert store.version(2).configuration == "yaml 2"
    assert store.version(1).at <= store.version(3).at


def test_an_empty_store_and_a_version_that_there_is_not() -> None:
    assert SqliteStore(None).latest() is None
    with pytest.raises(StoreError, match="there is no version 1 of the configuration, none at all"):
        SqliteStore(None).version(1)
    with pytest.raises(StoreError, match="there is no version 7 of the configuration, only 1 to 3"):
        filled(None).version(7)


def test_of_two_who_change_the_same_version_the_second_is_told(tmp_path: Path) -> None:
    one, other = filled(tmp_path / "s", 1), SqliteStore(tmp_path / "s")
    one.append("mine", author="bob", after=1)
    with pytest.raises(StoreError, match="changed meanwhile: its store has version 2 by bob"):
        other.append("yours", author="eve", after=1)
    assert [version.configuration for version in other.versions()] == ["mine", "yaml 1"]


def test_a_file_of_another_format_is_brought_up_step_by_step(tmp_path: Path) -> None:
    def add_column(database: sqlite3.Connection) -> None:
        database.execute("ALTER TABLE versions ADD COLUMN place TEXT NOT NULL DEFAULT 'here'")

    filled(tmp_path / "s").close()
    newer = SqliteStore(tmp_path / "s", (*STEPS, add_column))
    assert [version.configuration for version in newer.versions()] == ["yaml 3", "yaml 2", "yaml 1"]
    newer.close()
    with sqlite3.connect(tmp_path / "s") as database:
        assert database.execute("SELECT DISTINCT place FROM versions").fetchall() == [("here",)]
    with pytest.raises(StoreError, match=r"written by a newer ncore \(format 2, this one knows 1\)"):
        SqliteStore(tmp_path / "s")


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    def break_off(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM versions")
        raise sqlite3.OperationalError("no more")

    filled(tmp_path / "s").close()
    with pytest.raises(StoreError, match="no more"):
        SqliteStore(tmp_path / "s", (*STEPS, break_off))
    assert len(SqliteStore(tmp_path / "s").versions()) == 3


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 200)
    with pytest.raises(StoreError, match="cannot be used: file is not a database"):
        SqliteStore(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE birds (name TEXT)")
    with pytest.raises(StoreError, match="is no store of configurations"):
        SqliteStore(tmp_path / "other")


def test_where_the_file_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NCORE_STATE_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert store_path("edge") == tmp_path / "ncore_ray" / "edge.sqlite"
    monkeypatch.setenv("NCORE_STATE_DIR", "/srv/ncore")
    assert store_path("edge") == Path("/srv/ncore/edge.sqlite")


def test_the_author(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    assert author() == "ann"
    monkeypatch.delenv("SUDO_USER")
    assert author()


def test_a_writer_killed_at_any_instant_leaves_whole_versions(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    path = tmp_path / "s"
    for _ in range(ROUNDS):
        told = _write_and_kill(path, lines=chance.randrange(6), more=chance.random() * 0.004)
        store = SqliteStore(path)
        versions = store.versions()[::-1]
        assert [version.number for version in versions] == list(range(1, len(versions) + 1))
        assert len(versions) >= told, f"seed {SEED}: what was told as stored is there"
        for version in versions:
            assert version.configuration == f"text {version.number} " * 400
            assert version.commands == (f"c{version.number}",)
        store.close()
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _write_and_kill(path: Path, lines: int, more: float) -> int:
    """Let a process write until it has told of some versions, and a moment more; return the last that it told of."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(lines)]
        try:
            writer.wait(more)
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        told += writer.stdout.readlines()
    return max((int(line) for line in told if line.endswith("\n")), default=0)
