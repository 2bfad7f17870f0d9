"""Capture files: right ones of every kind, and clear words about wrong ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.nic.capture import CaptureWriter, read_capture
from ncore_ray.nic.driver import NicError

US, NS = 0xA1B2C3D4, 0xA1B23C4D


def capture(order: str, magic: int, fraction: int, link: int = 1) -> bytes:
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65_535, link)
    return head + struct.pack(order + "IIII", 7, fraction, 5, 99) + b"hello"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "fraction"), [(US, 123_456), (NS, 123_456_999)])
def test_byte_orders_and_units(tmp_path: Path, order: str, magic: int, fraction: int) -> None:
    path = tmp_path / "in.pcap"
    path.write_bytes(capture(order, magic, fraction))
    assert read_capture(path) == [(7_123_456, b"hello", 99)]


def wrong_files() -> dict[str, tuple[bytes, str]]:
    good = capture("<", US, 0)
    return {
        "empty": (b"", "is not a pcap capture file"),
        "junk": (b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", "is not a pcap capture file"),
        "pcapng": (b"\x0a\x0d\x0d\x0a" + bytes(40), "is pcapng; convert it"),
        "loopback": (capture("<", US, 0, link=113), "not of Ethernet but of link type 113"),
        "cut in a header": (good[:30], "ends within a packet header at byte 24"),
        "cut in a packet": (good[:-1], "is damaged or cut: a packet of 5 bytes at byte 40"),
        "huge packet": (good[:32] + b"\xff" * 4 + good[36:], "is damaged or cut"),
        "head only half": (good[:20], "is not a pcap capture file"),
    }


@pytest.mark.parametrize("name", wrong_files())
def test_wrong_files_are_named(tmp_path: Path, name: str) -> None:
    content, message = wrong_files()[name]
    path = tmp_path / "wrong.pcap"
    path.write_bytes(content)
    with pytest.raises(NicError) as error:
        read_capture(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(NicError, match=r"none\.pcap cannot be read: No such file"):
        read_capture(tmp_path / "none.pcap")
    with pytest.raises(NicError, match="cannot be written"):
        CaptureWriter(tmp_path / "no folder" / "out.pcap")


packets = st.lists(st.tuples(st.integers(0, (1 << 32) * 1_000_000 - 1), st.binary(max_size=2_048)), max_size=20)


@given(packets=packets)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, packets: list[tuple[int, bytes]]) -> None:
    path = tmp_path_factory.mktemp("capture") / "out.pcap"
    with CaptureWriter(path) as writer:
        for at_us, data in packets:
            writer.write(at_us, data)
    assert read_capture(path) == [(at_us, data, len(data)) for at_us, data in packets]


@given(junk=st.binary(max_size=200))
def test_no_junk_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "junk.pcap"
    path.write_bytes(capture("<", US, 0) + junk)
    try:
        packets = read_capture(path)
    except NicError as error:
        message = str(error)
    else:
        message = f"{path} {packets[0].data!r}"
    assert str(path) in message
