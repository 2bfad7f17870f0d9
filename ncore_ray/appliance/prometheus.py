"""Where Prometheus finds the metrics of the connected Ray, and the configuration that it needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from ray._common.utils import get_default_ray_temp_dir

from ncore_ray.metrics.ray_instruments import pages

_DISCOVERY: Final = "prom_metrics_service_discovery.json"
_CONSTANT_LABELS: Final = "otel_scope_.*"
"""Labels of Ray's that say nothing."""


@dataclass(frozen=True)
class Targets:
    """What there is to scrape."""

    pages: list[str]
    """URL of each node's metrics page."""
    discovery: str
    """The file in which Ray's dashboard names all pages, kept up to date, or "" if there is none here."""


def find_targets() -> Targets:
    """Return the metrics pages of the connected Ray, and the file that names them if it lies on this machine."""
    found = sorted(pages().values())
    file = Path(get_default_ray_temp_dir()) / _DISCOVERY
    return Targets(found, str(file) if _names(file, found) else "")


def _names(file: Path, found: list[str]) -> bool:
    """Return whether a discovery file is that of this Ray: another one may have been started since."""
    try:
        rows = json.loads(file.read_text())
    except (OSError, ValueError):
        return False
    return set(map(_address, found)) <= {target for row in rows for target in row["targets"]}


def _address(page: str) -> str:
    return page.removeprefix("http://").partition("/")[0]


def prometheus_yaml(targets: Targets, interval: str) -> str:
    """Return a whole ``prometheus.yml`` that scrapes the targets every ``interval``."""
    source: dict[str, Any] = (
        {"file_sd_configs": [{"files": [targets.discovery]}]}
        if targets.discovery
        else {"static_configs": [{"targets": [_address(page) for page in targets.pages]}]}
    )
    job = {
        "job_name": "ray",
        **source,
        "metric_relabel_configs": [{"regex": _CONSTANT_LABELS, "action": "labeldrop"}],
    }
    return yaml.safe_dump({"global": {"scrape_interval": interval}, "scrape_configs": [job]}, sort_keys=False)
