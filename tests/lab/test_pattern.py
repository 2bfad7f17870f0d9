"""Bodies that both ends can compute."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.lab.pattern import PERIOD, PatternCheck, chunks, patterned


def test_pattern_is_what_the_description_says() -> None:
    assert patterned(7, 100) == hashlib.shake_128(b"7").digest(100)
    assert patterned(7, 3 * PERIOD) == hashlib.shake_128(b"7").digest(PERIOD) * 3


@given(st.integers(0, 300_000), st.integers(0, 70_000))
def test_any_cut_is_part_of_the_whole(offset: int, length: int) -> None:
    whole = hashlib.shake_128(b"3").digest(PERIOD) * 6
    assert patterned(3, length, offset) == whole[offset : offset + length]


@given(st.integers(0, 200_000), st.integers(1, 70_000))
def test_chunks_make_the_whole(length: int, size: int) -> None:
    assert b"".join(chunks(5, length, size)) == patterned(5, length)


@given(st.integers(1, 150_000), st.data())
def test_check_finds_the_first_wrong_byte(length: int, data: st.DataObject) -> None:
    wrong_at = data.draw(st.integers(0, length - 1))
    cut = data.draw(st.integers(0, length))
    body = bytearray(patterned(9, length))
    body[wrong_at] ^= 1
    check = PatternCheck(9)
    for piece in (body[:cut], body[cut:]):
        check.feed(bytes(piece))
    assert (check.wrong_at, check.position) == (wrong_at, length)
