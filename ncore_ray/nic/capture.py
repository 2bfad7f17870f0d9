"""Capture files in the classic pcap format (draft-ietf-opsawg-pcap)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from ncore_ray.nic.driver import NicError

_MICROSECONDS: Final = 0xA1B2_C3D4
_NANOSECONDS: Final = 0xA1B2_3C4D
_PCAPNG: Final = b"\x0a\x0d\x0d\x0a"
_LINKTYPE_ETHERNET: Final = 1
_SNAPLEN: Final = 262_144
_FILE_HEADER: Final = 24
_PACKET_HEADER: Final = 16


class Captured(NamedTuple):
    """One packet of a capture: when (µs), its bytes, and how long it was on the wire."""

    at_us: int
    data: bytes
    length: int


def read_capture(path: Path | str) -> list[Captured]:
    """Return the packets of an Ethernet capture, of either byte order, with times in µs or ns.

    Raises:
        NicError: no such file, another format, or damaged; the text names the file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise NicError(f"capture file {path} cannot be read: {error.strerror}") from error
    return list(_packets(path, data))


def _packets(path: Path | str, data: bytes) -> Iterator[Captured]:
    order, divisor = _format(path, data)
    place = _FILE_HEADER
    while place < len(data):
        if place + _PACKET_HEADER > len(data):
            raise NicError(f"capture file {path} ends within a packet header at byte {place}")
        seconds, fraction, included, length = struct.unpack_from(order + "IIII", data, place)
        place += _PACKET_HEADER
        if included > _SNAPLEN or place + included > len(data):
            raise NicError(f"capture file {path} is damaged or cut: a packet of {included} bytes at byte {place}")
        yield Captured(seconds * 1_000_000 + fraction // divisor, data[place : place + included], length)
        place += included


def _format(path: Path | str, data: bytes) -> tuple[str, int]:
    """Return the byte order for ``struct`` and the units of a fraction in a µs."""
    if data.startswith(_PCAPNG):
        raise NicError(f"capture file {path} is pcapng; convert it: editcap -F pcap {path} new.pcap")
    for order in "<>":
        if len(data) < _FILE_HEADER:
            break
        magic, _, _, _, _, _, link = struct.unpack_from(order + "IHHiIII", data)
        if magic in (_MICROSECONDS, _NANOSECONDS):
            if link & 0xFFFF != _LINKTYPE_ETHERNET:
                raise NicError(f"capture file {path} is not of Ethernet but of link type {link & 0xFFFF}")
            return order, 1 if magic == _MICROSECONDS else 1_000
    raise NicError(f"{path} is not a pcap capture file")


class CaptureWriter:
    """A capture file that grows: little-endian, times in µs, Ethernet."""

    def __init__(self, path: Path | str) -> None:
        """Make the file, or empty it. Raises NicError."""
        try:
            self._file = Path(path).open("wb")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise NicError(f"capture file {path} cannot be written: {error.strerror}") from error
        self._file.write(struct.pack("<IHHiIII", _MICROSECONDS, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_ETHERNET))

    def write(self, at_us: int, data: bytes) -> None:
        """Append a packet that was seen at a time in µs since 1970."""
        header = struct.pack("<IIII", at_us // 1_000_000, at_us % 1_000_000, len(data), len(data))
        self._file.write(header + data)

    def flush(self) -> None:
        """Let other programs see what was written."""
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
