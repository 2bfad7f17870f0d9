from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ncore_ray.engine.http.message.errors import REASONS, error_responses
from ncore_ray.engine.http.message.known import TEXTS, Known
from tests.engine.http.message.http_kit import KIT


def halves(address: str) -> tuple[int, int]:
    """Return the two signed words of an address, IPv4 as IPv4-mapped."""
    parsed = ipaddress.ip_address(address)
    packed = parsed.packed if parsed.version == 6 else b"\0" * 10 + b"\xff\xff" + parsed.packed
    return int.from_bytes(packed[:8], "big", signed=True), int.from_bytes(packed[8:], "big", signed=True)


@pytest.mark.parametrize("text", ["0.0.0.0", "255.255.255.255", "10.1.0.100", "1.22.99.100", "192.168.1.10"])
def test_ipv4_address(text: str) -> None:
    assert KIT.address_text(*halves(text)) == text.encode()


# RFC 5952 §4
@pytest.mark.parametrize(
    "text",
    [
        "::",
        "::1",
        "1::",
        "2001:db8::1",
        "2001:db8:0:1:1:1:1:1",
        "2001:0:0:1::1",
        "2001:db8::1:0:0:1",
        "::ffff:0:1:2",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "8000::8000:0:0:a",
        "1:2:3:4:5:6::",
        "::3:4:5:6:7:8",
        "0:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:0",
    ],
)
def test_ipv6_address(text: str) -> None:
    assert KIT.address_text(*halves(text)) == text.encode()


@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xA0, 0xFFFF, 0x1234]), min_size=8, max_size=8))
@example([0, 0, 0, 0, 0, 0xFFFF, 0x0A01, 0x0064])
def test_any_address_is_written_as_the_standard_library_writes_it(groups: list[int]) -> None:
    address = ipaddress.IPv6Address(b"".join(group.to_bytes(2, "big") for group in groups))
    expected = address.ipv4_mapped or address
    assert KIT.address_text(*halves(str(address))) == str(expected).encode()


@pytest.mark.parametrize("known", list(TEXTS))
def test_known_word(known: Known) -> None:
    text = TEXTS[known]
    for word in (text, text.upper(), text.title()):
        assert KIT.known(word.encode()) == known
    for word in (text[:-1], text[1:], text + "s", text.replace("e", "3"), "x" * len(text), text + "-" * 8):
        assert word == text or KIT.known(word.encode()) == Known.OTHER
    for place in range(len(text)):
        changed = text[:place] + "q" + text[place + 1 :]
        assert KIT.known(changed.encode()) == Known.OTHER


@given(st.text("abcdefghijklmnopqrstuvwxyz-_^0123456789", min_size=1, max_size=40))
def test_other_word(word: str) -> None:
    expected = {text: known for known, text in TEXTS.items()}.get(word, Known.OTHER)
    assert KIT.known(word.encode()) == expected


def test_error_responses_are_complete_messages() -> None:
    responses = error_responses()
    assert set(responses) == {400, 408, 413, 414, 417, 431, 501, 502, 503, 504, 505}
    for status, (message, head_length) in responses.items():
        parsed = KIT.response(message[:head_length])
        assert (parsed.status, parsed.head["status"], parsed.head["close"]) == (0, status, 1)
        assert parsed.span("reason").decode() == REASONS[status]
        assert parsed.head["content_length"] == len(message) - head_length
        assert KIT.scan([message]) == head_length
