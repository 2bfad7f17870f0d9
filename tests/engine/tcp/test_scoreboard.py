"""Spans, scoreboard and loss detection against a table with a row for every byte."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.engine.connection import Tcb, tcb_at
from ncore_ray.engine.partition import engine_at
from ncore_ray.engine.tcp import rack, scoreboard, spans
from ncore_ray.engine.tcp.blocks import BLOCK_SIZE
from ncore_ray.engine.tcp.spans import BLOCK_SPANS
from ncore_ray.engine.tcp.timestamps import UNKNOWN_INSTANT
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new
from tests.support.tcp_script import configuration_text

WRAP = 1 << 32
MSS = 10
LATE = 1_000


@entry_kernel
def send(engine: int, tcb: int, sequence: int, length: int) -> int:
    return spans.note_sent(engine_at(engine), tcb_at(tcb), sequence, length)


@entry_kernel
def sack(engine: int, tcb: int, start: int, end: int) -> int:
    board = tcb_at(tcb)
    furthest = scoreboard.furthest_arrived(engine_at(engine), board, board.snd_una)
    return scoreboard.note_sacked(engine_at(engine), board, start, end, furthest, UNKNOWN_INSTANT)


@entry_kernel
def acknowledge(engine: int, tcb: int, una: int) -> int:
    board = tcb_at(tcb)
    furthest = scoreboard.furthest_arrived(engine_at(engine), board, board.snd_una)
    board.snd_una = una
    return scoreboard.drop_spans(engine_at(engine), board, furthest, UNKNOWN_INSTANT)


@entry_kernel
def detect(engine: int, tcb: int) -> int:
    return rack.detect_lost(engine_at(engine), tcb_at(tcb))


@entry_kernel
def time_out(engine: int, tcb: int) -> int:
    return rack.lose_after_timeout(engine_at(engine), tcb_at(tcb))


@entry_kernel
def in_flight(tcb: int) -> int:
    return scoreboard.in_flight(tcb_at(tcb))


@entry_kernel
def first_lost(engine: int, tcb: int) -> int:
    index = scoreboard.first_lost(engine_at(engine), tcb_at(tcb))
    return scoreboard.NO_HOLE if index < 0 else spans.span_of(engine_at(engine), tcb_at(tcb), index).start


@entry_kernel
def hole_length(engine: int, tcb: int, at: int, most: int) -> int:
    return scoreboard.hole_length(engine_at(engine), tcb_at(tcb), at, most)


@entry_kernel
def past_sacked(engine: int, tcb: int, at: int) -> int:
    return scoreboard.past_sacked(engine_at(engine), tcb_at(tcb), at)


@entry_kernel
def arrived_before(engine: int, tcb: int, at: int) -> int:
    return scoreboard.arrived_before(engine_at(engine), tcb_at(tcb), at)


@entry_kernel
def clear(engine: int, tcb: int) -> int:
    return spans.clear_spans(engine_at(engine), tcb_at(tcb))


@cache
def lab() -> EngineLab:
    return EngineLab(configuration_text())


@dataclass
class Byte:
    """A byte in flight."""

    sent_at: int
    sacked: bool = False
    lost: bool = False
    resent: bool = False


class Board:
    """A connection's spans and, beside them, every byte that was sent, counted from the first."""

    def __init__(self, first: int) -> None:
        self.engine = lab().engine()
        self.at = lab().base + lab().arena.engines
        self.engine.now = 1_000_000
        self._memory, self.tcb, self.address = new(Tcb)
        self.first = first
        self.tcb.snd_una = self.tcb.snd_max = self.tcb.rack_end = first
        self.tcb.mss = MSS
        self.una = 0
        self.bytes: list[Byte] = []
        self.rack = (0, 0)
        self.rack_rtt = self.min_rtt = 0
        self.reordering = False

    def absolute(self, at: int) -> int:
        return (self.first + at) % WRAP

    def send(self, length: int) -> None:
        send(self.at, self.address, self.tcb.snd_max, length)
        self.bytes += [Byte(self.engine.now) for _ in range(length)]
        self.tcb.snd_max = self.absolute(len(self.bytes))

    def send_again(self, start: int, length: int) -> None:
        start, end = max(start, self.una), min(start + length, len(self.bytes))
        if start < end:
            send(self.at, self.address, self.absolute(start), end - start)
            for byte in self.bytes[start:end]:
                if not byte.sacked:
                    byte.sent_at, byte.lost, byte.resent = self.engine.now, False, True

    def _furthest(self) -> int:
        return max([self.una, *(at + 1 for at in range(self.una, len(self.bytes)) if self.bytes[at].sacked)])

    def _delivered(self, at: int, furthest: int) -> None:
        byte = self.bytes[at]
        rtt = self.engine.now - byte.sent_at
        if byte.resent:
            if rtt + self.min_rtt // 8 < self.min_rtt:
                return
        else:
            self.min_rtt = max(min(self.min_rtt or rtt, rtt), 1)
            self.reordering |= at + 1 < furthest
        self.rack_rtt = rtt
        self.rack = max(self.rack, (byte.sent_at, at + 1))

    def sack(self, start: int, length: int) -> None:
        start, end = max(start, self.una), min(start + length, len(self.bytes))
        if start >= end:
            return
        furthest = self._furthest()
        fresh = [at for at in range(start, end) if not self.bytes[at].sacked]
        assert sack(self.at, self.address, self.absolute(start), self.absolute(end)) == len(fresh)
        for at in fresh:
            self._delivered(at, furthest)
            self.bytes[at].sacked, self.bytes[at].lost = True, False

    def acknowledge(self, una: int) -> None:
        una = min(max(una, self.una), len(self.bytes))
        furthest = self._furthest()
        fresh = [at for at in range(self.una, una) if not self.bytes[at].sacked]
        assert acknowledge(self.at, self.address, self.absolute(una)) == len(fresh)
        for at in fresh:
            self._delivered(at, furthest)
        self.una = una

    def detect(self) -> None:
        """RFC 8985 §6.2, steps 4 and 5, byte by byte; the duplicate acknowledgments are not counted here."""
        window = min((self.min_rtt + 3) // 4, max(self.tcb.srtt >> 3, 1))
        sacked = sum(byte.sacked for byte in self.bytes[self.una :])
        if not self.reordering and sacked > 2 * MSS:
            window = 0
        found, longest = 0, 0
        for at in range(self.una, len(self.bytes)):
            byte = self.bytes[at]
            if not byte.sacked and not byte.lost and (byte.sent_at, at + 1) < self.rack:
                remaining = byte.sent_at + self.rack_rtt + window - self.engine.now
                byte.lost = remaining <= 0
                found += byte.lost
                longest = max(longest, remaining)
        assert detect(self.at, self.address) == found
        assert self.tcb.recheck_at == (self.engine.now + longest if longest else 0)

    def check(self) -> None:
        flying = self.bytes[self.una :]
        assert self.tcb.sacked_bytes == sum(byte.sacked for byte in flying)
        assert self.tcb.lost_bytes == sum(byte.lost for byte in flying)
        assert in_flight(self.address) == sum(not byte.sacked and not byte.lost for byte in flying)
        assert self.tcb.rack_rtt == self.rack_rtt
        assert bool(self.tcb.reordering) == self.reordering
        lost = next((self.una + at for at, byte in enumerate(flying) if byte.lost), None)
        expected = scoreboard.NO_HOLE if lost is None else self.absolute(lost)
        assert first_lost(self.at, self.address) == expected
        for at in range(self.una, len(self.bytes), 7):
            self._check_at(at)

    def _check_at(self, at: int) -> None:
        size = len(self.bytes)
        free = next((to for to in range(at, size) if not self.bytes[to].sacked), size)
        assert past_sacked(self.at, self.address, self.absolute(at)) == self.absolute(free)
        before = sum(byte.sacked for byte in self.bytes[self.una : at])
        assert arrived_before(self.at, self.address, self.absolute(at)) == before
        if not self.bytes[at].sacked:
            end = next((to for to in range(at, size) if self.bytes[to].sacked), size)
            assert hole_length(self.at, self.address, self.absolute(at), size - at) == end - at


steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "sack", "sack", "ack", "again", "detect"]),
        st.integers(0, 300),
        st.integers(1, 40),
        st.sampled_from([0, 0, 1, 20, LATE]),
    ),
    max_size=24,
)


@settings(max_examples=200)
@given(st.sampled_from([0, 1_000_000, WRAP - 200, (1 << 31) - 100]), steps)
def test_spans_are_those_of_a_table_of_bytes(first: int, taken: list[tuple[str, int, int, int]]) -> None:
    board = Board(first)
    board.send(100)
    for what, at, length, later in taken:
        board.engine.now += later
        if what == "send":
            board.send(length)
        elif what == "sack":
            board.sack(board.una + at % 150, length)
        elif what == "again":
            board.send_again(board.una + at % 150, length)
        elif what == "ack":
            board.acknowledge(board.una + at % 30)
        else:
            board.detect()
        board.check()
    board.acknowledge(len(board.bytes))
    assert (board.tcb.span_count, board.tcb.span_block) == (0, 0)


def blocks_in_use() -> int:
    """Return how many blocks of the engine's pool are taken."""
    engine, free = lab().engine(), 0
    number = engine.free_span_block
    while number:
        free += 1
        start = engine.spans + (number - 1) * BLOCK_SIZE
        number = int(lab().array[start : start + 8].view("<i8")[0])
    return engine.span_blocks_used - free


def test_a_large_window_takes_few_spans_and_gives_its_block_back() -> None:
    board = Board(0)
    board.tcb.srtt = 100_000 << 3
    for _ in range(1_000):  # 100 ms of sending, a packet every 100 µs
        board.send(MSS)
        board.engine.now += 100
    assert 30 <= board.tcb.span_count <= 33
    assert blocks_in_use() == 1
    board.acknowledge(len(board.bytes))
    assert blocks_in_use() == 0


def test_two_bursts_need_no_block() -> None:
    board = Board(0)
    board.send(10 * MSS)
    board.engine.now += 500
    board.send(10 * MSS)
    board.acknowledge(5 * MSS)
    assert (board.tcb.span_count, blocks_in_use()) == (2, 0)
    board.acknowledge(20 * MSS)


def test_blocks_for_which_there_is_no_room_are_forgotten() -> None:
    board = Board(WRAP - 1_000)
    board.send(300 * MSS)
    for segment in range(1, 300, 2):
        start, end = board.absolute(segment * MSS), board.absolute(segment * MSS + MSS)
        sack(board.at, board.address, start, end)
    assert board.tcb.span_count <= BLOCK_SPANS - 2
    assert board.tcb.sacked_bytes == MSS * (board.tcb.span_count // 2)
    board.engine.now += LATE
    assert detect(board.at, board.address) == board.tcb.lost_bytes > 0
    for _ in range(300):  # what is sent again always finds room, or takes the whole span
        start = first_lost(board.at, board.address)
        if start == scoreboard.NO_HOLE:
            break
        board.engine.now += 1
        send(board.at, board.address, start, MSS)
    assert board.tcb.lost_bytes == 0
    missing = 300 * MSS - board.tcb.sacked_bytes
    assert acknowledge(board.at, board.address, board.tcb.snd_max) == missing
    assert blocks_in_use() == 0


def test_without_blocks_two_spans_have_to_do() -> None:
    engine = lab().engine()
    before, engine.span_block_count = engine.span_block_count, engine.span_blocks_used
    boards = [Board(0) for _ in range(engine.span_blocks_used + 1)]
    for board in boards:
        for _ in range(20):
            board.send(MSS)
            board.engine.now += LATE
    board = boards[-1]
    assert (board.tcb.span_block, board.tcb.span_count) == (0, 2)
    sack(board.at, board.address, board.absolute(5 * MSS), board.absolute(6 * MSS))
    assert board.tcb.sacked_bytes == 0
    time_out(board.at, board.address)
    assert board.tcb.lost_bytes == 20 * MSS
    send(board.at, board.address, 0, MSS)
    assert in_flight(board.address) >= MSS
    for each in boards:
        clear(each.at, each.address)
    engine.span_block_count = before
    assert blocks_in_use() == 0


def test_a_peer_that_takes_back_what_it_said() -> None:
    board = Board(0)
    board.send(10 * MSS)
    board.engine.now += LATE
    board.sack(2 * MSS, 3 * MSS)
    board.acknowledge(2 * MSS)  # yet it does not acknowledge what follows
    board.engine.now += 200 * LATE
    time_out(board.at, board.address)
    assert board.tcb.sacked_bytes == 0  # RFC 2018 §8
    assert board.tcb.lost_bytes == 8 * MSS
    clear(board.at, board.address)
