"""All dashboards, and the files that they are kept in."""

from __future__ import annotations

import json
from pathlib import Path

from ncore_ray.dashboards.distribution import distribution
from ncore_ray.dashboards.engines import engines
from ncore_ray.dashboards.health import health
from ncore_ray.dashboards.overview import overview
from ncore_ray.dashboards.panels import Json
from ncore_ray.dashboards.servers import servers
from ncore_ray.errors import NcoreError


def all_dashboards() -> dict[str, Json]:
    """Return the dashboards by the names of their files."""
    made = (overview(), engines(), servers(), distribution(), health())
    return {f"{board['uid']}.json": board for board in made}


def text_of(board: Json) -> str:
    """Return a dashboard as it stands in its file."""
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"


def write_all(folder: Path) -> list[Path]:
    """Write the dashboards into a folder, which is made if need be; return the files. Raises NcoreError."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, board in all_dashboards().items():
            written.append(folder / name)
            written[-1].write_text(text_of(board))
    except OSError as error:
        raise NcoreError(f"{folder}: {error.strerror}") from None
    return written
