"""Appliances for the end-to-end tests, all on the Ray of this test run. Files with the same OPTIONS share one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.e2e.bed import Bed, make_bed
from tests.support.ray_kit import on_own_ray

HERE = Path(__file__).parent


def options_of(module: ModuleType) -> dict[str, Any]:
    """Return what a file says of its appliance; nothing for the one that most files use."""
    return getattr(module, "OPTIONS", {})


def _place(item: pytest.Item) -> tuple[Any, ...]:
    """Return where a test belongs: those of one appliance together, and of them the files that kill actors last.

    Before all others what reads Ray's page of metrics: on it stands, for ever, each appliance that this Ray has had.
    """
    assert isinstance(item, pytest.Function)
    options = options_of(item.module)
    late, kills = not getattr(item.module, "FIRST", False), getattr(item.module, "KILLS", False)
    return late, len(options), repr(sorted(options.items())), kills, item.module.__name__


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs namespaces and Ray; an appliance is built once, and ended before the next one."""
    here = [index for index, item in enumerate(items) if HERE in item.path.parents]
    for index, item in zip(here, sorted((items[index] for index in here), key=_place), strict=True):
        item.add_marker(pytest.mark.network)
        item.add_marker(pytest.mark.ray)
        items[index] = item


class Beds:
    """The one appliance of the moment."""

    def __init__(self, make_folder: Any) -> None:
        self._make_folder = make_folder
        self._options: dict[str, Any] | None = None
        self._stack = contextlib.ExitStack()
        self._bed: Bed | None = None

    def get(self, options: dict[str, Any]) -> Bed:
        """Return the appliance with some options: the one that runs if it has them, else a new one in its place."""
        if self._bed is None or options != self._options:
            self.close()
            folder = self._make_folder("bed")
            self._bed = self._stack.enter_context(make_bed(folder, **options))
            self._options = options
        return self._bed

    def close(self) -> None:
        """Take down what runs."""
        self._bed = None
        self._stack.close()


@pytest.fixture(scope="package")
def ray_node(ray_folder: Path) -> Iterator[Path]:
    """The one Ray of this test run; its actors run the normal build of the kernels."""
    with on_own_ray():
        yield ray_folder


@pytest.fixture(scope="package")
def beds(namespaces: None, ray_node: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beds]:
    """Where the appliances are had from."""
    made = Beds(tmp_path_factory.mktemp)
    yield made
    made.close()


@pytest.fixture(scope="module")
def bed(request: pytest.FixtureRequest, beds: Beds) -> Iterator[Bed]:
    """An appliance as the file's OPTIONS say, else the common one; after the file, every frame is accounted for."""
    made = beds.get(options_of(request.module))
    made.accountable = made.accountable and not getattr(request.module, "KILLS", False)
    before = made.still_snapshot()
    yield made
    if made.accountable:
        made.check_accounts(before)
