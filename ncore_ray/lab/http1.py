"""A small strict HTTP/1.1 client connection, for checking others: what RFC 9112 does not allow is an error."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_PIECE = 65536
_BODYLESS = frozenset({204, 304})

Endpoint = tuple[str, int]


class AnswerError(Exception):
    """The answer is not what HTTP allows."""


class ClosedBeforeAnswerError(Exception):
    """The peer closed the connection before the first byte of an answer."""


@dataclass
class Answer:
    """Status line and header fields; names in lower case, of repeated ones the last."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body_bytes: int = 0

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may be used again."""
        return self.headers.get("connection", "").lower() != "close"


class Connection:
    """One client connection. Requests go one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.local: Endpoint = writer.get_extra_info("sockname")[:2]
        self.remote: Endpoint = writer.get_extra_info("peername")[:2]
        self._host = self.remote[0] if self.remote[1] == 80 else f"{self.remote[0]}:{self.remote[1]}"
        self.requests = 0
        self.upstreams: set[str] = set()
        """From where the origin servers saw its requests come (their ``Server-Peer``)."""
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def request(
        self,
        method: str,
        target: str,
        *,
        sink: Callable[[bytes], None],
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] = (),
        body_bytes: int = 0,
    ) -> Answer:
        """Send one request and read its answer; the body's pieces go to ``sink``.

        Raises AnswerError, ClosedBeforeAnswerError, asyncio.IncompleteReadError (cut off within), OSError.
        """
        fields = {"Host": self._host, **(headers or {})}
        if body_bytes:
            fields["Content-Length"] = str(body_bytes)
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.requests += 1
        sending = asyncio.ensure_future(self._send("\r\n".join(lines).encode() + b"\r\n\r\n", body))
        try:
            answer = await self._read_head()
            self.upstreams.add(answer.headers.get("server-peer", ""))
            answer.body_bytes = await self._read_body(method, answer, sink)
            await sending
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await sending
        return answer

    async def finish(self, timeout_s: float = 5.0) -> None:
        """Close our direction, and see the peer close too. Raises AnswerError when more bytes come, TimeoutError."""
        self._writer.write_eof()
        async with asyncio.timeout(timeout_s):
            if await self._reader.read(1):
                raise AnswerError("bytes after the last answer")
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()

    async def _send(self, head: bytes, body: Iterable[bytes]) -> None:
        self._writer.write(head)
        for piece in body:
            self._writer.write(piece)
            await self._writer.drain()

    async def _read_head(self) -> Answer:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            raise ClosedBeforeAnswerError from None
        except asyncio.LimitOverrunError:
            raise AnswerError("answer's head is too long") from None
        return parse_head(head)

    async def _read_body(self, method: str, answer: Answer, sink: Callable[[bytes], None]) -> int:
        if method == "HEAD" or answer.status in _BODYLESS:
            return 0
        if "transfer-encoding" in answer.headers:
            return await self._read_chunks(answer, sink)
        if "content-length" in answer.headers:
            return await self._read_exactly(int(answer.headers["content-length"]), sink)
        return await self._read_to_end(sink)

    async def _read_exactly(self, length: int, sink: Callable[[bytes], None]) -> int:
        left = length
        while left:
            piece = await self._reader.read(min(left, _PIECE))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            sink(piece)
            left -= len(piece)
        return length

    async def _read_to_end(self, sink: Callable[[bytes], None]) -> int:
        total = 0
        while piece := await self._reader.read(_PIECE):
            sink(piece)
            total += len(piece)
        return total

    async def _read_chunks(self, answer: Answer, sink: Callable[[bytes], None]) -> int:
        if answer.headers["transfer-encoding"].lower() != "chunked" or "content-length" in answer.headers:
            raise AnswerError("Transfer-Encoding is not just 'chunked', or comes with Content-Length")
        total = 0
        while size := _chunk_size(await self._reader.readuntil(b"\r\n")):
            total += await self._read_exactly(size, sink)
            if await self._reader.readexactly(2) != b"\r\n":
                raise AnswerError("chunk does not end with CR LF")
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailer fields
        return total


def _chunk_size(line: bytes) -> int:
    digits = line[:-2].partition(b";")[0].strip(b" \t")
    if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
        raise AnswerError(f"chunk size {line[:40]!r}")
    return int(digits, 16)


def parse_head(head: bytes) -> Answer:
    """Return the answer described by its head (with the empty line). Raises AnswerError."""
    status_line, *lines = head[:-4].decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
        raise AnswerError(f"status line {status_line[:60]!r}")
    answer = Answer(int(rest[:3]))
    if version == "HTTP/1.0":
        answer.headers["connection"] = "close"
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise AnswerError(f"header line {line[:60]!r}")
        if name.lower() == "content-length" and not value.strip().isdigit():
            raise AnswerError(f"Content-Length {value[:30]!r}")
        answer.headers[name.lower()] = value.strip()
    return answer
