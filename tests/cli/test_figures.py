"""Numbers for people."""

from __future__ import annotations

import pytest

from ncore_ray.cli.figures import bar, bits, rate, span, sparkline, volume


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.2"), (9.94, "9.9"), (10.4, "10"), (123456.7, "123,457")]
)
def test_rate(value: float, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("bytes_per_second", "text"),
    [
        (0, "0"),
        (1, "8 bit/s"),
        (125, "1 kbit/s"),
        (124_999_999, "1 Gbit/s"),
        (1.55e8, "1.24 Gbit/s"),
        (1e15, "8,000 Tbit/s"),
    ],
)
def test_bits(bytes_per_second: float, text: str) -> None:
    assert bits(bytes_per_second) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (60, "1min"), (3_725, "1h 2min"), (86_405, "1d 5s")]
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_bar_stays_in_its_width() -> None:
    assert [bar(share, 4) for share in (-1, 0, 0.5, 1, 7)] == ["░░░░", "░░░░", "██░░", "████", "████"]


def test_sparkline() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([0, 50, 100]) == "▁▅█"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (9_999_999, "9,999,999"), (10_000_000, "10 MB"), (1_234_567_890, "1.23 GB")]
)
def test_volume(count: int, text: str) -> None:
    assert volume(count) == text
