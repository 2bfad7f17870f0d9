"""A whole dashboard: rows of panels on Grafana's grid, and the choices at its top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ncore_ray.dashboards.panels import SOURCE, Json, Panel
from ncore_ray.metrics.catalogue import metric_named

_COLUMNS: Final = 24
_SCHEMA: Final = 39
TAG: Final = "ncore_ray"


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Choice:
    """A variable that lets one choose among the values of a label."""

    name: str
    label: str
    metric: str
    """Of the catalogue; its series have the label ``name``."""


def dashboard(name: str, title: str, description: str, rows: Sequence[Row], choices: Sequence[Choice] = ()) -> Json:
    """Return a dashboard as Grafana stores it; its id (`uid`) is made from ``name``."""
    return {
        "uid": f"ncore-{name}",
        "title": f"ncore_ray / {title}",
        "description": description,
        "tags": [TAG],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "links": [_links()],
        "templating": {"list": [_datasource(), _appliance(), *map(_variable, choices)]},
        "panels": _placed(rows),
    }


def _links() -> Json:
    return {
        "type": "dashboards",
        "title": "ncore_ray",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "icon": "external link",
    }


def _datasource() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "Prometheus"},
        "refresh": 1,
    }


def _appliance() -> Json:
    return {**_query("appliance", "Appliance", f"{metric_named('appliance_engines').exported}"), "multi": False}


def _variable(choice: Choice) -> Json:
    metric = metric_named(choice.metric)
    assert choice.name in metric.labels
    found = _query(choice.name, choice.label, f'{metric.exported}{{appliance="$appliance"}}')
    every = {"text": "All", "value": "$__all"}
    return {**found, "multi": True, "includeAll": True, "allValue": ".*", "current": every}


def _query(label: str, title: str, series: str) -> Json:
    question = f"label_values({series}, {label})"
    return {
        "name": label,
        "label": title,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": question, "refId": "choice"},
        "definition": question,
        "refresh": 2,
        "sort": 3,
    }


def _placed(rows: Sequence[Row]) -> list[Json]:
    """Return the rows' headings and panels, each panel beside the one before it where there is room."""
    made: list[Json] = []
    y = 0
    for row in rows:
        heading: dict[str, Any] = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        made.append({"id": len(made) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": heading})
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            made.append(panel.json(len(made) + 1, x, y))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return made
