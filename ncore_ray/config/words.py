"""Names, words out of a set, whole numbers, switches and paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
)

from ncore_ray.config.expect import (
    Finding,
    FindingsError,
    alternatives,
    expected,
    repeats,
    shown,
    source_of,
    suggestion,
)

_STATUS_CODES: Final = range(100, 600)


def matching(pattern: str, what: str) -> PlainValidator:
    """Return the validator of a text that matches a regular expression as a whole."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: object) -> str:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            raise expected(what)
        return value

    return PlainValidator(check)


Label = Annotated[
    str,
    matching(
        "[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?",
        "a name of 1 to 63 lower-case letters, digits and -, from a letter on and not ending in -",
    ),
]
"""A name like a DNS label: it becomes part of the names of actors."""

Name = Annotated[
    str,
    matching("[A-Za-z][A-Za-z0-9_.-]{0,62}", "a name of 1 to 63 letters, digits, _, . and -, from a letter on"),
]
"""The name of a service or a vServer."""

InterfaceName = Annotated[
    str,
    matching("[A-Za-z][A-Za-z0-9_.-]{0,14}", "a name of 1 to 15 letters, digits, _, . and -, from a letter on"),
]
"""A name that Linux gives a network interface too (at most 15 characters)."""

NamespaceName = Annotated[str, matching("[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", "the name of a network namespace")]

RequestPath = Annotated[str, matching("/[!-~]{0,1023}", "a path from / on, without spaces")]
"""The target of a monitor's request, in origin form (RFC 9112, section 3.2.1)."""

HostField = Annotated[str, matching(r"[A-Za-z0-9_.-]{1,253}(?::[0-9]{1,5})?", "a host name, with or without a port")]
"""The value of a ``Host`` field."""


def word(kind: type[StrEnum], *, later: Sequence[str] = ()) -> tuple[PlainValidator, PlainSerializer]:
    """Return what makes a field one of an enumeration's words; the ``later`` ones are refused as not there yet."""
    words = [member.value for member in kind]

    def check(value: object) -> StrEnum:
        if isinstance(value, str) and value in words:
            return kind(value)
        if value in later:
            raise expected(f'{alternatives(words)} ("{value}" is not there yet)')
        raise expected(alternatives(words) + suggestion(value, words))

    return PlainValidator(check), PlainSerializer(str, return_type=str, when_used="json")


def whole(low: int, high: int) -> PlainValidator:
    """Return the validator of a whole number in a range, bounds included."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise expected(f"a whole number from {low} to {high}")
        return value

    return PlainValidator(check)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise expected("true or false")
    return value


Switch = Annotated[bool, PlainValidator(_switch)]


def entries(low: int, high: int, *, once: bool = True) -> AfterValidator:
    """Return the check that a list has a number of entries in a range, bounds included, and (``once``) no two equal."""

    def check(value: tuple[object, ...]) -> tuple[object, ...]:
        if not low <= len(value) <= high:
            raise expected(f"{low} to {high} entries")
        repeated = [
            Finding((index,), f"found {shown(value[index])} for the second time, expected each entry once")
            for index, _ in (repeats(value) if once else ())
        ]
        if repeated:
            raise FindingsError(repeated)
        return value

    return AfterValidator(check)


def none_is(name: str) -> tuple[WrapValidator, WrapSerializer]:
    """Return what makes a field whose value is None stand in YAML as a word, such as ``auto``."""

    def read(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        if value is None or value == name:
            return None
        try:
            return handler(value)
        except ValidationError as error:
            own = [details for details in error.errors() if not details["loc"]]
            if not own or own[0]["type"] == "value_error":
                raise
            what = own[0].get("ctx", {}).get("what", "a list")
            raise expected(f'"{name}" or {what}') from None

    def write(value: object, handler: SerializerFunctionWrapHandler) -> object:
        return name if value is None else handler(value)

    return WrapValidator(read), WrapSerializer(write, when_used="json")


def parse_path(value: object, info: ValidationInfo) -> Path:
    """Return a path; a relative one starts from the folder of the file that it was written in."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise expected("the path of a file")
    source = source_of(info)
    return source.folder / value if source and source.folder else Path(value)


FilePath = Annotated[Path, PlainValidator(parse_path), PlainSerializer(str, return_type=str, when_used="json")]


def parse_status_range(value: object) -> tuple[int, int]:
    """Return the first and last status code of ``200-399`` or ``200``."""
    if isinstance(value, tuple):
        value = "-".join(map(str, value))
    match = re.fullmatch("([0-9]{3})(?:-([0-9]{3}))?", str(value), re.ASCII)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first not in _STATUS_CODES or last not in _STATUS_CODES or first > last:
        raise expected('a status code or a range of them from 100 to 599, such as "200-399"')
    return first, last


def format_status_range(value: tuple[int, int]) -> str:
    """Return a range of status codes as YAML has it."""
    return f"{value[0]}-{value[1]}"


StatusRange = Annotated[
    tuple[int, int],
    PlainValidator(parse_status_range),
    PlainSerializer(format_status_range, return_type=str, when_used="json"),
]
"""First and last status code that count as an answer."""
