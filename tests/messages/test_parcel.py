"""Values longer than a message."""

from __future__ import annotations

from typing import Any

import pytest

from ncore_ray.messages.arena import ArenaPort
from ncore_ray.messages.parcel import Parcels, cut, send_parcel
from tests.messages.message_arena import ENGINES, message_arena

VALUE: dict[str, Any] = {"commands": [f"set service s{k} weight={k % 7}" for k in range(4_000)], "ä": b"\0\1"}


@pytest.mark.parametrize("longest", [65, 100, 700, 8_192, 1 << 20])
def test_parts_fit_and_make_the_value_again(longest: int) -> None:
    value = {"a": list(range(100))} if longest < 200 else VALUE
    parcels = Parcels()
    found = [parcels.put(3, message) for message in cut(9, value, longest)]
    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] == (9, value)


def test_senders_do_not_meet_and_what_is_given_up_is_forgotten() -> None:
    parcels = Parcels()
    one, two, three = (list(cut(number, [number] * 100, 100)) for number in (1, 2, 3))
    assert len(one) > 1
    for first, second in zip(one[:-1], two[:-1], strict=True):
        assert parcels.put(1, first) is parcels.put(2, second) is None
    for message in three[:-1]:
        assert parcels.put(1, message) is None
    assert parcels.put(1, one[-1]) is None
    assert parcels.put(1, three[-1]) == (3, [3] * 100)
    assert parcels.put(2, two[-1]) == (2, [2] * 100)
    assert parcels.put(1, three[-1]) is None
    assert parcels.put(1, "something else") is None


def test_a_parcel_longer_than_the_ring_goes_through_while_it_is_taken() -> None:
    array = message_arena()
    engine, manager, parcels, found = ArenaPort(array, ENGINES, 1), ArenaPort(array, ENGINES, 3), Parcels(), []

    def take(_: float) -> None:
        while (message := manager.try_receive()) is not None:
            found.append(parcels.put(message.sender, message.value))

    assert send_parcel(engine, 3, 7, VALUE, pause=take)
    take(0)
    assert [one for one in found if one] == [(7, VALUE)]
    assert not send_parcel(engine, 3, 8, VALUE, pause=lambda _: None)
