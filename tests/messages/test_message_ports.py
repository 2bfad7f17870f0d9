"""The same tests for both ways: through the arena, and through Ray actors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncore_ray.messages.arena import ArenaPort, management
from ncore_ray.messages.cluster import ClusterPort, make_mailbox
from ncore_ray.messages.port import Message, Port, Sending, TooLongError, monotonic_us
from tests.messages.message_arena import ENGINES, message_arena

CORES = management(ENGINES) + 1
VALUES: list[Any] = [None, True, 0, -1, 1 << 63, 1.5, "text", b"\0bytes", [1, [2]], {"a": 1, 2: [None]}, "", {}]


@pytest.fixture(params=["arena", pytest.param("cluster", marks=pytest.mark.ray)])
def ports(request: pytest.FixtureRequest) -> Iterator[list[Port]]:
    """A port for each core."""
    if request.param == "arena":
        array = message_arena()
        yield [ArenaPort(array, ENGINES, own) for own in range(CORES)]
        return
    own_ray: Path = request.getfixturevalue("own_ray")
    assert own_ray
    import ray

    mailboxes = {core: make_mailbox() for core in range(CORES)}
    yield [ClusterPort(mailboxes, own) for own in range(CORES)]
    for mailbox in mailboxes.values():
        ray.kill(mailbox)


def soon(span_us: int = 30_000_000) -> int:
    return monotonic_us() + span_us


def test_values_arrive_as_they_were_sent(ports: list[Port]) -> None:
    for value in VALUES:
        assert ports[1].send(3, value) is Sending.SENT
    assert [ports[3].receive(soon()) for _ in VALUES] == [Message(1, value) for value in VALUES]
    assert ports[3].try_receive() is None


def test_each_pair_of_cores_and_a_core_with_itself(ports: list[Port]) -> None:
    for sender in range(CORES):
        for receiver in range(CORES):
            assert ports[sender].send(receiver, [sender, receiver]) is Sending.SENT
    for receiver in range(CORES):
        found = [ports[receiver].receive(soon()) for _ in range(CORES)]
        assert sorted(found, key=str) == [Message(sender, [sender, receiver]) for sender in range(CORES)]
        assert ports[receiver].try_receive() is None


def test_nothing_comes_before_the_deadline(ports: list[Port]) -> None:
    assert ports[0].receive(monotonic_us() - 1) is None
    assert ports[0].receive(soon(2_000)) is None


def test_full_pushes_back_and_loses_nothing(ports: list[Port]) -> None:
    sent = 0
    while ports[0].send(1, [sent, "x" * 500]) is Sending.SENT:
        sent += 1
        assert sent < 10_000
    assert sent > 8
    assert ports[2].send(1, "another sender has a ring of its own") is Sending.SENT
    found = [ports[1].receive(soon()) for _ in range(sent + 1)]
    assert [message.value[0] for message in found if message and message.sender == 0] == list(range(sent))
    assert ports[0].send(1, "again") is Sending.SENT
    assert ports[1].receive(soon()) == Message(0, "again")


def test_what_no_ring_could_take_is_refused(ports: list[Port]) -> None:
    longest = ports[0].longest - 5
    assert ports[0].send(1, b"x" * longest) is Sending.SENT
    assert ports[1].receive(soon()) == Message(0, b"x" * longest)
    with pytest.raises(TooLongError, match="is longer than"):
        ports[0].send(1, b"x" * (longest + 6))
    assert ports[1].try_receive() is None


@pytest.mark.parametrize("receiver", [-1, CORES])
def test_core_that_there_is_not(ports: list[Port], receiver: int) -> None:
    with pytest.raises(ValueError, match="there is no core"):
        ports[0].send(receiver, 1)


def test_a_sleeper_is_woken(ports: list[Port]) -> None:
    found: list[Message | None] = []
    sleeper = threading.Thread(target=lambda: found.append(ports[2].receive(soon(60_000_000))))
    sleeper.start()
    assert ports[0].send(2, "up") is Sending.SENT
    sleeper.join(30)
    assert found == [Message(0, "up")]
