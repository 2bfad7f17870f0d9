"""``python -m benchmarks.report``: puts the kept results into the pages (README.md, docs) and draws the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.scenarios import IN_MEMORY, ON_THE_WIRE
from benchmarks.store import RESULTS, load_results
from benchmarks.summary import fill, summary_table

_ROOT: Final = Path(__file__).parent.parent
_PAGES: Final = ("README.md", "docs/benchmarks.md")
_SUMMARY: Final = "summary"


def main() -> None:
    """Write pages and pictures. The packages of the extra ``bench`` are needed for the pictures only."""
    results, order = load_results(RESULTS), [*ON_THE_WIRE, *IN_MEMORY]
    contents = {name: (RESULTS / f"{name}.md").read_text(encoding="utf-8") for name in results}
    contents[_SUMMARY] = summary_table(results, order)
    for page in _PAGES:
        file = _ROOT / page
        file.write_text(fill(file.read_text(encoding="utf-8"), contents), encoding="utf-8")
        print(page)
    from benchmarks.plots import draw_all

    for picture in draw_all(results, order, _ROOT / "docs" / "images"):
        print(picture.relative_to(_ROOT))


if __name__ == "__main__":
    main()
