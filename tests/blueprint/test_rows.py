"""Rows of the configured tables: who keeps theirs, who drains, and that what is written is what is read."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import PAGE, Bytes, aligned
from ncore_ray.blueprint.build import build, draw
from ncore_ray.blueprint.decode import read_live, read_rows
from ncore_ray.blueprint.rows import (
    Capacity,
    Named,
    Rows,
    TableFullError,
    capacity_of,
    configuration_of,
    effective,
    plan_rows,
)
from ncore_ray.blueprint.tables import write_bank
from ncore_ray.config.apply import apply
from ncore_ray.config.language import parse_command
from ncore_ray.config.load import from_data, parse
from ncore_ray.config.model import Configuration
from ncore_ray.machine.record import view
from ncore_ray.tables.settings import Settings
from tests.support.configurations import configurations

TEXT = """
appliance: {name: edge}
nics: [{name: nc0, driver: memory, addresses: [10.0.0.10/24]}]
services:
  - {name: a, address: "10.0.0.2:80"}
  - {name: b, address: "10.0.0.3:80", weight: 2}
vservers:
  - {name: www, address: "10.0.0.100:80", protocol: HTTP, services: [a, b]}
  - {name: raw, address: "10.0.0.100:81", protocol: TCP, services: [b]}
"""
ROOM = Capacity(4, 3, 16)


def changed(*commands: str, of: Configuration | None = None) -> Configuration:
    return apply(map(parse_command, commands), of or parse(TEXT))


def first() -> Rows:
    return plan_rows(Rows(), parse(TEXT), ROOM)


def shown(rows: Rows) -> dict[str, dict[int, str]]:
    """Return names by row, with a star behind those that drain."""
    services = {number: row.service.name + "*" * row.draining for number, row in rows.services.items()}
    vservers = {number: row.vserver.name + "*" * row.draining for number, row in rows.vservers.items()}
    return {"services": services, "vservers": vservers}


def test_rows_are_given_in_the_order_of_the_file() -> None:
    assert shown(first()) == {"services": {0: "a", 1: "b"}, "vservers": {0: "www", 1: "raw"}}
    assert [row.services for row in first().vservers.values()] == [(0, 1), (1,)]


def test_who_stays_keeps_its_row_and_who_goes_drains_and_then_frees_it() -> None:
    wanted = changed("rm vserver www", "rm service a", "add service c address=10.0.0.4:80", "bind raw c")
    rows = plan_rows(first(), wanted, ROOM)
    assert shown(rows) == {"services": {0: "a*", 1: "b", 2: "c"}, "vservers": {0: "www*", 1: "raw"}}
    assert rows.vservers[0].services == (0, 1)
    named = Named(frozenset({0}), frozenset())
    assert shown(plan_rows(rows, wanted, ROOM, named))["services"] == {0: "a*", 1: "b", 2: "c"}
    assert shown(plan_rows(rows, wanted, ROOM)) == {"services": {1: "b", 2: "c"}, "vservers": {1: "raw"}}


def test_a_service_that_a_draining_vserver_uses_is_kept() -> None:
    wanted = changed("rm vserver www", "rm service a")
    rows = plan_rows(first(), wanted, ROOM)
    for _ in range(2):
        rows = plan_rows(rows, wanted, ROOM, Named(frozenset(), frozenset({0})))
        assert shown(rows) == {"services": {0: "a*", 1: "b"}, "vservers": {0: "www*", 1: "raw"}}


def test_another_address_is_another_row() -> None:
    rows = plan_rows(first(), changed("set service a address=10.0.0.9:80"), ROOM)
    assert shown(rows)["services"] == {0: "a*", 1: "b", 2: "a"}
    assert rows.vservers[0].services == (2, 1)


def test_what_comes_back_while_it_drains_has_its_row_again() -> None:
    without = changed("unbind www a", "rm service a")
    rows = plan_rows(first(), without, ROOM)
    assert shown(plan_rows(rows, parse(TEXT), ROOM)) == shown(first())


def test_a_row_that_is_named_is_not_given_away() -> None:
    wanted = changed("add service c address=10.0.0.4:80")
    assert shown(plan_rows(first(), wanted, ROOM, Named(frozenset({2}), frozenset())))["services"][3] == "c"


@pytest.mark.parametrize(
    ("capacity", "told"),
    [
        (Capacity(1, 3, 16), r"limits\.services: all 1 rows of the table are taken"),
        (Capacity(4, 1, 16), r"limits\.vservers: all 1 rows of the table are taken"),
        (Capacity(4, 3, 2), r"limits\.bindings: 3 services of vServers, .* do not fit into the 2 rows"),
    ],
)
def test_a_full_table_is_refused(capacity: Capacity, told: str) -> None:
    with pytest.raises(TableFullError, match=told):
        plan_rows(Rows(), parse(TEXT), capacity)


def test_how_many_rows_there_are() -> None:
    assert capacity_of(parse(TEXT)) == Capacity(64, 64, 256)
    assert capacity_of(parse(TEXT + "limits: {services: 9, vservers: 7, bindings: 5}\n")) == Capacity(9, 7, 5)


@cache
def arena() -> Bytes:
    blueprint = draw(parse(TEXT + "limits: {connections: 100}\n"))
    array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
    build(array, blueprint, epoch=7, secret=(1, 2), now=1_000_000)
    return array


def written(array: Bytes, rows: Rows, wanted: Configuration, epoch: int) -> int:
    header = view(Arena, array)
    write_bank(array, header, header.bank_stride, rows, wanted, epoch)
    return header.bank_stride


@settings(max_examples=40)
@given(configurations())
def test_what_is_written_is_what_is_read(data: dict[str, Any]) -> None:
    wanted = from_data(data)
    rows = plan_rows(Rows(), wanted, capacity_of(parse(TEXT)))
    bank = written(arena(), rows, wanted, 5)
    assert read_rows(arena(), bank) == rows
    own = view(Settings, arena(), view(Arena, arena()).settings + bank)
    assert own.epoch == 5
    assert configuration_of(read_rows(arena(), bank), wanted, read_live(own, wanted)) == effective(wanted)
    assert effective(effective(wanted)) == effective(wanted)


def test_the_first_bank_is_left_alone() -> None:
    before = read_rows(arena(), 0)
    written(arena(), plan_rows(before, changed("rm vserver raw"), ROOM), changed("rm vserver raw"), 2)
    assert read_rows(arena(), 0) == before == plan_rows(Rows(), parse(TEXT), ROOM)


def test_draining_rows_are_written_and_read_too() -> None:
    wanted = changed("rm vserver www", "rm service a")
    rows = plan_rows(first(), wanted, ROOM)
    assert read_rows(arena(), written(arena(), rows, wanted, 2)) == rows


def test_texts_that_do_not_fit_are_refused() -> None:
    monitor = f"monitor.type=http monitor.path=/{'x' * 1000}"
    wanted = changed(*(f"add service s{k} address=10.0.0.7:{k + 1} {monitor}" for k in range(150)))
    blueprint = draw(parse(TEXT + "limits: {connections: 100, services: 200}\n"))
    array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
    build(array, blueprint, epoch=7, secret=(1, 2), now=1_000_000)
    rows = plan_rows(Rows(), wanted, blueprint.capacity)
    with pytest.raises(TableFullError, match=r"limits\.services: names, addresses and requests of monitors take"):
        written(array, rows, wanted, 2)
