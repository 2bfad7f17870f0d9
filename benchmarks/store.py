"""Results on disk: the latest of each scenario, as JSON and as Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.memory_scenario import MemoryResult
from benchmarks.result import Result
from benchmarks.tables import markdown

RESULTS: Final = Path(__file__).with_name("results")


def save_result(result: Result | MemoryResult, folder: Path) -> None:
    """Write both files of a result."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(result.as_json(), indent=1, ensure_ascii=False)
    (folder / f"{result.scenario}.json").write_text(text + "\n", encoding="utf-8")
    table = markdown(result) if isinstance(result, Result) else result.markdown()
    (folder / f"{result.scenario}.md").write_text(table, encoding="utf-8")


def load_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the JSON values of every result there, by scenario."""
    files = sorted(folder.glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
