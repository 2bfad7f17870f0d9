"""`--fault` and `--trace`: wrappers of NICs from the command line, in place of those that the configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from ncore_ray.config.model import Configuration, Faults

FaultOptions = Annotated[
    list[str],
    typer.Option(
        "--fault",
        metavar="NIC:FAULTS",
        help="Faults of a NIC instead of the configured ones, as in nc0:loss=1%,delay=5ms,seed=7. Keys: loss, "
        "duplication, reordering, corruption, delay, jitter, seed. May be repeated.",
    ),
]
TraceOptions = Annotated[
    list[str],
    typer.Option(
        "--trace", metavar="NIC=FILE", help="Write all packets of a NIC to a pcap file, too. May be repeated."
    ),
]


def overridden(configuration: Configuration, faults: list[str], traces: list[str]) -> Configuration:
    """Return the configuration with the wrappers of the command line. Raises NcoreError."""
    from ncore_ray.config.load import dump, parse

    changes: dict[str, dict[str, Any]] = {nic.name: {} for nic in configuration.nics}
    for text in faults:
        nic, _, words = text.partition(":")
        _changes_of(changes, nic, f"--fault {text}")["faults"] = _faults(words, f"--fault {text}")
    for text in traces:
        nic, _, file = text.partition("=")
        _changes_of(changes, nic, f"--trace {text}")["trace"] = _trace(file, text)
    nics = tuple(nic.model_copy(update=changes[nic.name]) for nic in configuration.nics)
    return parse(dump(configuration.model_copy(update={"nics": nics})), "command line")


def _changes_of(changes: dict[str, dict[str, Any]], nic: str, option: str) -> dict[str, Any]:
    if nic not in changes:
        raise NcoreError(f"{option}: there is no NIC {nic!r}, only {', '.join(changes)}")
    return changes[nic]


def _trace(file: str, text: str) -> Path:
    if not file:
        raise NcoreError(f"--trace {text}: expected NIC=FILE, such as nc0=/tmp/nc0.pcap")
    return Path(file).absolute()


def _faults(words: str, option: str) -> Faults:
    """Return the faults of ``loss=1%,delay=5ms,seed=7``."""
    from pydantic import ValidationError

    from ncore_ray.config.expect import Source
    from ncore_ray.config.nics import Faults

    pairs = dict(_pair(word, option) for word in words.split(","))
    try:
        return Faults.model_validate(pairs, context=Source(None))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        text = f"there is no key {key!r}" if first["type"] == "extra_forbidden" else f"{key}: {first['msg']}"
        raise NcoreError(f"{option}: {text.removeprefix(': ')}") from None


def _pair(word: str, option: str) -> tuple[str, str | int | float]:
    key, equals, value = word.partition("=")
    if not equals:
        raise NcoreError(f"{option}: expected KEY=VALUE pairs behind the NIC's name, such as nc0:loss=1%,delay=5ms")
    if value.isdecimal():
        return key, int(value)
    try:
        return key, float(value)
    except ValueError:
        return key, value
