"""Which numbers of engines a running appliance can have."""

from __future__ import annotations

from typing import Any

import pytest

from ncore_ray.config.load import ConfigurationError, parse
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


@pytest.mark.parametrize(
    ("engines", "options", "words"),
    [
        (5, {}, "the arena has room for 4 engines"),
        (2, {"distribution": "parallelism: nic"}, "with distribution.parallelism nic"),
        (2, {"key": "cookie: sid"}, "virtual connections"),
        (2, {"unit": "transaction"}, "virtual connections"),
    ],
)
def test_what_stands_against_it(engines: int, options: dict[str, Any], words: str) -> None:
    (reason,) = reasons(engines, **options)
    assert reason.startswith(f"appliance.engines={engines} needs a restart (ncore deploy): {words}")


def test_links_and_queues_of_a_tap_device_are_made_at_the_start() -> None:
    assert len(reasons(2, links=True)) == 1
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
