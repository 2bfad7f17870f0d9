"""What the load client does: a seeded plan of requests, and how to check the answers."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ncore_ray.lab import pattern
from ncore_ray.lab.http1 import Answer
from ncore_ray.lab.pattern import PatternCheck

SEEDS = 97
"""Bodies come from this many seeds, so that both ends compute each only once."""


class Kind(StrEnum):
    """Classes of requests; latencies are told apart by them."""

    SMALL = "small GET"
    LARGE = "large GET"
    CHUNKED = "chunked GET"
    POST = "POST"
    BODYLESS = "HEAD, 204, 304"
    SINGLE = "one per connection"
    TCP = "raw TCP"


class Role(StrEnum):
    """What one client connection does all its life."""

    KEEP_ALIVE = "keep-alive"
    SINGLE = "single"
    TCP = "tcp"


_WEIGHTS = {Kind.SMALL: 78, Kind.LARGE: 2, Kind.CHUNKED: 6, Kind.POST: 10, Kind.BODYLESS: 4}


@dataclass(frozen=True)
class Request:
    """One HTTP request with everything needed to check its answer."""

    kind: Kind
    method: str
    target: str
    status: int = 200
    body_seed: int = 0
    body_bytes: int = 0
    answer_seed: int | None = None
    answer_bytes: int = 0
    close: bool = False

    def body(self) -> Iterator[bytes]:
        """Yield the request's body."""
        return pattern.chunks(self.body_seed, self.body_bytes)

    def headers(self) -> dict[str, str]:
        """Return the header fields besides Host and Content-Length."""
        return {"Connection": "close"} if self.close else {}


class Planner:
    """Deals out the requests of one client connection; the same seed gives the same requests."""

    def __init__(self, seed: str, largest_bytes: int) -> None:
        self._random = random.Random(seed)
        self._largest = largest_bytes

    def requests_on_connection(self) -> int:
        """After how many requests a keep-alive connection is closed and opened anew."""
        return self._random.randint(20, 400)

    def jitter(self) -> float:
        """Return a factor from 0 to 2, 1 on average, for pauses that do not march in step."""
        return 2 * self._random.random()

    def next(self, role: Role) -> Request:
        """Return the next request of a connection."""
        if role is Role.SINGLE:
            return self._get(Kind.SINGLE, self._random.randint(1, 4000), close=True)
        kind = self._random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if kind is Kind.POST:
            return self._post()
        if kind is Kind.BODYLESS:
            return self._bodyless()
        return self._get(kind, self._length(kind))

    def frames(self) -> list[bytes]:
        """Return the frames of one raw TCP connection: a few small ones, seldom a large one, sometimes an empty one."""
        lengths = [self._random.choice((0, 1, 46, 1460, 9000)) for _ in range(self._random.randint(1, 8))]
        if self._random.random() < 0.1:
            lengths.append(min(self._largest, 300_000))
        return [pattern.patterned(self._random.randrange(SEEDS), length) for length in lengths]

    def _length(self, kind: Kind) -> int:
        if kind is Kind.SMALL:
            return self._random.choice((0, 1, 46, 300, 1400, 1461, 4000))
        if kind is Kind.CHUNKED:
            return self._random.randint(0, min(self._largest, 200_000))
        return self._random.randint(min(self._largest, 64_000), self._largest)

    def _get(self, kind: Kind, length: int, *, close: bool = False) -> Request:
        seed = self._random.randrange(SEEDS)
        chunked = "&chunked=1" if kind is Kind.CHUNKED else ""
        target = f"/bytes/{length}?seed={seed}{chunked}"
        return Request(kind, "GET", target, answer_seed=seed, answer_bytes=length, close=close)

    def _post(self) -> Request:
        seed, back = self._random.randrange(SEEDS), self._random.random() < 0.5
        length = self._random.choice((1, 500, 3000, 20_000, min(self._largest, 150_000)))
        answer = (seed, length) if back else (None, 0)
        target = "/echo?back=1" if back else "/echo"
        return Request(Kind.POST, "POST", target, 200, seed, length, *answer)

    def _bodyless(self) -> Request:
        status = self._random.choice((200, 204, 304))
        if status == 200:
            return Request(Kind.BODYLESS, "HEAD", "/bytes/5000?seed=1")
        return Request(Kind.BODYLESS, "GET", f"/status/{status}", status)


class AnswerCheck:
    """Takes the body of one answer and says what is wrong with it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._pattern = PatternCheck(request.answer_seed) if request.answer_seed is not None else None
        self._text = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        if self._pattern:
            self._pattern.feed(piece)
        else:
            self._text += piece

    def verdict(self, answer: Answer) -> str | None:
        """Return the reason of a failure, None when every byte is right."""
        wanted = self._request
        if answer.status != wanted.status:
            return f"status {answer.status} instead of {wanted.status}"
        if wanted.method == "POST" and self._pattern is None:
            return self._digest_verdict()
        if self._pattern and self._pattern.wrong_at is not None:
            return f"body differs from offset {self._pattern.wrong_at} on"
        received = self._pattern.position if self._pattern else len(self._text)
        if received != wanted.answer_bytes:
            return f"body of {received} instead of {wanted.answer_bytes} bytes"
        return None

    def _digest_verdict(self) -> str | None:
        body = pattern.patterned(self._request.body_seed, self._request.body_bytes)
        wanted = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        try:
            told = json.loads(bytes(self._text))
        except ValueError:
            return "the answer to POST is not JSON"
        return None if told == wanted else "the server got another body"
