"""Totals = live + archived: checked against a plain sum of all that was ever counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.metrics.ledger import Ledger, Words, from_plain, to_plain


def words(*values: int) -> Words:
    return np.array(values, np.int64)


def test_growth_since_the_last_look() -> None:
    ledger = Ledger(["a", "b"])
    assert ledger.advance(words(5, 0)).tolist() == [5, 0]
    assert ledger.advance(words(7, 2)).tolist() == [2, 2]
    assert ledger.advance(words(7, 2)).tolist() == [0, 0]
    assert ledger.totals() == {"a": 7, "b": 2}


def test_a_word_that_begins_anew_does_not_set_the_total_back() -> None:
    ledger = Ledger(["a"])
    ledger.advance(words(100))
    assert ledger.advance(words(3)).tolist() == [3]
    assert ledger.totals() == {"a": 103}
    assert ledger.archived() == {"a": 100}


def test_a_successor_over_the_same_words_goes_on() -> None:
    former = Ledger(["a"])
    former.advance(words(100))
    former.advance(words(3))
    successor = Ledger(["a"], former.archived())
    assert successor.advance(words(4)).tolist() == [104]


def test_a_successor_over_a_new_arena_goes_on() -> None:
    former = Ledger(["a"])
    former.advance(words(100))
    successor = Ledger(["a"], former.totals())
    assert successor.advance(words(4)).tolist() == [104]


def test_keys_that_go_and_come_back() -> None:
    ledger = Ledger(["a", "b"])
    ledger.advance(words(10, 20))
    ledger.follow(["a"])
    assert ledger.advance(words(11)).tolist() == [1]
    assert ledger.totals() == {"a": 11, "b": 20}
    ledger.follow(["b", "a", "c"])
    assert ledger.advance(words(1, 11, 5)).tolist() == [1, 0, 5]
    assert ledger.totals() == {"a": 11, "b": 21, "c": 5}


class CountedKey:
    """A key that counts how often any of its kind is hashed."""

    hashed = 0

    def __hash__(self) -> int:
        CountedKey.hashed += 1
        return id(self)


def test_work_grows_with_the_number_of_keys_and_not_with_its_square() -> None:
    keys = [CountedKey() for _ in range(300)]
    CountedKey.hashed = 0
    ledger = Ledger(keys, {keys[0]: 1})
    ledger.follow(keys[100:])
    assert CountedKey.hashed < 20 * len(keys)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["count", "restart", "look", "resize"])), max_size=40))
def test_any_sequence_of_counts_restarts_and_looks(steps: list[tuple[int, str]]) -> None:
    """A restart right after a look loses nothing; what a word counted and lost between two looks nobody can know."""
    keys: list[Hashable] = ["a", "b"]
    live: Counter[Hashable] = Counter()
    counted: Counter[Hashable] = Counter()
    ledger = Ledger(keys)
    told = 0
    for number, step in steps:
        if step == "count":
            for name in keys:
                live[name] += number
                counted[name] += number
        told += int(ledger.advance(words(*(live[name] for name in keys))).sum())
        if step == "restart" and number < len(keys):
            live[keys[number]] = 0
        if step == "resize":
            for name in set(live) - set("abc"[: number + 1]):
                live[name] = 0
            keys = list("abc"[: number + 1])
            ledger.follow(keys)
    assert told == sum(counted.values()) == sum(ledger.totals().values())


def test_what_is_archived_outlives_a_management_as_plain_data() -> None:
    keys = [("engine-0", "vserver.requests", (("vserver", "www"),)), ("engine-1", "vserver.requests", ())]
    ledger = Ledger(keys)
    ledger.advance(np.array([5, 7]))
    assert (ledger.changes, to_plain(ledger.archived())) == (0, [])
    ledger.advance(np.array([2, 8]))
    assert (ledger.changes, to_plain(ledger.archived())) == (1, [[*keys[0], 5]])
    left = json.loads(json.dumps(to_plain(ledger.archived())))  # lists, not tuples, as msgpack gives them
    again = Ledger(keys[1:], from_plain(left))
    again.follow(keys)
    assert again.totals()[keys[0]] == 5
    successor = Ledger(keys, from_plain(left))
    assert successor.advance(np.array([3, 9])).tolist() == [8, 9]
