"""The raw TCP echo: length-prefixed frames that come back as they were, and a summary after the half-close.

Client to server: frames of a 32-bit big-endian length and that many bytes; then the client closes its direction.
Server to client: every frame again, streamed while it arrives; after the client's FIN one summary frame: the length
word ``0xFFFFFFFF``, a 32-bit length, and JSON (``name``, ``frames``, ``bytes``, ``sha256`` of all payload received,
``peer``: whom the server sees at the other end); then the server closes. So a client sees byte-exactness of both
directions, who served it, and that data still flows after its own FIN. Both sides must read while they write: the echo
of a long frame begins before its end was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

SUMMARY_MARK = 0xFFFF_FFFF
_LENGTH = struct.Struct("!I")
_PIECE = 65536
_LARGEST_SUMMARY = 4096


class RawCounts(Protocol):
    """Where the service counts."""

    tcp_connections: int
    tcp_bytes: int
    udp_datagrams: int


def peer_text(transport: asyncio.BaseTransport | None) -> str:
    """Return the other end of a connection as ``10.2.0.10:16387``, or nothing when it is gone."""
    peer = transport.get_extra_info("peername") if transport else None
    return f"{peer[0]}:{peer[1]}" if peer else ""


class RawService:
    """The server's side."""

    def __init__(self, name: str, counts: RawCounts) -> None:
        self._name = name
        self._counts = counts

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; a peer that breaks off in the middle is let go silently."""
        self._counts.tcp_connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._echo_frames(reader, writer)
        writer.close()

    async def _echo_frames(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        digest, frames, total = hashlib.sha256(), 0, 0
        while prefix := await _prefix_or_end(reader):
            writer.write(prefix)
            left = int(_LENGTH.unpack(prefix)[0])
            frames, total = frames + 1, total + left
            while left:
                piece = await _some(reader, left)
                digest.update(piece)
                writer.write(piece)
                await writer.drain()
                left -= len(piece)
                self._counts.tcp_bytes += len(piece)
        facts = {"name": self._name, "frames": frames, "bytes": total, "sha256": digest.hexdigest()}
        facts["peer"] = peer_text(writer.transport)
        text = json.dumps(facts).encode()
        writer.write(_LENGTH.pack(SUMMARY_MARK) + _LENGTH.pack(len(text)) + text)
        await writer.drain()


class UdpEcho(asyncio.DatagramProtocol):
    """Sends every datagram back to its sender."""

    def __init__(self, counts: RawCounts) -> None:
        self._counts = counts

    def connection_made(self, transport: Any) -> None:
        """Keep the transport to answer with."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Echo."""
        self._counts.udp_datagrams += 1
        self._transport.sendto(data, addr)


@dataclass(frozen=True)
class Summary:
    """What the server says at the end."""

    name: str
    frames: int
    bytes: int
    sha256: str
    peer: str = field(default="", compare=False)


async def _prefix_or_end(reader: asyncio.StreamReader) -> bytes:
    """Return the next length word, or nothing at an orderly end."""
    try:
        return await reader.readexactly(_LENGTH.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


async def _some(reader: asyncio.StreamReader, most: int) -> bytes:
    piece = await reader.read(min(most, _PIECE))
    if not piece:
        raise asyncio.IncompleteReadError(b"", most)
    return piece


async def send_frames(writer: asyncio.StreamWriter, frames: Iterable[bytes]) -> None:
    """Client's side: send frames, then close this direction."""
    for frame in frames:
        writer.write(_LENGTH.pack(len(frame)))
        for start in range(0, len(frame), _PIECE):
            writer.write(frame[start : start + _PIECE])
            await writer.drain()
    writer.write_eof()


async def receive_echo(reader: asyncio.StreamReader) -> tuple[list[bytes], Summary]:
    """Client's side: read frames up to the summary and the end of the stream.

    Raises asyncio.IncompleteReadError when the stream ends early, ValueError when it is not as described above.
    """
    frames: list[bytes] = []
    while (length := int(_LENGTH.unpack(await reader.readexactly(4))[0])) != SUMMARY_MARK:
        frames.append(await reader.readexactly(length))
    size = int(_LENGTH.unpack(await reader.readexactly(4))[0])
    if size > _LARGEST_SUMMARY:
        raise ValueError(f"summary of {size} bytes")
    summary = Summary(**json.loads(await reader.readexactly(size)))
    if await reader.read(1):
        raise ValueError("bytes after the summary")
    return frames, summary
