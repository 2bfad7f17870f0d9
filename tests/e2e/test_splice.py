"""A TCP vServer that splices: the kernel's stacks at both ends, with SACK, timestamps and large segments."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
from collections.abc import Callable, Iterator

import aiohttp
import pytest

from ncore_ray.lab import raw
from ncore_ray.lab.offload import KERNEL_DEFAULT, NO_LARGE_FRAMES, Offloads
from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.process import find_program, python_module
from tests.e2e.bed import Bed

LENGTH = 20_000_000
needs_curl = pytest.mark.skipif(find_program("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def vip(bed: Bed) -> Iterator[str]:
    """The address of two spliced vServers: one for HTTP servers, one for raw streams."""
    address = bed.new_vip()
    with bed.changed(
        f"add vserver spliced address={address}:80 protocol=TCP mode=splice services=web1,web2",
        f"add vserver spliced-raw address={address}:9000 protocol=TCP mode=splice services=raw1,raw2",
    ):
        bed.site.wait_until_up()
        yield address


def _count(bed: Bed, name: str) -> int:
    engines = (numbers for actor, numbers in bed.site.stat()["actors"].items() if actor.startswith("engine-"))
    return sum(int(numbers[name]) for numbers in engines)


@needs_curl
@pytest.mark.parametrize("offloads", [NO_LARGE_FRAMES, KERNEL_DEFAULT], ids=["full size", "large"])
def test_download_and_upload_are_byte_exact(bed: Bed, vip: str, offloads: Offloads) -> None:
    hosts = [bed.client, *bed.network.servers]
    before = _count(bed, "spliced_segments")
    for host in hosts:
        host.set_offloads("eth0", offloads)
    try:
        reply = bed.curl(f"http://{vip}/bytes/{LENGTH}?seed=3")
        assert hashlib.sha256(reply.body).digest() == hashlib.sha256(patterned(3, LENGTH)).digest()
        source = bed.folder / "spliced"
        source.write_bytes(patterned(4, LENGTH))
        answer = json.loads(bed.curl("--data-binary", f"@{source}", f"http://{vip}/echo").body)
        assert answer["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    finally:
        for host in hosts:
            host.set_offloads("eth0", NO_LARGE_FRAMES)
    assert _count(bed, "spliced_segments") - before > 200


@needs_curl
def test_small_pages_and_kept_connections(bed: Bed, vip: str) -> None:
    before = _count(bed, "spliced_connections")
    reply = bed.curl(f"http://{vip}/bytes/10", f"-o{bed.folder / 'kept'}", f"http://{vip}/bytes/20")
    assert (reply.status, reply.figures["connects"]) == (200, "0")
    assert _count(bed, "spliced_connections") == before + 1


def test_many_streams_at_once(bed: Bed, vip: str) -> None:
    frames = [[patterned(n, 10_000 + n)] for n in range(40)]

    async def one(connection: socket.socket, each: list[bytes]) -> list[bytes]:
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        _, (back, _) = await asyncio.gather(raw.send_frames(writer, each), raw.receive_echo(reader))
        writer.close()
        return back

    async def all_of_them() -> list[list[bytes]]:
        return await asyncio.gather(*(one(bed.connect(9000, vip), each) for each in frames))

    assert asyncio.run(all_of_them()) == frames


def test_reset_of_a_client_ends_both_sides(bed: Bed, vip: str) -> None:
    connection = bed.connect(9000, vip)
    connection.sendall(struct.pack("!I", 100) + b"x" * 50)
    bed.wait(lambda: _live(bed) >= 2, "the pair is there")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    bed.wait(lambda: _live(bed) == 0, "both sides are gone")


def test_websocket_becomes_one_connection(bed: Bed) -> None:
    """The upgrade is read; what follows is nobody's business."""
    server = bed.network.servers[0]
    server.start(python_module("tests.e2e.websocket", "10.2.0.2", "8090"), name="ws90").wait_port("10.2.0.2", 8090)
    vip = bed.new_vip()
    with bed.changed(
        "add service ws90 address=10.2.0.2:8090 monitor=none",
        f"add vserver tunnel address={vip}:80 protocol=HTTP mode=splice services=ws90",
    ):
        joined = _count(bed, "joined_connections")
        asyncio.run(_talk(bed, vip, lambda: _count(bed, "joined_connections") > joined))


async def _talk(bed: Bed, vip: str, has_joined: Callable[[], bool]) -> None:
    def make(_address: object) -> socket.socket:
        made = bed.socket()
        made.setblocking(False)
        return made

    connector = aiohttp.TCPConnector(socket_factory=make)
    async with (
        aiohttp.ClientSession(connector=connector) as client,
        client.ws_connect(f"http://{vip}/") as connection,
    ):
        for length in (0, 1, 1_500, 300_000):
            await connection.send_bytes(patterned(length, length))
            assert await connection.receive_bytes(timeout=10) == patterned(length, length)
            await asyncio.to_thread(bed.wait, has_joined, "the pair is spliced")


def _live(bed: Bed) -> int:
    rows = bed.appliance.ask("flows", 10_000)
    return sum(row["vserver"] == "spliced-raw" and row["state"] == "SPLICED" for row in rows)


def test_port_without_a_listener_is_refused_at_once(bed: Bed) -> None:
    vip = bed.new_vip()
    with (
        bed.changed(
            "add service nobody address=10.2.0.2:9555 monitor=none",
            f"add vserver refused address={vip}:80 protocol=TCP mode=splice services=nobody",
        ),
        pytest.raises(ConnectionRefusedError),
    ):
        bed.connect(80, vip)
