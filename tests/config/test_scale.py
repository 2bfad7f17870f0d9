"""Which numbers of engines a running appliance can have."""

from __future__ import annotations

from typing import Any

import pytest

from ncore_ray.config.load import ConfigurationError, parse
from ncore_ray.config.model import Configuration
from ncore_ray.config.scale import scaling_reasons
from tests.support.http_lab import configuration


def reasons(engines: int, *, links: bool = False, **options: Any) -> list[str]:
    text = configuration(**options).replace("engines: 1", "engines: 1, max_engines: 4")
    before = parse(text)
    wanted = parse(text.replace("engines: 1, max_engines: 4", f"engines: {engines}, max_engines: {max(engines, 4)}"))
    return scaling_reasons(before, before, wanted, has_links=links)


@pytest.mark.parametrize("engines", [1, 2, 4])
@pytest.mark.parametrize("placement", ["core", "per-core", "rss"])
def test_as_many_as_there_is_room_for(engines: int, placement: str) -> None:
    assert reasons(engines, distribution=f"placement: {placement}") == []


@pytest.mark.parametrize("options", [{"key": "cookie: sid"}, {"unit": "transaction"}])
def test_virtual_connections_have_room_for_those_that_come(options: dict[str, Any]) -> None:
    assert reasons(4, links=True, **options) == []


@pytest.mark.parametrize("parallelism", ["vip", "nic"])
def test_vips_and_nics_are_shared_out_anew(parallelism: str) -> None:
    assert reasons(4, distribution=f"parallelism: {parallelism}") == []


@pytest.mark.parametrize(
    ("engines", "options", "words"),
    [
        (5, {}, "the arena has room for 4 engines"),
        (
            2,
            {"distribution": "parallelism: vip", "key": "cookie: sid", "links": True},
            "with distribution.parallelism vip",
        ),
        (2, {"distribution": "parallelism: functional", "links": True}, "with distribution.parallelism functional a"),
    ],
)
def test_what_stands_against_it(engines: int, options: dict[str, Any], words: str) -> None:
    (reason,) = reasons(engines, **options)
    assert reason.startswith(f"appliance.engines={engines} needs a restart (ncore deploy): {words}")


def functional(engines: int, functions: str = "") -> Configuration:
    text = configuration(distribution=f"parallelism: functional{functions}")
    return parse(text.replace("engines: 1", f"engines: {engines}, max_engines: 4"))


def test_functional_engines_come_and_go_beside_the_first_two() -> None:
    assert scaling_reasons(functional(2), functional(2), functional(4), has_links=True) == []
    assert len(scaling_reasons(functional(2), functional(2), functional(1), has_links=True)) == 1
    named = functional(2, ", functions: [transport, both]")
    more = functional(3, ", functions: [transport, both, both]")
    assert "names the function" in scaling_reasons(named, named, more, has_links=True)[0]


def test_queues_of_a_tap_device_are_made_at_the_start() -> None:
    text = configuration(distribution="placement: per-core").replace(
        "driver: memory, addresses: [10.1.0.10/24]", "driver: tap, host: 10.1.0.1/24, addresses: [10.1.0.10/24]"
    )
    before = parse(text.replace("engines: 1", "engines: 1, max_engines: 2"))
    wanted = parse(text.replace("engines: 1", "engines: 2, max_engines: 2"))
    (reason,) = scaling_reasons(before, before, wanted, has_links=False)
    assert "TAP device nc0" in reason


def test_room_for_fewer_engines_than_there_are_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="max_engines: found 1, expected at least engines, 2"):
        parse(configuration().replace("engines: 1", "engines: 2, max_engines: 1"))
