"""Every script, on an engine without a network under a virtual clock; see `tests.conformance.veth`, too."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.conformance.language import read_script
from tests.conformance.play import Player
from tests.conformance.world import DryWorld

FOLDER: Final = Path(__file__).parent / "tcp"
SCRIPTS: Final = sorted(FOLDER.rglob("*.tcp"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(FOLDER).with_suffix("")))
def test_script(path: Path) -> None:
    source = read_script(path)
    Player(source, DryWorld(source)).play()


def test_each_script_lies_in_the_folder_of_its_rfc() -> None:
    for path in SCRIPTS:
        source = read_script(path)
        assert path.parent.name == f"rfc{source.rfc}", path
        assert source.section, f"{path}: the heading names no section"
