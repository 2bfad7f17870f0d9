"""Four packet engines."""

from __future__ import annotations

from tests.e2e.bed import Bed
from tests.e2e.load import assert_all_checks

OPTIONS = {"engines": 4}


def test_load_passes_every_check(bed: Bed) -> None:
    assert_all_checks(bed)
