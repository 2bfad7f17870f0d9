"""The TCP vServer: two connections whose streams are each other's, and how each end of one shows at the other."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.http_lab import SECOND, HttpLab, running
from tests.support.tcp_peer import Peer

CONTENT = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(4_000))


def _joined(lab: HttpLab, **fields: bool) -> tuple[Peer, Peer]:
    client = lab.client(**fields).connect()
    return client, lab.servers[0].accept()


def test_data_goes_both_ways() -> None:
    with running(protocol="TCP") as lab:
        client, server = _joined(lab)
        server.send(b"220 hello")
        client.expect(b"220 hello")
        client.send(b"EHLO\r\n")
        server.expect(b"EHLO\r\n")
        assert lab.vserver().received_bytes == lab.service_stats().sent_bytes == 6
        assert lab.vserver().sent_bytes == lab.service_stats().received_bytes == 9
        assert (lab.vserver().total_connections, lab.service_stats().total_connections) == (1, 1)
        assert (lab.vserver().connections, lab.service_stats().busy) == (1, 1)


def test_data_sent_before_the_server_answers_is_kept() -> None:
    with running(protocol="TCP") as lab:
        lab.servers[0].silent = True
        client = lab.client().connect().send(CONTENT[:20_000]).close()
        lab.settle()
        lab.servers[0].silent = False
        lab.wait(1_200_000)
        lab.servers[0].accept().expect(CONTENT[:20_000]).expect_eof()
        assert not client.eof


@pytest.mark.parametrize("first", ["client", "server"])
def test_half_close_is_carried_through(first: str) -> None:
    with running(protocol="TCP") as lab:
        client, server = _joined(lab)
        one, other = (client, server) if first == "client" else (server, client)
        one.send(b"all of it").close()
        other.expect(b"all of it").expect_eof()
        other.send(CONTENT[:5_000])
        one.expect(CONTENT[:5_000])
        assert not one.eof
        other.close()
        one.expect_eof()
        lab.wait(6 * SECOND)
        assert lab.live() == []
        assert lab.counters().connections_reset == 0


def test_both_close_at_once() -> None:
    with running(protocol="TCP") as lab:
        client, server = _joined(lab)
        client.close()
        server.close()
        client.expect_eof()
        server.expect_eof()


@pytest.mark.parametrize("first", ["client", "server"])
def test_reset_is_carried_through(first: str) -> None:
    with running(protocol="TCP") as lab:
        client, server = _joined(lab)
        one, other = (client, server) if first == "client" else (server, client)
        one.reset()
        other.expect_reset()
        assert lab.live() == []
        assert lab.counters().resets_sent == 1


def test_reset_after_half_close() -> None:
    with running(protocol="TCP") as lab:
        client, server = _joined(lab)
        client.close()
        server.expect_eof()
        server.reset()
        lab.settle()
        assert client.was_reset


def test_refused_connection_goes_to_the_next_service_with_all_that_was_sent() -> None:
    with running(protocol="TCP", services=3) as lab:
        lab.servers[0].refuse = True
        lab.servers[1].silent = True
        client = lab.client().connect().send(CONTENT[:10_000]).close()
        lab.wait(4 * SECOND)
        server = lab.servers[2].accept()
        server.expect(CONTENT[:10_000]).expect_eof()
        server.send(b"done").close()
        client.expect(b"done").expect_eof()
        assert [lab.service_stats(k).failures for k in range(3)] == [1, 1, 0]
        assert [lab.service_stats(k).sent_bytes for k in range(3)] == [0, 0, 10_000]
        assert lab.counters().connections_refused == 2


def test_no_service_accepts() -> None:
    with running(protocol="TCP", services=2) as lab:
        for host in lab.servers:
            host.refuse = True
        lab.client().connect().expect_reset()
        assert lab.vserver().errors == 1


def test_no_service_is_up() -> None:
    with running(protocol="TCP", monitor="{type: tcp, interval: 1h, timeout: 1s}") as lab:
        lab.servers[0].refuse = True
        lab.wait(SECOND)
        lab.client().connect().expect_reset()
        assert lab.vserver().errors == 1


def test_idle_pair_ends() -> None:
    with running(protocol="TCP", timeouts="client_idle: 5s") as lab:
        client, server = _joined(lab)
        for one in (client, server, client):
            lab.wait(4 * SECOND)
            one.send(b".")
        lab.wait(4 * SECOND)
        assert not client.was_reset
        lab.wait(2 * SECOND)
        assert client.was_reset
        assert server.was_reset
        assert lab.counters().connections_timed_out == 1


@pytest.mark.parametrize("send_buffer", ["16KiB", "4KiB"])
@pytest.mark.parametrize("slow", ["client", "server"])
def test_slow_reader_holds_up_the_other_side(slow: str, send_buffer: str) -> None:
    """With a send buffer that is smaller than the window, what was received is held."""
    with running(protocol="TCP", tcp=f"receive_window: 16KiB, send_buffer: {send_buffer}") as lab:
        client, server = _joined(lab)
        reader, writer = (client, server) if slow == "client" else (server, client)
        reader.paused, reader.limit = True, 4_096
        reader.acknowledge()
        writer.send(CONTENT).close()
        data, frames = b"", 0
        while not reader.eof:
            lab.wait(50_000, 10_000)
            frames = max(frames, lab.frames_in_use())
            data += reader.read(3_000)
        assert data + reader.read() == CONTENT
        assert frames <= 24
        reader.send(b"thanks")
        writer.expect(b"thanks")


def test_held_data_of_a_pair_that_ends_is_given_back() -> None:
    with running(protocol="TCP", tcp="receive_window: 16KiB, send_buffer: 16KiB") as lab:
        client, server = _joined(lab)
        client.paused, client.limit = True, 1_024
        client.acknowledge()
        server.send(CONTENT)
        lab.settle()
        assert lab.frames_in_use() >= 8
        client.reset()
        server.expect_reset()
        assert lab.frames_in_use() == 0


def test_client_that_goes_before_the_server_answers() -> None:
    with running(protocol="TCP") as lab:
        lab.servers[0].silent = True
        client = lab.client().connect()
        client.reset()
        lab.settle()
        assert lab.live() == []


def test_full_table_refuses_the_new_and_keeps_the_old() -> None:
    with running(protocol="TCP", connections=16) as lab:
        pairs = [_joined(lab) for _ in range(8)]
        late = lab.client().connect()
        assert not late.established
        assert lab.counters().drop_tcp_table_full_packets > 0
        for client, server in pairs:
            client.send(b"x")
            server.expect(b"x")


@pytest.mark.parametrize("lost", ["client", "server"])
def test_end_that_does_not_answer_any_more_ends_the_pair(lost: str) -> None:
    with running(protocol="TCP", tcp="retries: 2") as lab:
        client, server = _joined(lab)
        host, other = (lab.client_host, server) if lost == "client" else (lab.servers[0], client)
        host.silent = True
        other.send(b"hello?")
        lab.wait(5 * SECOND)
        other.expect_reset()
        assert lab.counters().connections_timed_out == 1


def test_service_without_a_route() -> None:
    with running(protocol="TCP", services=2) as lab:
        lab.service(0).route = -1
        lab.client().connect().expect_reset()
        client = lab.client().connect().send(b"x")
        lab.servers[1].accept().expect(b"x")
        assert not client.was_reset


def test_pool_of_frames_that_runs_dry() -> None:
    """Many slow readers want more memory than there is: what does not fit is not taken, and comes again later."""
    with running(protocol="TCP", frames=48) as lab:
        pairs = [_joined(lab) for _ in range(6)]
        for client, server in pairs:
            client.paused, client.limit = True, 1_000
            client.acknowledge()
            server.send(CONTENT[:20_000])
            lab.settle()
        assert lab.counters().drop_tcp_no_memory_packets > 0
        assert 0 < lab.frames_in_use() <= 48
        received = [b"" for _ in pairs]
        for _ in range(200):
            lab.wait(100_000, 50_000)
            received = [got + client.read() for got, (client, _) in zip(received, pairs, strict=True)]
        assert received == [CONTENT[:20_000]] * 6


@pytest.mark.parametrize("first", ["client", "server"])
def test_held_data_behind_the_end_of_the_other_direction_is_not_lost(first: str) -> None:
    """The connection that it came on is gone, because both its streams have ended, long before it is read."""
    with running(protocol="TCP", tcp="receive_window: 16KiB, send_buffer: 4KiB") as lab:
        client, server = _joined(lab)
        reader, writer = (client, server) if first == "client" else (server, client)
        reader.close()
        writer.expect_eof()
        reader.paused, reader.limit = True, 1_024
        reader.acknowledge()
        writer.send(CONTENT[:15_000]).close()
        lab.wait(7 * SECOND)
        data = b""
        while not reader.eof:
            lab.wait(50_000, 10_000)
            data += reader.read(3_000)
        assert data + reader.read() == CONTENT[:15_000]
        stats = lab.service_stats()
        assert {lab.vserver().sent_bytes, stats.sent_bytes} == {0, 15_000}
