"""Pictures of the kept results, for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from benchmarks.goals import Goal
from benchmarks.summary import Kept, goal_of
from benchmarks.units import NAMES

mpl.use("Agg")
_DPI: Final = 80
_GOOD: Final = "#2a9d5c"
_BAD: Final = "#d1495b"
_OTHER: Final = "#8d99ae"
_INK: Final = "#333333"
_COLOURS: Final = {"direct": "#c9ced6", "haproxy": "#5b6f95", "nginx": "#8fae8b"}
_APPLIANCES: Final = ("#f2b880", "#e8974e", "#d9772b", "#b95a1a", "#8f430f")
_STAGES: Final = ("#5b6f95", "#7d9cc0", "#8fae8b", "#e8974e", "#d1495b", "#8d6fa8")


def _figure(width: float, height: float, panels: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, panels)
    for each in axes if panels > 1 else [axes]:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=9)
    return figure, axes


def _advantage(ratio: float, goal: Goal) -> float:
    """Return a ratio turned so that more is better."""
    return ratio if goal.at_least is not None else 1 / ratio


def _nginx_ratio(result: Mapping[str, Any], verdict: Mapping[str, Any]) -> float | None:
    for row in result["medians"]:
        if (row["case"], row["peer"]) == (verdict["case"], "nginx"):
            return row["ratio"].get(verdict["figure"]) or None
    return None


def draw_goals(results: Kept, order: Iterable[str]) -> Figure | None:
    """Draw each goal's ratio, and the bound that was wanted."""
    rows = [
        (results[name], v) for name in order if "verdicts" in results.get(name, {}) for v in results[name]["verdicts"]
    ]
    if not rows:
        return None
    figure, axes = _figure(9, 1.2 + 0.27 * len(rows))
    labels = []
    for place, (result, verdict) in enumerate(rows):
        goal = goal_of(verdict)
        bound = goal.at_least if goal.at_least is not None else goal.at_most
        colour = _GOOD if verdict["reached"] else _BAD
        value = _advantage(verdict["ratio"], goal)
        axes.hlines(place, 1, value, color=colour, linewidth=3, alpha=0.5)
        axes.plot(value, place, "o", color=colour, markersize=7)
        axes.plot(_advantage(bound or 1, goal), place, "|", color=_INK, markersize=12, markeredgewidth=2)
        if result["base"] != "nginx" and (nginx := _nginx_ratio(result, verdict)):
            axes.plot(_advantage(nginx, goal), place, "D", color=_OTHER, markersize=4)
        placement = f" ({verdict['placement']})" if verdict["placement"] else ""
        labels.append(f"{result['title']}, {verdict['case']}: {NAMES[verdict['figure']]}{placement}")
    axes.axvline(1, color=_INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.5), max(high, 2))
    axes.set_xlabel("times as good as HAProxy (UDP: nginx)", fontsize=9)
    kinds = (("o", _GOOD, "reached"), ("o", _BAD, "not reached"), ("|", _INK, "wanted"), ("D", _OTHER, "nginx"))
    marks = [Line2D([], [], linestyle="", marker=shape, color=colour, label=name) for shape, colour, name in kinds]
    figure.legend(handles=marks, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _colours(peers: Sequence[str]) -> list[str]:
    appliances = iter(_APPLIANCES)
    return [_COLOURS.get(peer) or next(appliances, _INK) for peer in peers]


def draw_cases(result: Mapping[str, Any], figures: Sequence[tuple[str, str]]) -> Figure:
    """Draw figures of all peers, a panel for each, in groups by case."""
    cases = list(dict.fromkeys(row["case"] for row in result["medians"]))
    peers = list(dict.fromkeys(row["peer"] for row in result["medians"]))
    medians = {(row["case"], row["peer"]): row["median"] for row in result["medians"]}
    figure, axes = _figure(5.5 * len(figures), 3.6, len(figures))
    for panel, (name, title) in zip(axes if len(figures) > 1 else [axes], figures, strict=True):
        for number, (peer, colour) in enumerate(zip(peers, _colours(peers), strict=True)):
            places = [at + (number - (len(peers) - 1) / 2) * 0.85 / len(peers) for at in range(len(cases))]
            values = [medians.get((case, peer), {}).get(name, 0.0) for case in cases]
            panel.bar(places, values, 0.85 / len(peers), color=colour, label=peer)
        panel.set_title(title, fontsize=10, loc="left")
        panel.set_xticks(range(len(cases)), [case.partition(" connection")[0] for case in cases])
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        panel.set_xlabel("connections", fontsize=9)
    handles, labels = (axes[0] if len(figures) > 1 else axes).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(peers), fontsize=8, frameon=False)
    return figure


def draw_stages(result: Mapping[str, Any]) -> Figure:
    """Draw what a request costs, stage by stage."""
    figure, axes = _figure(8, 1.7)
    left, total = 0.0, sum(stage["request_ns"] for stage in result["figures"]["stages"])
    for stage, colour in zip(result["figures"]["stages"], _STAGES, strict=True):
        width = stage["request_ns"]
        axes.barh(0, width, left=left, color=colour, label=f"{stage['name']} {width:,.0f}")
        if width > 0.06 * total:
            axes.text(left + width / 2, 0, stage["name"], ha="center", va="center", color="white", fontsize=9)
        left += width
    axes.set_yticks([])
    axes.set_xlabel(f"ns per request (all: {total:,.0f})", fontsize=9)
    figure.legend(loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure


def draw_engines(result: Mapping[str, Any]) -> Figure:
    """Draw speed-up over engines: measured, by the model, ideal."""
    rows = result["figures"]["engines"]
    counts = [row["count"] for row in rows]
    figure, axes = _figure(5, 3.4)
    axes.plot(counts, counts, color=_OTHER, linewidth=1, linestyle=":", label="ideal")
    axes.plot(counts, [row["model"] for row in rows], color=_APPLIANCES[2], marker="o", label="model")
    axes.plot(counts, [row["speed_up"] for row in rows], color=_INK, marker="s", linestyle="--", label="by busiest")
    axes.set_xticks(counts)
    axes.set_xlabel("engines", fontsize=9)
    axes.set_ylabel("speed-up", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    return figure


_KEEPALIVE: Final = (("rate", "requests/s"), ("cpu_us", "CPU µs per request"))


def draw_all(results: Kept, order: Sequence[str], folder: Path) -> list[Path]:
    """Draw what there are results for; return the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[], Figure | None]] = {"goals": lambda: draw_goals(results, order)}
    if kept := results.get("http_keepalive"):
        pictures["http_keepalive"] = lambda: draw_cases(kept, _KEEPALIVE)
    if stages := results.get("stages"):
        pictures["stages"] = lambda: draw_stages(stages)
    if engines := results.get("engines"):
        pictures["engines"] = lambda: draw_engines(engines)
    written = []
    for name, draw in pictures.items():
        if figure := draw():
            written.append(folder / f"bench-{name}.png")
            figure.savefig(written[-1], dpi=_DPI, metadata={"Software": None})
    return written
