"""The replicator: what is wrong is found in the data plane, and exactly that is put right."""

from __future__ import annotations

from typing import Any

import pytest

from ncore_ray.blueprint.rows import effective
from ncore_ray.machine.record import size_of, view
from ncore_ray.tables.service import Binding
from tests.management.live_lab import LiveLab, changing
from tests.management.test_live import ask


def binding(lab: LiveLab, number: int) -> Binding:
    place = lab.arena.bindings + (lab.vserver_record(0).first_binding + number) * size_of(Binding)
    return view(Binding, lab.array, place)


def set_word(target: Any, **values: int) -> None:
    for name, value in values.items():
        setattr(target, name, value)


def test_nothing_to_do_is_nothing_done() -> None:
    with changing(services=2, engines=2) as lab:
        assert lab.look() is None
        epoch = lab.tables.epoch
        assert lab.look() is None
        assert lab.tables.epoch == epoch


def test_what_is_wanted_is_brought_into_force_by_exactly_the_difference() -> None:
    with changing(services=2, engines=2) as lab:
        assert lab.look() is None
        lab.wanted = lab.wanted.model_copy(update={"services": lab.wanted.services[::-1]})
        assert lab.look() is None  # the data plane knows no order
        timeouts = lab.wanted.timeouts.model_copy(update={"connect": 5_000_000})
        lab.wanted = lab.wanted.model_copy(update={"timeouts": timeouts})
        done = lab.look()
        assert done is not None
        assert done.commands == ("set vserver v timeouts.connect=5s",)
        assert done.engines == (0, 1)
        assert lab.look() is None


@pytest.mark.parametrize(
    ("tamper", "commands", "engines"),
    [
        (lambda lab: set_word(binding(lab, 1), weight=9), ["set service s1 weight=2"], (0, 1)),
        (lambda lab: set_word(lab.service(0), port=81), ["set service s0 address=10.2.0.2:80"], (0, 1)),
        (lambda lab: set_word(lab.vserver_record(0), method=1), ["unset vserver v method"], (0, 1)),
        (lambda lab: set_word(lab.vserver_record(0), bindings=1), ["bind v s1"], (0, 1)),
        (lambda lab: set_word(lab.engine(1), keepalive_us=9_000_000), ["unset timeouts keepalive"], (1,)),
        (lambda lab: set_word(lab.engine(0), retries=2, sack=0), ["unset tcp sack retries"], (0,)),
        (
            lambda lab: set_word(lab.service(0), state=0),
            ["add service s0 address=10.2.0.2:80 monitor=none congestion=cubic first", "bind v s0 first", "unbind v ?"],
            (0, 1),
        ),
    ],
)
def test_who_was_put_out_of_step_by_hand_is_repaired(
    tamper: Any, commands: list[str], engines: tuple[int, ...]
) -> None:
    with changing(services=2, weights=(1, 2), engines=2) as lab:
        client = lab.client().connect()
        ask(lab, client)
        assert lab.look() is None
        tamper(lab)
        done = lab.look()
        assert done is not None
        assert (list(done.commands), done.engines) == (commands, engines)
        assert [lab.of_engine(engine) for engine in range(2)] == [effective(lab.wanted)] * 2
        assert lab.look() is None
        ask(lab, client)


def test_a_vserver_that_is_no_longer_found_comes_back() -> None:
    with changing(services=1) as lab:
        assert lab.look() is None
        start = lab.arena.vserver_index + lab.arena.bank
        lab.array[start : start + 4 * lab.arena.vserver_index_size] = 0
        done = lab.look()
        assert done is not None
        assert [command.split(" address")[0] for command in done.commands] == ["add vserver v"]
        ask(lab, lab.client().connect())
        assert lab.vservers() == ["v"]


def test_words_that_no_command_names_are_put_right_too() -> None:
    with changing(services=1) as lab:
        assert lab.look() is None
        before = lab.tables.image()
        start = lab.arena.addresses + lab.arena.bank
        lab.array[start : start + 32 * lab.arena.address_count] = 0  # no packet is for us any more
        assert lab.tables.image() != before
        done = lab.look()
        assert done is not None
        assert done.commands == ()
        ask(lab, lab.client().connect())
