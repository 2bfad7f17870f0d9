"""Appliances for the end-to-end tests, all on one Ray: one for most files, and one for each file with OPTIONS."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncore_ray.demo.ray_node import own_ray
from tests.e2e.bed import Bed, make_bed
from tests.support.ray_kit import leave_ray

RAY_STORE_BYTES = 512 << 20
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs namespaces and Ray."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.network)
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="package")
def ray_node() -> Iterator[str]:
    """One Ray for all appliances here, at an address; its actors run the normal build of the kernels."""
    leave_ray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_metrics_report_interval_ms", "1000")  # instead of every 10 s
        with own_ray(RAY_STORE_BYTES) as started:
            yield started.address


@pytest.fixture(scope="package")
def shared_bed(namespaces: None, ray_node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The appliance with two engines that most files use."""
    folder = tmp_path_factory.mktemp("bed")
    with make_bed("all", folder, access_log=f"{{file: {folder}/access.log, format: json}}") as made:
        yield made


@pytest.fixture(scope="module")
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """An appliance as the file's OPTIONS say, else the common one; after the file, every frame is accounted for."""
    options: dict[str, Any] | None = getattr(request.module, "OPTIONS", None)
    with contextlib.ExitStack() as stack:
        if options is None:
            made: Bed = request.getfixturevalue("shared_bed")
        else:
            request.getfixturevalue("namespaces"), request.getfixturevalue("ray_node")
            folder = request.getfixturevalue("tmp_path_factory").mktemp("bed")
            made = stack.enter_context(make_bed(request.module.__name__.rpartition("_")[2][:4], folder, **options))
        before = made.still_snapshot()
        yield made
        if made.accountable:
            made.check_accounts(before)
