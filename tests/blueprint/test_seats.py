"""Which place of the NIC table each NIC has."""

from __future__ import annotations

import random

import pytest

from ncore_ray.blueprint.build import draw
from ncore_ray.blueprint.routes import routes_of
from ncore_ray.blueprint.seats import EMPTY, NoPlaceError, Seats
from ncore_ray.config.apply import apply
from ncore_ray.config.language import parse_command
from ncore_ray.config.load import parse
from ncore_ray.config.model import Configuration
from tests.support.http_lab import configuration


def built(room: int = 4) -> Configuration:
    return parse(configuration().replace("engines: 1", f"engines: 1, max_nics: {room}"))


def test_the_arena_has_a_place_for_each() -> None:
    header = draw(built()).header
    assert (header["nic_count"], header["queue_count"]) == (4, 4)
    assert header["actor_count"] == draw(built(2)).header["actor_count"] + 4  # a reader and a writer for each of two


def test_a_nic_keeps_its_place_whatever_comes_and_goes() -> None:
    seats, number = Seats.of(built()).take("nc2")
    assert (number, seats.place_of("nc1"), seats.place_of("nc2"), seats.place_of("nc3")) == (2, 1, 2, None)
    wanted = apply(
        map(
            parse_command,
            ["rm vserver v", "rm service s0", "rm nic nc0", "add nic nc2 driver=memory addresses=10.3.0.10/24"],
        ),
        built(),
    )
    seats = seats.give_back(0)
    seated = seats.seated(wanted)
    assert [nic.name for nic in seated.nics] == ["", "nc1", "nc2", ""]
    assert seated.nics[0] is EMPTY
    assert [(str(network), nic) for network, nic, _, _ in routes_of(seated)] == [("10.2.0.0/24", 1), ("10.3.0.0/24", 2)]


def test_the_former_place_is_the_best_then_one_without_a_past() -> None:
    seats = Seats.of(built())
    seats, _ = seats.take("nc2")
    seats = seats.give_back(2).give_back(0)
    assert seats.take("nc2")[1] == 2
    assert seats.take("nc9")[1] == 3
    seats, _ = seats.take("nc9")
    assert seats.take("nc8")[1] == 0


def test_as_many_as_there_are_places() -> None:
    seats = Seats.of(built(3)).take("nc2")[0]
    with pytest.raises(NoPlaceError, match="room for 3 NICs"):
        seats.take("nc3")


@pytest.mark.parametrize("seed", range(3))
def test_no_two_have_the_same_place(seed: int) -> None:
    chance, seats, there = random.Random(seed), Seats.of(built(6)), {"nc0", "nc1"}
    for _ in range(200):
        name = f"nc{chance.randrange(9)}"
        if name in there:
            place = seats.place_of(name)
            assert place is not None
            seats = seats.give_back(place)
            there.remove(name)
        elif len(there) < 6:
            seats, place = seats.take(name)
            there.add(name)
        places = [seats.place_of(one) for one in there]
        assert None not in places
        assert len(set(places)) == len(there)
