"""Files of JSON lines: they are turned over, trouble is told once, and the audit log tells who, when, what, result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ncore_ray.config.management import BESIDE_THE_STORE, Logs
from ncore_ray.errors import NcoreError
from ncore_ray.management.audit import Audit, Entry
from ncore_ray.management.jsonlines import JsonLines, open_log


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _quiet(level: str, text: str) -> None:
    raise AssertionError(text)


def test_a_large_file_is_turned_over_and_no_line_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.jsonl"
    file = JsonLines(path, 1_000, 20, _quiet)
    for number in range(200):
        file.write({"number": number, "text": "ä\n"})
    file.close()
    files = sorted(tmp_path.glob("new/x.jsonl*"))
    assert len(files) > 5
    assert all(one.stat().st_size <= 1_000 for one in files)
    found = sorted(row["number"] for one in files for row in _lines(one))
    assert found == list(range(200))


def test_so_many_are_kept(tmp_path: Path) -> None:
    file = JsonLines(tmp_path / "x.jsonl", 100, 2, _quiet)
    for number in range(50):
        file.write({"number": number})
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x.jsonl", "x.jsonl.1", "x.jsonl.2"]
    assert _lines(tmp_path / "x.jsonl")[-1] == {"number": 49}


def test_trouble_is_told_once_and_ends(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "x").mkdir()
    file = JsonLines(tmp_path / "x", 1_000, 1, lambda level, text: told.append(text))
    file.write({})
    file.write({})
    assert told == [f"the log {tmp_path}/x cannot be written: Is a directory"]
    (tmp_path / "x").rmdir()
    file.write({"a": 1})
    assert _lines(tmp_path / "x") == [{"a": 1}]


@pytest.mark.parametrize(
    ("wanted", "store", "found"),
    [
        (None, "edge.sqlite", None),
        (BESIDE_THE_STORE, None, None),
        (BESIDE_THE_STORE, "edge.sqlite", "edge.audit.jsonl"),
        (Path("own.log"), "edge.sqlite", "own.log"),
        (Path("own.log"), None, "own.log"),
    ],
)
def test_where_a_log_lies(tmp_path: Path, wanted: Path | None, store: str | None, found: str | None) -> None:
    own = tmp_path / wanted if wanted and wanted != BESIDE_THE_STORE else wanted
    file = open_log(own, tmp_path / store if store else None, "audit", Logs(), _quiet)
    if file is not None:
        file.write({"a": 1})
    assert [one.name for one in tmp_path.iterdir()] == ([found] if found else [])


def test_an_attempt_is_a_line_whatever_came_of_it(tmp_path: Path) -> None:
    clock = iter([1e9, 1e9 + 0.25, 1e9 + 1, 1e9 + 1, 1e9 + 2])
    audit = Audit(JsonLines(tmp_path / "audit.jsonl", 10_000, 1, _quiet), lambda: next(clock))
    with audit.attempt(Entry("change", "ann", "why", ["set service s weight=2"])) as entry:
        entry.done = {"version": 7, "commands": ["set service s weight=2"], "late": []}
    with pytest.raises(NcoreError), audit.attempt(Entry("rollback", "bob", asked=["rollback 9"])):
        raise NcoreError("there is no version 9")
    audit.note("drain", "eve")
    audit.close()
    first, second, third = _lines(tmp_path / "audit.jsonl")
    assert first == {
        "at": "2001-09-09T01:46:40.000Z",
        "who": "ann",
        "action": "change",
        "asked": ["set service s weight=2"],
        "comment": "why",
        "result": "done",
        "version": 7,
        "commands": ["set service s weight=2"],
        "took_ms": 250.0,
    }
    assert (second["who"], second["result"], second["version"]) == ("bob", "refused: there is no version 9", None)
    assert (third["action"], third["who"], third["result"]) == ("drain", "eve", "done")
