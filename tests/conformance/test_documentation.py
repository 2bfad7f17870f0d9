"""docs/tcp.md: each row of the table of RFCs names tests that are there, and each folder of scripts has its row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SCRIPTS: Final = ROOT / "tests/conformance/tcp"
_ROW: Final = re.compile(r"^\| (\d{4}[^|]*)\|[^|]*\|([^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)
_SCRIPT: Final = re.compile(r"`(rfc\d+/[\w-]+)`")


def rows() -> list[tuple[str, list[str], list[str]]]:
    """Return for each RFC of the table what its row begins with, its sources and its tests."""
    text = (ROOT / "docs/tcp.md").read_text()
    return [
        (match[1].strip(), re.findall("`([^`]+)`", match[3]), re.findall("`([^`]+)`", match[4]))
        for match in _ROW.finditer(text)
    ]


def departures() -> set[str]:
    """Return the scripts that the rows name in what is said of departures."""
    text = (ROOT / "docs/tcp.md").read_text()
    return {name for match in _ROW.finditer(text) for name in _SCRIPT.findall(match[2])}


def is_there(name: str) -> bool:
    if name.endswith("/"):
        return any((SCRIPTS / name).glob("*.tcp"))
    return any((ROOT / "tests").rglob(name))


def test_each_row_names_tests_that_are_there() -> None:
    assert len(rows()) > 25
    for rfc, _, tests in rows():
        named = [name for name in tests if name.endswith((".py", "/"))]
        assert named, f"RFC {rfc}: no test is named"
        missing = [name for name in named if not is_there(name)]
        assert not missing, f"RFC {rfc}: there is no {missing}"


def test_each_row_names_sources_that_are_there() -> None:
    for rfc, sources, _ in rows():
        for name in sources:
            if name.endswith(".py"):
                assert any((ROOT / "ncore_ray").rglob(name)), f"RFC {rfc}: there is no {name}"


def test_each_folder_of_scripts_stands_in_a_row() -> None:
    named = {name.rstrip("/") for _, _, tests in rows() for name in tests}
    assert {folder.name for folder in SCRIPTS.iterdir()} <= named


def test_each_script_that_is_named_is_there() -> None:
    named = set(_SCRIPT.findall((ROOT / "docs/tcp.md").read_text()))
    assert len(named) > 15
    assert not [name for name in named if not (SCRIPTS / f"{name}.tcp").exists()]


def test_each_script_of_a_departure_stands_in_a_row() -> None:
    scripts = [path for path in SCRIPTS.rglob("*.tcp") if ", a departure" in path.read_text().partition("\n")[0]]
    shown = {str(path.relative_to(SCRIPTS).with_suffix("")) for path in scripts}
    assert len(shown) > 5
    assert shown <= departures()
