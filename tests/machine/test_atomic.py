"""Atomic words: their results, and additions by two threads at once."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ncore_ray.machine.atomic import (
    compare_exchange,
    fence,
    fetch_add,
    load_acquire,
    load_acquire32,
    store_release,
    store_release32,
)
from ncore_ray.machine.jit import JIT, entry_kernel


@entry_kernel
def use_each(words: int, results: int) -> int:
    """Use every operation on the words at an address and leave what they return."""
    store_release(words, -5)
    store_release(results, load_acquire(words))
    store_release(results + 8, fetch_add(words, 7))
    store_release(results + 16, compare_exchange(words, 2, 9))
    store_release(results + 24, compare_exchange(words, 2, 11))
    store_release32(words + 12, 0x1_FFFF_FFFE)
    store_release(results + 32, load_acquire32(words + 12))
    fence()
    return load_acquire(words)


@entry_kernel
def add_often(word: int, count: int) -> int:
    """Add 1 to a word many times."""
    for _ in range(count):
        fetch_add(word, 1)
    return 0


@entry_kernel
def exchange_often(word: int, count: int) -> int:
    """Add 1 to a word many times with compare-and-exchange; return how often another was faster."""
    lost = 0
    for _ in range(count):
        while not compare_exchange(word, load_acquire(word), load_acquire(word) + 1):
            lost += 1
    return lost


def test_results() -> None:
    words, results = np.zeros(2, np.int64), np.zeros(5, np.int64)
    assert use_each(words.ctypes.data, results.ctypes.data) == 9
    assert results.tolist() == [-5, -5, 1, 0, 0xFFFF_FFFE]
    assert words.view(np.uint32).tolist() == [9, 0, 0, 0xFFFF_FFFE]


@pytest.mark.skipif(not JIT, reason="plain Python's stand-ins are not atomic")
def test_two_threads_lose_no_addition() -> None:
    word = np.zeros(1, np.int64)
    count = 300_000
    add_often(word.ctypes.data, 0)
    threads = [threading.Thread(target=add_often, args=(word.ctypes.data, count)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert word[0] == 2 * count


def test_compare_exchange_counts() -> None:
    word = np.zeros(1, np.int64)
    assert exchange_often(word.ctypes.data, 1_000) == 0
    assert word[0] == 1_000
