"""Checksums against RFC 1071 in plain Python."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.lab.dry.arena import GuardedBytes
from ncore_ray.lab.dry.packets import internet_checksum, pseudo_header
from ncore_ray.wire.address import mac_of, mac_text, text_of, words_of
from tests.wire.kernels import checksum_of, fold_of, pseudo_sum, updated

GUARDED = GuardedBytes()
words16 = st.integers(0, 0xFFFF)
ipv4s = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
ipv6s = st.integers(0, 2**128 - 1).map(lambda number: str(ipaddress.IPv6Address(number)))


def test_example_of_rfc_1071() -> None:
    assert checksum_of(GUARDED.put(bytes.fromhex("0001f203f4f5f6f7")), 8) == 0xDDF2 ^ 0xFFFF


@pytest.mark.parametrize("length", [*range(70), 1459, 1460, 2047])
def test_every_length_and_place(length: int) -> None:
    for fill in (bytes(length), b"\xff" * length, bytes((7 * i + length) & 0xFF for i in range(length))):
        expected = internet_checksum(fill)
        assert checksum_of(GUARDED.put(fill), length) == expected
        assert checksum_of(GUARDED.put(fill + b"\xee"), length) == expected


@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    assert checksum_of(GUARDED.put(data), len(data)) == internet_checksum(data)


@given(st.binary(min_size=2, max_size=100).filter(lambda data: any(data)))
def test_bytes_with_their_checksum_sum_to_zero(data: bytes) -> None:
    data = data[: len(data) // 2 * 2]
    whole = data + internet_checksum(data).to_bytes(2, "big")
    assert checksum_of(GUARDED.put(whole), len(whole)) == 0


@given(st.integers(0, 2**62))
def test_fold(total: int) -> None:
    folded = fold_of(total)
    assert 0 <= folded <= 0xFFFF
    assert folded % 0xFFFF == total % 0xFFFF
    assert (folded == 0) == (total == 0)


@given(st.lists(words16, min_size=2, max_size=12), st.data(), words16)
def test_incremental_update(words: list[int], data: st.DataObject, value: int) -> None:
    """RFC 1624: as if computed anew. A header is never all zeros, where ones' complement has two zeros."""
    words[0] |= 0x4500
    place = data.draw(st.integers(1, len(words) - 1))
    old = internet_checksum(b"".join(word.to_bytes(2, "big") for word in words))
    changed = [*words[:place], value, *words[place + 1 :]]
    new = internet_checksum(b"".join(word.to_bytes(2, "big") for word in changed))
    assert updated(old, words[place], value) == new


@given(st.one_of(st.tuples(ipv4s, ipv4s), st.tuples(ipv6s, ipv6s)), st.integers(0, 255), words16)
def test_pseudo_header(ends: tuple[str, str], protocol: int, length: int) -> None:
    source, destination = ends
    total = pseudo_sum(*words_of(source), *words_of(destination), protocol, length)
    expected = internet_checksum(pseudo_header(source, destination, protocol, length)) ^ 0xFFFF
    is_mapped = any(ipaddress.ip_address(end).packed[:12] == bytes(10) + b"\xff\xff" for end in ends if ":" in end)
    assert total == expected or is_mapped


@given(st.one_of(ipv4s, ipv6s))
def test_addresses_there_and_back(text: str) -> None:
    high, low = words_of(text)
    assert -(2**63) <= high < 2**63
    assert -(2**63) <= low < 2**63
    mapped_form = ipaddress.ip_address(text)
    if isinstance(mapped_form, ipaddress.IPv6Address) and mapped_form.ipv4_mapped:
        assert text_of(high, low) == str(mapped_form.ipv4_mapped)
    else:
        assert text_of(high, low) == text


@given(st.integers(0, 2**48 - 1))
def test_macs_there_and_back(mac: int) -> None:
    assert mac_of(mac_text(mac)) == mac


@pytest.mark.parametrize("text", ["", "02:00:00:00:00", "02:00:00:00:00:0", "02-00-00-00-00-01", "02:00:00:00:00:0g"])
def test_what_is_no_mac(text: str) -> None:
    with pytest.raises(ValueError):
        mac_of(text)
