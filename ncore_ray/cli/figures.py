"""Numbers for people: rates, bits, spans."""

from __future__ import annotations

from typing import Final

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_BIT_UNITS: Final = ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s")
_BYTE_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_SPANS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def rate(value: float) -> str:
    """Return events per second: ``12,345``, with a decimal below 10."""
    return f"{value:,.1f}" if 0 < value < 9.95 else f"{value:,.0f}"


def bits(bytes_per_second: float) -> str:
    """Return a throughput: ``1.2 Gbit/s``, or ``0``."""
    if bytes_per_second <= 0:
        return "0"
    value = bytes_per_second * 8
    unit = 0
    while value >= 999.5 and unit < len(_BIT_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.3g} {_BIT_UNITS[unit]}" if value < 999.5 else f"{value:,.0f} {_BIT_UNITS[unit]}"


def volume(count: int) -> str:
    """Return a number of bytes: exact below 10 MB, then ``1.24 GB``."""
    value, unit = float(count), 0
    while count >= 10_000_000 and value >= 999.5 and unit < len(_BYTE_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.3g} {_BYTE_UNITS[unit]}" if unit else f"{count:,}"


def span(seconds: float) -> str:
    """Return a time span in its two largest units: ``2h 5min``."""
    rest = int(seconds)
    words = []
    for name, length in _SPANS:
        count, rest = divmod(rest, length)
        if count:
            words.append(f"{count}{name}")
    return " ".join(words[:2]) or "0s"


def bar(share: float, width: int = 10) -> str:
    """Return a bar for a share of 0 … 1."""
    filled = round(min(max(share, 0.0), 1.0) * width)
    return "█" * filled + "░" * (width - filled)


def sparkline(values: list[float]) -> str:
    """Return a line of small bars, the highest of which is the largest value."""
    top = max(values, default=0.0)
    if top <= 0:
        return _BLOCKS[0] * len(values)
    return "".join(_BLOCKS[min(int(value / top * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in values)
