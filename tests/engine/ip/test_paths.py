"""The table of path MTUs against a dictionary: what is known, for how long, and who gives way without room."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest

from ncore_ray.engine.ip import paths
from ncore_ray.engine.ip.paths import LIFETIME_US, PATHS, PathMtu, path_at
from ncore_ray.engine.partition import engine_at
from ncore_ray.lab.dry.engine import START, EngineLab
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import table
from tests.support.tcp_script import configuration_text

TCP, UDP = 6, 17


@entry_kernel
def note(engine: int, high: int, low: int, protocol: int, mtu: int) -> int:
    return paths.note_path(engine_at(engine), high, low, protocol, mtu)


@entry_kernel
def lower(engine: int, high: int, low: int, protocol: int, mtu: int) -> int:
    return paths.lower_path(engine_at(engine), high, low, protocol, mtu)


@entry_kernel
def forget(engine: int, high: int, low: int, protocol: int) -> int:
    return paths.forget_path(engine_at(engine), high, low, protocol)


@entry_kernel
def find(engine: int, high: int, low: int, protocol: int) -> int:
    place = paths.find_path(engine_at(engine), high, low, protocol)
    return path_at(place).mtu if place != paths.NO_PATH else 0


@cache
def lab() -> EngineLab:
    return EngineLab(configuration_text(), connections=16, frames=64)


@pytest.fixture
def engine() -> int:
    """Address of an engine that knows nothing; its clock is at START."""
    header = lab().engine()
    table(PathMtu, lab().array, header.paths, PATHS)[:] = np.zeros(
        1, table(PathMtu, lab().array, header.paths, 1).dtype
    )
    header.paths_until, header.now = 0, START
    lab().counters().path_mtu_evicted = 0
    return lab().base + lab().arena.engines


@pytest.mark.parametrize("seed", range(3))
def test_what_is_noted_is_known_for_ten_minutes(engine: int, seed: int) -> None:
    """Few enough hosts that none has to give way."""
    choice = random.Random(seed)
    hosts = [(choice.randrange(-(1 << 63), 1 << 63), n, choice.choice((TCP, UDP))) for n in range(40)]
    known: dict[tuple[int, int, int], tuple[int, int]] = {}
    header = lab().engine()
    for _ in range(600):
        header.now += choice.randrange(LIFETIME_US // 40)
        host, mtu = choice.choice(hosts), choice.randrange(552, 1_500)
        before, noted_at = known.get(host, (0, 0))
        alive = before and header.now - noted_at < LIFETIME_US
        assert find(engine, *host) == (before if alive else 0)
        what = choice.randrange(4)
        if what == 0:
            note(engine, *host, mtu)
            known[host] = mtu, header.now
        elif what == 1:
            lower(engine, *host, mtu)
            if not alive or mtu <= before:
                known[host] = mtu, header.now
        elif what == 2 and choice.random() < 0.3:
            forget(engine, *host)
            known.pop(host, None)
    assert lab().counters().path_mtu_evicted == 0


def test_tcp_and_datagrams_are_known_apart(engine: int) -> None:
    note(engine, 0, 1, UDP, 600)
    assert (find(engine, 0, 1, UDP), find(engine, 0, 1, TCP)) == (600, 0)


def test_where_all_places_are_taken_the_oldest_gives_way(engine: int) -> None:
    header = lab().engine()
    hosts = [(7, low, TCP) for low in range(4 * PATHS)]
    for host in hosts:
        header.now += 1_000
        note(engine, *host, 1_000)
    known = [host for host in hosts if find(engine, *host)]
    assert len(known) == PATHS
    assert lab().counters().path_mtu_evicted == len(hosts) - PATHS
    groups: dict[int, list[int]] = {}
    for low in range(4 * PATHS):
        groups.setdefault(group_of(engine, low), []).append(low)
    for group in groups.values():  # of each those that were noted last
        assert [low for low in group if find(engine, 7, low, TCP)] == group[-8:]


@entry_kernel
def group_of(engine: int, low: int) -> int:
    return paths._first_place(engine_at(engine), 7, low, 6)


def test_what_is_too_old_gives_way_uncounted(engine: int) -> None:
    header = lab().engine()
    for low in range(4 * PATHS):
        note(engine, 7, low, TCP, 1_000)
        header.now += LIFETIME_US
    assert lab().counters().path_mtu_evicted == 0
