"""Raw TCP, UDP, ICMP and ARP at the VIP and at the appliance's own addresses."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
from collections.abc import Iterable

import pytest

from ncore_ray.lab import raw
from ncore_ray.lab.host import Host, mac_of
from ncore_ray.lab.network import CLIENT_SNIP, SERVER_SNIP, VIP
from ncore_ray.lab.pattern import patterned
from tests.e2e.bed import Bed


async def _echo(connection: socket.socket, frames: Iterable[bytes]) -> tuple[list[bytes], raw.Summary]:
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection)
    _, answer = await asyncio.gather(raw.send_frames(writer, frames), raw.receive_echo(reader))
    writer.close()
    return answer


@pytest.mark.parametrize("lengths", [[], [0], [1, 1460, 1461], [9000] * 20, [3_000_000]])
def test_raw_stream_comes_back_and_half_close_is_carried_through(bed: Bed, lengths: list[int]) -> None:
    frames = [patterned(n, length) for n, length in enumerate(lengths)]
    back, summary = asyncio.run(_echo(bed.connect(9000), frames))
    assert back == frames
    assert (summary.frames, summary.sha256) == (len(frames), hashlib.sha256(b"".join(frames)).hexdigest())
    assert summary.peer.startswith(SERVER_SNIP)


def test_many_raw_streams_at_once(bed: Bed) -> None:
    frames = [[patterned(n, 10_000 + n)] for n in range(60)]

    async def all_of_them() -> list[tuple[list[bytes], raw.Summary]]:
        return await asyncio.gather(*(_echo(bed.connect(9000), each) for each in frames))

    answers = asyncio.run(all_of_them())
    assert [back for back, _ in answers] == frames
    assert {summary.name for _, summary in answers} == {"web1", "web2"}


def test_aborted_client_aborts_the_server_side(bed: Bed) -> None:
    connection = bed.connect(9000)
    connection.sendall(struct.pack("!I", 100) + b"x" * 50)
    bed.wait(lambda: _live(bed, "tcp") >= 1, "the stream is there")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    bed.wait(lambda: _live(bed, "tcp") == 0, "both sides are gone")


def _live(bed: Bed, protocol: str) -> int:
    """Return how many connections of the raw vServers live."""
    name = {"tcp": "raw", "udp": "udp"}[protocol]
    rows: list[dict[str, str]] = bed.appliance.ask("flows", 10_000)
    return sum(row["vserver"] == name and row["state"] != "TIME-WAIT" for row in rows)


def test_closed_port_answers_with_a_reset(bed: Bed) -> None:
    for address, port in ((VIP, 81), (CLIENT_SNIP, 80)):
        with pytest.raises(ConnectionRefusedError):
            bed.connect(port, address)


@pytest.mark.parametrize("length", [1, 512, 1472])
def test_udp_datagrams_come_back(bed: Bed, length: int) -> None:
    with bed.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((VIP, 9000))
        for seed in range(5):
            client.send(patterned(seed, length))
            assert client.recv(2048) == patterned(seed, length)


def test_each_udp_client_gets_its_own_answers(bed: Bed) -> None:
    clients = [bed.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
    for number, client in enumerate(clients):
        client.connect((VIP, 9000))
        client.send(number.to_bytes(4, "big"))
    assert [int.from_bytes(client.recv(100), "big") for client in clients] == list(range(40))
    for client in clients:
        client.close()


def _internet_checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ping(bed: Bed, host: Host, address: str, length: int) -> None:
    body = patterned(length, length + length % 2)
    head = struct.pack("!BBHHH", 8, 0, 0, 4711, length)
    packet = head[:2] + struct.pack("!H", _internet_checksum(head + body)) + head[4:] + body
    with bed.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, host=host) as client:
        client.sendto(packet, (address, 0))
        answer, peer = client.recvfrom(4096)
    assert peer[0] == address
    message = answer[20:]
    assert message[0] == 0
    assert _internet_checksum(message) == 0
    assert message[4:] == head[4:] + body


@pytest.mark.parametrize("length", [0, 8, 56, 1472])
def test_vip_and_own_addresses_answer_a_ping(bed: Bed, length: int) -> None:
    _ping(bed, bed.client, VIP, length)
    _ping(bed, bed.client, CLIENT_SNIP, length)
    _ping(bed, bed.network.servers[0], SERVER_SNIP, length)


def _arp_request(address: str, sender_mac: bytes) -> bytes:
    sender, wanted = socket.inet_aton("10.1.0.2"), socket.inet_aton(address)
    ethernet = b"\xff" * 6 + sender_mac + b"\x08\x06"
    return ethernet + struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, sender_mac, sender, b"\0" * 6, wanted)


def test_arp_is_answered_for_own_addresses_only(bed: Bed) -> None:
    mac = bytes.fromhex(mac_of("10.1.0.2").replace(":", ""))
    with bed.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as client:
        client.bind(("eth0", 0x0806))
        for address in ("10.1.0.77", VIP, CLIENT_SNIP):
            client.send(_arp_request(address, mac))
        replies: list[bytes] = []
        while len(replies) < 2:  # the appliance asks for itself as well, after changes of its configuration
            frame = client.recv(100)
            replies += [frame] if frame[20:22] == b"\0\2" else []
    nic = bytes.fromhex(mac_of(CLIENT_SNIP).replace(":", ""))
    assert [(frame[22:28], socket.inet_ntoa(frame[28:32])) for frame in replies] == [(nic, VIP), (nic, CLIENT_SNIP)]
