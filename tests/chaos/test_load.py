"""The checking load finds what is wrong with the answers of a made-up server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ncore_ray.chaos.load import Load, Options
from ncore_ray.chaos.record import Download

BODY = bytes(range(256)) * 40
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)


def load(answer: Callable[[int], bytes], downloads: int = 6) -> list[Download]:
    """Let one client load until it has so many downloads; ``answer`` is called with the number of each request."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.readline():
            while await reader.readline() not in (b"\r\n", b""):
                pass
            asked += 1
            writer.write(found := answer(asked - 1))
            if len(found) != len(HEAD) + len(BODY):
                break
        writer.close()

    async def run() -> list[Download]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        told: list[dict[str, Any]] = []
        one = Load(Options((f"http://127.0.0.1:{port}/file?x=1",), clients=1, seconds=20.0), told.append)
        running = asyncio.ensure_future(one.run())
        while len(one.downloads) < downloads:
            await asyncio.sleep(0)
        one.end()
        await running
        server.close()
        assert told[0]["files"] == {f"http://127.0.0.1:{port}/file?x=1": len(BODY)}
        return one.downloads

    return asyncio.run(run())


def test_what_is_right() -> None:
    found = load(lambda number: HEAD + BODY)
    assert all(not one.failure and one.received == len(BODY) for one in found)
    assert found[0].local.startswith("127.0.0.1:")


def test_another_byte() -> None:
    found = load(lambda number: HEAD + (BODY if number != 2 else BODY[:-1] + b"?"))
    assert [one.is_wrong for one in found[:4]] == [False, True, False, False]


def test_an_answer_that_is_cut_off() -> None:
    found = load(lambda number: HEAD + (BODY if number != 2 else BODY[:1000]))
    assert [(one.received, bool(one.failure), one.again) for one in found[:3]] == [
        (len(BODY), False, False),
        (1000, True, False),
        (len(BODY), False, False),
    ]


def test_an_idle_connection_that_is_closed_is_asked_again() -> None:
    found = load(lambda number: HEAD + BODY if number != 2 else b"")
    assert [(one.again, bool(one.failure)) for one in found[:3]] == [(False, False), (True, True), (False, False)]


def test_an_answer_with_another_status() -> None:
    bad = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    assert load(lambda number: HEAD + BODY if number != 1 else bad)[0].failure == "status 503"
