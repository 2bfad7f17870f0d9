"""Times, sizes and shares: written with a unit in YAML, plain integers in the model.

From Python, times are given as integers in µs, sizes in bytes, shares in parts per million.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Final

from pydantic import AfterValidator, PlainSerializer, PlainValidator, ValidationInfo

from ncore_ray.config.expect import expected, source_of

MILLISECOND: Final = 1_000
"""µs of a millisecond."""
SECOND: Final = 1_000 * MILLISECOND
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

KIB: Final = 1 << 10
"""Bytes of a KiB."""
MIB: Final = 1 << 20
GIB: Final = 1 << 30
TIB: Final = 1 << 40

MILLION: Final = 1_000_000

_TIME_UNITS: Final = {"d": DAY, "h": HOUR, "min": MINUTE, "s": SECOND, "ms": MILLISECOND, "us": 1}
_SIZE_UNITS: Final = {"TiB": TIB, "GiB": GIB, "MiB": MIB, "KiB": KIB, "B": 1}
_QUANTITY: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]+|%)", re.ASCII)

_A_TIME: Final = "a time with its unit, such as 3s or 40ms (us, ms, s, min, h, d)"
_A_SIZE: Final = "a size such as 64KiB or 256MiB (B, KiB, MiB, GiB, TiB)"
_A_SHARE: Final = "a share from 0% to 100%, such as 1% or 0.01"


def _quantity(text: str, units: dict[str, int]) -> int | None:
    """Return a number times its unit, or None when the text is not that, or not a whole number then."""
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        return None
    product = Fraction(match[1]) * units[match[2]]
    return product.numerator if product.denominator == 1 else None


def _formatted(value: int, units: dict[str, int], zero: str) -> str:
    """Return a number with the largest unit that needs no fraction."""
    for name, factor in units.items():
        if value and value % factor == 0:
            return f"{value // factor}{name}"
    return zero


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def parse_time(value: object, info: ValidationInfo) -> int:
    """Return a time in µs from ``3s``, ``1.5ms``; from Python also from an integer in µs.

    A bare number in YAML is refused: nobody could tell seconds from milliseconds.
    """
    parsed = _quantity(value, _TIME_UNITS) if isinstance(value, str) else None
    if source_of(info) is None and isinstance(value, int) and _is_count(value):
        parsed = value
    if parsed is None:
        raise expected(_A_TIME)
    return parsed


def format_time(value: int) -> str:
    """Return a time in µs as YAML has it: ``3s``."""
    return _formatted(value, _TIME_UNITS, "0s")


def parse_time_or_off(value: object, info: ValidationInfo) -> int:
    """Return a time in µs, or 0 for ``off``."""
    if value == "off":
        return 0
    try:
        return parse_time(value, info)
    except ValueError:
        raise expected(f'"off" or {_A_TIME}') from None


def format_time_or_off(value: int) -> str:
    """Return a time in µs as YAML has it, ``off`` for 0."""
    return format_time(value) if value else "off"


def parse_size(value: object) -> int:
    """Return a size in bytes from ``256MiB`` or from a bare number of bytes."""
    if isinstance(value, int) and _is_count(value):
        return value
    parsed = _quantity(value, _SIZE_UNITS) if isinstance(value, str) else None
    if parsed is None:
        raise expected(_A_SIZE)
    return parsed


def format_size(value: int) -> str:
    """Return a size in bytes as YAML has it: ``256MiB``."""
    return _formatted(value, _SIZE_UNITS, "0B")


def _share(value: object, info: ValidationInfo) -> Fraction | None:
    """Return a share in parts per million, or None when the value is not a share."""
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        return Fraction(match[1]) * (MILLION // 100) if match and match[2] == "%" else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and source_of(info) is None:
        return Fraction(value)
    if not 0 <= value < 1:  # is 1 one per cent, or all? It has to be written with its %
        return None
    return Fraction(str(value)) * MILLION


def parse_share(value: object, info: ValidationInfo) -> int:
    """Return parts per million (0 … 1,000,000) from ``1%`` or 0.01; from Python, an integer is parts per million."""
    share = _share(value, info)
    if share is None or share.denominator != 1 or not 0 <= share <= MILLION:
        raise expected(_A_SHARE)
    return share.numerator


def format_share(value: int) -> str:
    """Return parts per million as YAML has them: ``0.5%``."""
    whole, part = divmod(value, MILLION // 100)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".") + "%"


def _serializer(function: object) -> PlainSerializer:
    return PlainSerializer(function, return_type=str, when_used="json")  # type: ignore[arg-type]


Microseconds = Annotated[int, PlainValidator(parse_time), _serializer(format_time)]
"""A time in µs."""
MicrosecondsOrOff = Annotated[int, PlainValidator(parse_time_or_off), _serializer(format_time_or_off)]
"""A time in µs; 0 is ``off``."""
Size = Annotated[int, PlainValidator(parse_size), _serializer(format_size)]
"""A size in bytes."""
PartsPerMillion = Annotated[int, PlainValidator(parse_share), _serializer(format_share)]
"""A share: 0 is none, 1,000,000 is all."""


def time_within(low: int, high: int, *, or_off: bool = False) -> AfterValidator:
    """Return the check that a time lies in a range of µs, bounds included (0 too, for ``or_off``)."""
    what = ('"off" or ' if or_off else "") + f"a time from {format_time(low)} to {format_time(high)}"

    def check(value: int) -> int:
        if not (low <= value <= high or (or_off and value == 0)):
            raise expected(what)
        return value

    return AfterValidator(check)


def time_among(*values: int) -> AfterValidator:
    """Return the check that a time is one of some, in µs."""
    words = [format_time(value) for value in values]

    def check(value: int) -> int:
        if value not in values:
            raise expected(f"{', '.join(words[:-1])} or {words[-1]}")
        return value

    return AfterValidator(check)


def size_within(low: int, high: int) -> AfterValidator:
    """Return the check that a size lies in a range of bytes, bounds included."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise expected(f"a size from {format_size(low)} to {format_size(high)}")
        return value

    return AfterValidator(check)
