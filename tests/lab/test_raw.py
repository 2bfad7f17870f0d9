"""The raw echo with its half-close."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from ncore_ray.lab import raw
from ncore_ray.lab.origin import Counts
from ncore_ray.lab.pattern import patterned


async def echo(frames: list[bytes]) -> tuple[list[bytes], raw.Summary, Counts]:
    counts = Counts("db1")
    service = raw.RawService("db1", counts)
    async with await asyncio.start_server(service.connection, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        _, (back, summary) = await asyncio.gather(raw.send_frames(writer, frames), raw.receive_echo(reader))
        writer.close()
    return back, summary, counts


@pytest.mark.parametrize("lengths", [[], [0], [1, 0, 70_000], [1_000_000]])
def test_frames_come_back_and_the_summary_follows_the_half_close(lengths: list[int]) -> None:
    frames = [patterned(n, length) for n, length in enumerate(lengths)]
    back, summary, counts = asyncio.run(echo(frames))
    whole = b"".join(frames)
    assert back == frames
    assert summary == raw.Summary("db1", len(frames), len(whole), hashlib.sha256(whole).hexdigest())
    assert (counts.tcp_connections, counts.tcp_bytes) == (1, len(whole))
