"""docs/metrics.md names every metric as the catalogue has it."""

from __future__ import annotations

from pathlib import Path

from ncore_ray.metrics.document import table

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_table_is_that_of_the_catalogue() -> None:
    """If this fails: `python -m ncore_ray.metrics.document` prints the new table."""
    assert DOCUMENT.read_text().endswith("\n\n" + table())
