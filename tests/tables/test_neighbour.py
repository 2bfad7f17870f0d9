"""The neighbour table: what is asked, learned and forgotten; and two processes that write the same entries."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from ncore_ray.lab.dry.arena import SmallArena, make_arena
from ncore_ray.machine.jit import JIT, entry_kernel
from ncore_ray.machine.record import table
from ncore_ray.tables.neighbour import (
    LOST_AFTER_US,
    REQUEST_INTERVAL_US,
    STALE_AFTER_US,
    UNKNOWN_MAC,
    Neighbour,
    Reachability,
    find_mac,
    learn,
    learn_advertised,
    learn_solicitor,
    reachability,
    should_request,
)
from ncore_ray.wire.address import MAPPED, mapped, words_of

MAC = 0x0200_0000_00AA
HOST = words_of("10.1.0.7")
START = 100_000_000


@entry_kernel
def find(base: int, high: int, low: int, now: int) -> int:
    return find_mac(base, high, low, now)


@entry_kernel
def ask(base: int, high: int, low: int, now: int) -> int:
    return should_request(base, high, low, now)


@entry_kernel
def tell(base: int, high: int, low: int, mac: int, now: int, create: int) -> int:
    return learn(base, high, low, mac, now, create)


@entry_kernel
def write_many(base: int, rounds: int, who: int, first: int) -> int:
    """Learn addresses of 40 hosts, far more than there are places: host h has a MAC made of h alone.

    Time goes on by leaps after which every entry is old, yet no lock: 2⁴⁰ µs is where a lock's clock comes round.
    """
    entered = 0
    for i in range(rounds):
        host = (i * 7 + who * 3) % 40
        now = START + (((first + i) >> 3) << 40)
        entered += learn(base, host, mapped(host), host * 0x0001_0001_0001, now, 1)
        should_request(base, host, mapped((host + 1) % 40), now)
    return entered


@entry_kernel
def read_many(base: int, rounds: int, start: int) -> int:
    """Return how many wrong MACs were seen."""
    wrong = 0
    for i in range(rounds):
        host = i % 40
        mac = find_mac(base, host, mapped(host), start + i % 50_000_000)
        if mac != UNKNOWN_MAC and mac != host * 0x0001_0001_0001:
            wrong += 1
    return wrong


def test_unknown_neighbour_is_asked_for_once_a_second() -> None:
    arena = make_arena()  # kept while its address is used
    base = arena.base
    assert find(base, *HOST, START) == UNKNOWN_MAC
    assert ask(base, *HOST, START) == 1
    assert ask(base, *HOST, START + REQUEST_INTERVAL_US - 1) == 0
    assert ask(base, *HOST, START + REQUEST_INTERVAL_US) == 1
    assert find(base, *HOST, START) == UNKNOWN_MAC


def test_answer_is_used_then_asked_for_again_then_lost() -> None:
    arena = make_arena()  # kept while its address is used
    base = arena.base
    assert ask(base, *HOST, START) == 1
    assert tell(base, *HOST, MAC, START, 0) == 1
    assert find(base, *HOST, START + LOST_AFTER_US) == MAC
    assert ask(base, *HOST, START + STALE_AFTER_US) == 0
    assert ask(base, *HOST, START + STALE_AFTER_US + 1) == 1
    assert find(base, *HOST, START + STALE_AFTER_US + 1) == MAC
    assert find(base, *HOST, START + LOST_AFTER_US + 1) == UNKNOWN_MAC


def test_stranger_is_learned_only_when_it_talks_to_us() -> None:
    arena = make_arena()  # kept while its address is used
    base = arena.base
    assert tell(base, *HOST, MAC, START, 0) == 0
    assert find(base, *HOST, START) == UNKNOWN_MAC
    assert tell(base, *HOST, MAC, START, 1) == 1
    assert find(base, *HOST, START) == MAC
    assert tell(base, *HOST, MAC + 1, START, 0) == 1
    assert find(base, *HOST, START) == MAC + 1


def test_addresses_that_differ_in_one_word_are_different_neighbours() -> None:
    arena = make_arena()  # kept while its address is used
    base = arena.base
    high, low = words_of("2001:db8::7")
    assert tell(base, high, low, MAC, START, 1) == 1
    for other in ((high + 1, low), (high, low + 1), (0, low)):
        assert find(base, *other, START) == UNKNOWN_MAC
        assert tell(base, *other, MAC + 1, START, 1) == 1
    assert find(base, high, low, START) == MAC


def test_full_table_keeps_the_living_and_reuses_the_dead() -> None:
    arena = make_arena()  # kept while its address is used
    base = arena.base
    entered = [number for number in range(300) if tell(base, 0, MAPPED | number, number, START, 1)]
    assert 16 <= len(entered) <= 64
    assert all(find(base, 0, MAPPED | number, START) == number for number in entered)
    later = START + LOST_AFTER_US + 1
    assert all(tell(base, 0, MAPPED | 1000 + number, number, later, 1) for number in range(8))
    assert all(find(base, 0, MAPPED | 1000 + number, later) == number for number in range(8))


def fork(arena: SmallArena, who: int, until: float) -> int:
    child = os.fork()
    if child:
        return child
    turn = 0
    while time.monotonic() < until:
        write_many(arena.base, 200_000, who, turn * 200_000)
        turn += 1
    os._exit(0)


@pytest.mark.skipif(not JIT, reason="compare-and-exchange is atomic in machine code only")
def test_two_processes_never_show_a_wrong_mac() -> None:
    """Both write all entries, whose addresses take the places of each other; a third reads."""
    arena = make_arena()
    arena.header.neighbour_count = 16
    assert read_many(arena.base, 10, START) == 0
    assert write_many(arena.base, 10, 0, 0) > 0
    until = time.monotonic() + 1.5
    children = [fork(arena, who, until) for who in (0, 1)]
    wrong = 0
    while time.monotonic() < until:
        wrong += read_many(arena.base, 500_000, START)
    for child in children:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, signal.Signals(status).name
    rows = table(Neighbour, arena.array, arena.header.neighbours, 16)
    assert wrong == 0
    assert not (rows["version"] & 1).any()
    assert ((rows["mac"] == -1) | (rows["mac"] == (rows["low"] & 0xFFFF) * 0x0001_0001_0001)).all()


def test_entry_of_a_writer_that_died_is_learned_anew() -> None:
    arena = make_arena()
    base = arena.base
    assert tell(base, *HOST, MAC, START, 1) == 1
    rows = table(Neighbour, arena.array, arena.header.neighbours, arena.header.neighbour_count)
    (place,) = np.flatnonzero(rows["mac"] == MAC)
    rows["version"][place] += 1 + (START >> 10 << 32)  # locked now, for ever
    assert find(base, *HOST, START) == UNKNOWN_MAC
    assert ask(base, *HOST, START + 100) == 0
    assert tell(base, *HOST, MAC + 1, START + 1_900_000, 1) == 0  # it might still live
    assert ask(base, *HOST, START + 2_100_000) == 1
    assert find(base, *HOST, START + 2_100_000) == UNKNOWN_MAC
    assert tell(base, *HOST, MAC + 1, START + 2_200_000, 1) == 1
    assert find(base, *HOST, START + 2_200_000) == MAC + 1
    assert rows["version"][place] & 1 == 0


def test_a_clock_that_is_a_little_behind_breaks_no_lock() -> None:
    arena = make_arena()
    assert tell(arena.base, *HOST, MAC, START, 1) == 1
    rows = table(Neighbour, arena.array, arena.header.neighbours, arena.header.neighbour_count)
    (place,) = np.flatnonzero(rows["mac"] == MAC)
    rows["version"][place] += 1 + ((START >> 10) + 3 << 32)
    assert tell(arena.base, *HOST, MAC + 1, START, 1) == 0


SIX = words_of("2001:db8::7")
OTHER_MAC = 0x0200_0000_00BB


@entry_kernel
def solicited_by(base: int, high: int, low: int, mac: int, now: int) -> int:
    return learn_solicitor(base, high, low, mac, now)


@entry_kernel
def advertised(base: int, high: int, low: int, mac: int, solicited: int, override: int, now: int) -> int:
    return learn_advertised(base, high, low, mac, solicited, override, now)


@entry_kernel
def state_of(base: int, high: int, low: int, now: int) -> int:
    return reachability(base, high, low, now)


def test_states_of_a_neighbour_that_answers() -> None:
    """RFC 4861 §7.3.2, without DELAY."""
    arena = make_arena()
    base = arena.base
    assert state_of(base, *SIX, START) == Reachability.NONE
    assert ask(base, *SIX, START) == 1
    assert state_of(base, *SIX, START) == Reachability.INCOMPLETE
    assert advertised(base, *SIX, MAC, 1, 1, START) == 1
    assert state_of(base, *SIX, START + STALE_AFTER_US) == Reachability.REACHABLE
    later = START + STALE_AFTER_US + 1
    assert state_of(base, *SIX, later) == Reachability.STALE
    assert (find(base, *SIX, later), ask(base, *SIX, later)) == (MAC, 1)
    assert state_of(base, *SIX, later + 1) == Reachability.PROBE
    assert advertised(base, *SIX, MAC, 1, 1, later + 2) == 1
    assert state_of(base, *SIX, later + 2) == Reachability.REACHABLE
    gone = later + 3 + LOST_AFTER_US
    assert (state_of(base, *SIX, gone), find(base, *SIX, gone)) == (Reachability.NONE, UNKNOWN_MAC)


def test_who_asks_is_known_but_not_confirmed() -> None:
    """RFC 4861 §7.2.3; a second question changes nothing."""
    arena = make_arena()
    base = arena.base
    assert [solicited_by(base, *SIX, MAC, START + i) for i in range(2)] == [1, 0]
    assert state_of(base, *SIX, START) == Reachability.STALE
    assert find(base, *SIX, START) == MAC
    assert ask(base, *SIX, START) == 1
    assert advertised(base, *SIX, MAC, 1, 0, START + 9) == 1
    assert state_of(base, *SIX, START + 10) == Reachability.REACHABLE
    assert solicited_by(base, *SIX, OTHER_MAC, START + 10) == 1
    assert (state_of(base, *SIX, START + 10), find(base, *SIX, START + 10)) == (Reachability.STALE, OTHER_MAC)


def test_advertisements_of_nobody_and_without_an_address() -> None:
    arena = make_arena()
    base = arena.base
    assert advertised(base, *SIX, MAC, 1, 1, START) == 0
    assert state_of(base, *SIX, START) == Reachability.NONE
    ask(base, *SIX, START)
    assert advertised(base, *SIX, UNKNOWN_MAC, 1, 1, START) == 0
    assert advertised(base, *SIX, MAC, 0, 0, START) == 1
    assert state_of(base, *SIX, START) == Reachability.PROBE  # unconfirmed: it was not an answer
    assert advertised(base, *SIX, UNKNOWN_MAC, 1, 0, START + 1) == 1
    assert (state_of(base, *SIX, START + 1), find(base, *SIX, START + 1)) == (Reachability.REACHABLE, MAC)


@pytest.mark.parametrize(("solicited", "override"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_another_address_counts_only_with_the_override_flag(solicited: int, override: int) -> None:
    """RFC 4861 §7.2.5."""
    arena = make_arena()
    base = arena.base
    ask(base, *SIX, START)
    advertised(base, *SIX, MAC, 1, 1, START)
    assert advertised(base, *SIX, OTHER_MAC, solicited, override, START + 5) == override
    assert find(base, *SIX, START + 5) == (OTHER_MAC if override else MAC)
    reachable = solicited and override
    assert state_of(base, *SIX, START + 5) == (Reachability.REACHABLE if reachable else Reachability.STALE)
