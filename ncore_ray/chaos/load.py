"""The checking load of `ncore chaos`: ``python -m ncore_ray.chaos.load --url http://10.1.0.100/file --clients 200``.

Each client downloads a file again and again, and compares every byte with what the first download gave (length and
SHA-256). On standard output: the line ``{"type": "ready", …}`` when the files are known, ``progress`` lines, and a
``report`` with every download at the end, which comes when the time is over or standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ncore_ray.chaos.record import LEAST_GAP_S, Download
from ncore_ray.lab.http1 import AnswerError, ClosedBeforeAnswerError, Connection
from ncore_ray.lab.namespace import Namespace

_PROGRESS_S: Final = 0.5
_BROKEN: Final = (AnswerError, ClosedBeforeAnswerError, asyncio.IncompleteReadError, OSError, TimeoutError)


@dataclass(frozen=True)
class File:
    """What a URL gives."""

    length: int
    digest: bytes


@dataclass(frozen=True)
class Options:
    """The command line."""

    urls: tuple[str, ...]
    clients: int = 200
    seconds: float = 60.0
    rate: float = 0.0
    """Downloads per second of all clients together; 0: as fast as they can."""
    requests_per_connection: int = 4
    timeout_s: float = 30.0


class Watch:
    """Takes the bytes of one answer: digest, length, and the times at which none came."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._digest = hashlib.sha256()
        self._last = download.began_at

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        self.pause(time.monotonic())
        self._download.received += len(piece)
        self._digest.update(piece)

    def pause(self, now: float) -> None:
        """Note the time since the last bytes, if it is worth it."""
        if now - self._last >= LEAST_GAP_S:
            self._download.gaps.append((self._last, now - self._last))
        self._last = now

    def file(self) -> File:
        """Return what came."""
        return File(self._download.received, self._digest.digest())


class Load:
    """All clients together."""

    def __init__(self, options: Options, tell: Callable[[dict[str, Any]], None]) -> None:
        self._options = options
        self._tell = tell
        self._files: dict[str, File] = {}
        self._ended = asyncio.Event()
        self._next_at = 0.0
        self.downloads: list[Download] = []

    async def run(self) -> None:
        """Learn the files, then load until the time is over."""
        for url in self._options.urls:
            self._files[url] = await self._learn(url)
        self._tell({"type": "ready", "files": {url: file.length for url, file in self._files.items()}})
        clients = [asyncio.ensure_future(self._client(number)) for number in range(self._options.clients)]
        telling = asyncio.ensure_future(self._tell_progress())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), self._options.seconds)
        self._ended.set()
        await asyncio.gather(*clients)
        telling.cancel()

    def end(self) -> None:
        """Begin nothing more."""
        self._ended.set()

    async def _learn(self, url: str) -> File:
        download = Download(url, "", time.monotonic())
        connection = await self._connect(url)
        watch = Watch(download)
        answer = await connection.request("GET", _target(url), sink=watch.feed)
        connection.close()
        if answer.status != 200:
            raise AnswerError(f"{url} gives status {answer.status}")
        return watch.file()

    async def _tell_progress(self) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_S)
            failed = sum(bool(one.failure) and not one.again for one in self.downloads)
            self._tell({"type": "progress", "downloads": len(self.downloads), "failed": failed})

    async def _client(self, number: int) -> None:
        url = self._options.urls[number % len(self._options.urls)]
        while not self._ended.is_set():
            await self._take_turn()
            connection = await self._open(url)
            if connection is None:
                await asyncio.sleep(0.1)
                continue
            with contextlib.closing(connection):
                for _ in range(self._options.requests_per_connection):
                    if not await self._download(url, connection) or self._ended.is_set():
                        break
                    await self._take_turn()

    async def _take_turn(self) -> None:
        """Wait until the rate allows another download."""
        if not self._options.rate:
            return
        now = time.monotonic()
        self._next_at = max(self._next_at + 1 / self._options.rate, now)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), max(self._next_at - now, 0.0))

    async def _connect(self, url: str) -> Connection:
        parts = urlsplit(url)
        async with asyncio.timeout(self._options.timeout_s):
            return Connection(*await asyncio.open_connection(parts.hostname, parts.port or 80))

    async def _open(self, url: str) -> Connection | None:
        began_at = time.monotonic()
        try:
            return await self._connect(url)
        except OSError as error:  # TimeoutError is one
            now = time.monotonic()
            failure = f"cannot connect: {type(error).__name__}"
            self.downloads.append(Download(url, "", began_at, now, failure=failure))
            return None

    async def _download(self, url: str, connection: Connection) -> bool:
        """Make one request and judge the answer; return whether the connection can be used again."""
        download = Download(url, "{}:{}".format(*connection.local), time.monotonic())
        watch, keeps = Watch(download), False
        try:
            async with asyncio.timeout(self._options.timeout_s):
                answer = await connection.request("GET", _target(url), sink=watch.feed)
            keeps = answer.keeps_alive
            if answer.status != 200:
                download.failure = f"status {answer.status}"
            elif watch.file() != self._files[url]:
                download.failure, download.is_wrong = "other bytes than those of the file", True
        except _BROKEN as error:
            idle = isinstance(error, ClosedBeforeAnswerError | ConnectionError) and not download.received
            download.again = idle and connection.requests > 1
            download.failure = f"{type(error).__name__} after {download.received} bytes"
        download.ended_at = time.monotonic()
        watch.pause(download.ended_at)
        self.downloads.append(download)
        return keeps and not download.failure


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def read_options(arguments: list[str] | None = None) -> tuple[Options, str | None]:
    """Return the options of a command line, and the network namespace to enter."""
    default = Options(())
    parser = argparse.ArgumentParser(description="Checking load of ncore chaos.")
    parser.add_argument("--url", action="append", required=True, help="what to download; may be repeated")
    parser.add_argument("--clients", type=int, default=default.clients)
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--rate", type=float, default=default.rate)
    parser.add_argument("--netns", help="network namespace to work in")
    found = parser.parse_args(arguments)
    return Options(tuple(found.url), found.clients, found.seconds, found.rate), found.netns


async def _serve(options: Options) -> Load:
    load = Load(options, lambda line: print(json.dumps(line), flush=True))
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 64) else _end(loop, load))
    await load.run()
    return load


def _end(loop: asyncio.AbstractEventLoop, load: Load) -> None:
    loop.remove_reader(sys.stdin.fileno())
    load.end()


def main() -> int:
    """Run the load of the command line; 1 when nothing can be loaded."""
    options, netns = read_options()

    def work() -> Load:
        return asyncio.run(_serve(options))

    try:
        load = Namespace(netns).call(work) if netns else work()
    except _BROKEN as error:
        print(json.dumps({"type": "error", "text": str(error) or type(error).__name__}), flush=True)
        return 1
    print(json.dumps({"type": "report", "downloads": [one.plain() for one in load.downloads]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
