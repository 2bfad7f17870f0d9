"""Panels of a Grafana dashboard as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]
SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
GREEN: Final = "green"
YELLOW: Final = "yellow"
RED: Final = "red"
BLUE: Final = "blue"
Steps = Sequence[tuple[float | None, str]]
"""Colours from a value on; the first has None."""
CALM: Final[Steps] = ((None, BLUE),)
GOOD: Final[Steps] = ((None, GREEN),)
BUSY: Final[Steps] = ((None, GREEN), (0.7, YELLOW), (0.9, RED))
"""Of a share of what there is."""
NONE_WANTED: Final[Steps] = ((None, GREEN), (0.001, YELLOW), (100, RED))
UP: Final[Steps] = ((None, RED), (1, GREEN))


@dataclass(frozen=True)
class Query:
    """One expression and what its series are called."""

    expression: str
    legend: str
    instant: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel; it is placed by `dashboard`."""

    kind: str
    title: str
    queries: Sequence[Query]
    unit: str = "short"
    width: int = 12
    height: int = 8
    description: str = ""
    steps: Steps = GOOD
    defaults: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[Json] = ()

    def json(self, number: int, x: int, y: int) -> Json:
        """Return the panel as Grafana stores it, at a place of the grid."""
        steps = [{"value": value, "color": color} for value, color in self.steps]
        defaults = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}, **self.defaults}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
            "options": dict(self.options),
            "targets": [_target(place, query) for place, query in enumerate(self.queries)],
        }


def _target(place: int, query: Query) -> Json:
    return {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": query.legend,
        "range": not query.instant,
        "instant": query.instant,
    }


def lines(
    title: str,
    *queries: Query,
    unit: str,
    description: str = "",
    width: int = 12,
    stacked: bool = False,
    most: float | None = None,
    steps: Steps = GOOD,
    below: str = "",
) -> Panel:
    """Return curves over time; ``most`` is the top of the axis, series that match ``below`` hang from the zero line."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "smooth",
        "lineWidth": 2,
        "fillOpacity": 25 if stacked else 12,
        "gradientMode": "opacity",
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if len(steps) > 1 else "off"},
    }
    defaults: Json = {"custom": custom, "color": {"mode": "palette-classic"}, "min": 0}
    if most is not None:
        defaults["max"] = most
    overrides = []
    if below:
        del defaults["min"]
        turned = {"id": "custom.transform", "value": "negative-Y"}
        overrides = [{"matcher": {"id": "byRegexp", "options": f"/{below}/"}, "properties": [turned]}]
    legend = {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max", "lastNotNull"]}
    options = {"legend": {**legend, "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return Panel("timeseries", title, queries, unit, width, 8, description, steps, defaults, options, tuple(overrides))


def number(
    title: str,
    query: Query,
    *,
    unit: str = "short",
    steps: Steps = CALM,
    width: int = 4,
    description: str = "",
    graph: bool = True,
    name_only: bool = False,
) -> Panel:
    """Return one large figure, with its recent course behind it."""
    options = {
        "colorMode": "value",
        "graphMode": "area" if graph else "none",
        "justifyMode": "center",
        "textMode": "name" if name_only else "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    defaults = {"color": {"mode": "thresholds"}}
    return Panel("stat", title, [query], unit, width, 4, description, steps, defaults, options)


def bars(
    title: str, query: Query, *, unit: str, most: float | None = None, steps: Steps = CALM, width: int = 12
) -> Panel:
    """Return a horizontal bar for each series, as it is now."""
    options = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    defaults: Json = {"color": {"mode": "thresholds"}, "min": 0}
    if most is not None:
        defaults["max"] = most
    return Panel("bargauge", title, [query], unit, width, 8, "", steps, defaults, options)


def states(title: str, query: Query, *, words: Mapping[int, tuple[str, str]], width: int = 24) -> Panel:
    """Return a band for each series whose colour says what it was when; ``words``: value → word and colour."""
    mapping = {str(key): {"text": text, "color": color, "index": key} for key, (text, color) in words.items()}
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 80, "lineWidth": 0},
        "mappings": [{"type": "value", "options": mapping}],
    }
    options = {
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return Panel("state-timeline", title, [query], "none", width, 8, "", UP, defaults, options)
