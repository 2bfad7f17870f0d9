"""A server for uploads: it reads each body, throws it away, and answers 200 when all of it has come."""

from __future__ import annotations

import re
import socketserver
from typing import Final

_LENGTH: Final = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_END: Final = b"\r\n\r\n"
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_ROOM: Final = 1 << 20


def body_length(head: bytes) -> int:
    """Return the Content-Length of a request's head, 0 when it has none."""
    found = _LENGTH.search(head)
    return int(found.group(1)) if found else 0


class _Upload(socketserver.BaseRequestHandler):
    """One connection with requests one after the other."""

    def handle(self) -> None:
        """Answer until the client closes."""
        room = memoryview(bytearray(_ROOM))
        rest = b""
        try:
            while (split := self._head(rest)) is not None:
                head, rest = split
                rest = self._skip(rest, body_length(head), room)
                self.request.sendall(_ANSWER)
        except ConnectionError:
            return

    def _head(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return a head and what came behind it; None at the end of the connection."""
        while _END not in data:
            more = self.request.recv(65_536)
            if not more:
                return None
            data += more
        head, _, rest = data.partition(_END)
        return head, rest

    def _skip(self, came: bytes, length: int, room: memoryview) -> bytes:
        """Throw a body away of which some came already; return what belongs to the next request."""
        left = length - len(came)
        while left > 0:
            count = self.request.recv_into(room, min(left, _ROOM))
            if not count:
                raise ConnectionResetError("the client left in the middle of a body")
            left -= count
        return came[length:]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024


def serve(address: str, port: int) -> None:
    """Serve until this process ends. Raises OSError when the port cannot be had."""
    with _Server((address, port), _Upload) as server:
        server.serve_forever()
