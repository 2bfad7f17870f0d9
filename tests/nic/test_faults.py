"""The fault injector: how often, how exactly, and that a seed says it all."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ncore_ray.arena.frame import Checksum
from ncore_ray.machine.jit import JIT, entry_kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import new
from ncore_ray.nic.faults import (
    SWAP_SPAN_US,
    FaultCounters,
    FaultInjector,
    FaultSettings,
    FaultVerdict,
    fault_due,
    fault_holds,
    fault_offer,
    fault_state_at,
    fault_take,
)

MILLION = 1_000_000
COUNT = 50_000 if JIT else 4_000


@entry_kernel
def offer(state: int, address: int, length: int, checksum: int, now: int) -> int:
    """Offer a packet; return 1 if it passed."""
    return 1 if fault_offer(fault_state_at(state), address, length, checksum, now) == FaultVerdict.PASS else 0


@entry_kernel
def take(state: int, target: int, now: int) -> int:
    """Take a packet that is due; return its length, or 0."""
    if not fault_due(fault_state_at(state), now):
        return 0
    fault_take(fault_state_at(state), target, now)
    return fault_state_at(state).length


@entry_kernel
def holds(state: int) -> int:
    """Return how many packets are held."""
    return fault_holds(fault_state_at(state))


@entry_kernel
def run_numbers(state: int, count: int, step_us: int, numbers: int, buffer: int) -> int:
    """Offer packets that carry 0, 1, … behind byte 40; write the numbers that come out and return how many."""
    injector = fault_state_at(state)
    out = 0
    for number in range(count):
        now = number * step_us
        store64(buffer + 40, number)
        if fault_offer(injector, buffer, 64, Checksum.UNKNOWN, now) == FaultVerdict.PASS:
            store64(numbers + 8 * out, load64(buffer + 40))
            out += 1
        while fault_due(injector, now):
            fault_take(injector, buffer, now)
            store64(numbers + 8 * out, load64(buffer + 40))
            out += 1
    return out


class Injected:
    """An injector with its counters and a packet's place."""

    def __init__(self, settings: FaultSettings, direction: int = 0) -> None:
        self._memory, self.counters, address = new(FaultCounters)
        self.injector = FaultInjector(settings, address, direction)
        self.state = self.injector.state
        self.room = np.zeros(2_048, np.uint8)

    def offer(self, data: bytes, now: int = 0, checksum: Checksum = Checksum.PARTIAL) -> bytes | None:
        """Offer a packet; return it as it passed, or None."""
        self.room[: len(data)] = np.frombuffer(data, np.uint8)
        passed = offer(self.injector.address, self.room.ctypes.data, len(data), checksum, now)
        return self.room[: len(data)].tobytes() if passed else None

    def take(self, now: int) -> bytes | None:
        """Take a packet that is due, or None."""
        length = take(self.injector.address, self.room.ctypes.data, now)
        return self.room[:length].tobytes() if length else None


def run(settings: FaultSettings, step_us: int = 1, direction: int = 0) -> tuple[list[int], FaultCounters]:
    """Send COUNT packets through an injector; return the numbers that came out and the counters."""
    injected = Injected(settings, direction)
    numbers = np.zeros(3 * COUNT, np.int64)
    count = run_numbers(injected.injector.address, COUNT, step_us, numbers.ctypes.data, injected.room.ctypes.data)
    return numbers[:count].tolist(), injected.counters


def near(count: int, rate: int) -> bool:
    """Tell whether a count lies within five standard deviations of what a rate (per million) gives."""
    share = rate / MILLION
    return bool(abs(count - COUNT * share) <= 5 * (COUNT * share * (1 - share)) ** 0.5 + 1)


@pytest.mark.parametrize("rate", [0, 1_000, 10_000, 300_000, MILLION])
def test_loss(rate: int) -> None:
    numbers, counters = run(FaultSettings(loss=rate))
    assert len(numbers) == COUNT - counters.fault_lost_packets
    assert near(counters.fault_lost_packets, rate)
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("rate", [0, 10_000, MILLION])
def test_duplication(rate: int) -> None:
    numbers, counters = run(FaultSettings(duplication=rate))
    assert near(counters.fault_duplicated_packets, rate)
    assert sorted(Counter(numbers).values()).count(2) == counters.fault_duplicated_packets
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(COUNT))


@pytest.mark.parametrize("rate", [10_000, 200_000])
def test_reordering(rate: int) -> None:
    numbers, counters = run(FaultSettings(reordering=rate))
    late = sum(numbers[place] < numbers[place - 1] for place in range(1, len(numbers)))
    assert late > 0
    assert 0 <= counters.fault_reordered_packets - late <= 1
    assert len(set(numbers)) == len(numbers) >= COUNT - 1
    assert max(abs(place - number) for place, number in enumerate(numbers)) <= 3
    assert counters.fault_reordered_packets <= COUNT * rate / MILLION * 1.2


def test_a_packet_held_back_does_not_wait_forever() -> None:
    injected = Injected(FaultSettings(reordering=MILLION))
    assert injected.offer(bytes(60) + b"one", now=5) is None
    assert holds(injected.injector.address) == 1
    assert injected.take(5 + SWAP_SPAN_US - 1) is None
    assert injected.take(5 + SWAP_SPAN_US) == bytes(60) + b"one"
    assert holds(injected.injector.address) == 0


def test_corruption_turns_one_bit_behind_the_ethernet_header() -> None:
    injected = Injected(FaultSettings(corruption=MILLION))
    turned = Counter[int]()
    for _ in range(300):
        data = injected.offer(bytes(60))
        assert data is not None
        bits = int.from_bytes(data, "big")
        assert bits.bit_count() == 1
        turned[next(place for place, byte in enumerate(data) if byte)] += 1
        assert injected.state.checksum == Checksum.UNKNOWN
    assert min(turned) >= 14
    assert len(turned) > 30
    assert injected.counters.fault_corrupted_packets == 300


def test_a_packet_without_payload_is_not_corrupted() -> None:
    injected = Injected(FaultSettings(corruption=MILLION))
    assert injected.offer(bytes(14)) == bytes(14)
    assert injected.counters.fault_corrupted_packets == 0


def test_fixed_delay_keeps_order_and_time() -> None:
    injected = Injected(FaultSettings(delay_us=100))
    for number in range(5):
        assert injected.offer(bytes([number]) * 60, now=number) is None
    assert injected.take(99) is None
    for number in range(5):
        assert injected.take(100 + number) == bytes([number]) * 60
        assert injected.state.checksum == Checksum.PARTIAL
        assert injected.take(100 + number) is None
    assert injected.counters.fault_delayed_packets == 5


def test_jitter_stays_within_its_bounds() -> None:
    injected = Injected(FaultSettings(delay_us=100, jitter_us=30, capacity=1_000))
    for number in range(1_000):
        injected.offer(number.to_bytes(60, "big"))
    came = []
    for now in range(131):
        while (data := injected.take(now)) is not None:
            came.append((now, int.from_bytes(data, "big")))
    assert len(came) == 1_000
    assert min(came)[0] == 70
    assert max(came)[0] == 130
    assert [number for _, number in came] != list(range(1_000))


def test_reordered_packets_skip_the_delay() -> None:
    injected = Injected(FaultSettings(delay_us=100, reordering=MILLION))
    assert injected.offer(bytes(60)) == bytes(60)
    assert injected.counters.fault_reordered_packets == 1


def test_a_full_queue_drops_and_counts() -> None:
    injected = Injected(FaultSettings(delay_us=100, capacity=3))
    for number in range(5):
        assert injected.offer(bytes([number]) * 60) is None
    assert injected.counters.drop_fault_queue_full_packets == 2
    assert injected.counters.fault_delayed_packets == 3
    assert [injected.take(100) for _ in range(4)] == [*(bytes([number]) * 60 for number in range(3)), None]


EVERYTHING = FaultSettings(
    seed=42,
    loss=10_000,
    duplication=20_000,
    reordering=30_000,
    corruption=5_000,
    delay_us=50,
    jitter_us=20,
)


def test_the_same_seed_gives_the_same() -> None:
    first, _ = run(EVERYTHING)
    again, _ = run(EVERYTHING)
    assert first == again


def test_seeds_and_directions_differ() -> None:
    settings = FaultSettings(seed=1, loss=100_000)
    results = [run(settings)[0], run(settings, direction=1)[0], run(FaultSettings(seed=2, loss=100_000))[0]]
    assert results[0] != results[1]
    assert results[0] != results[2]


def test_one_rate_does_not_move_other_faults() -> None:
    lost = set(range(COUNT)) - set(run(FaultSettings(loss=10_000))[0])
    both = set(range(COUNT)) - set(run(FaultSettings(loss=10_000, duplication=50_000))[0])
    assert lost == both


def test_every_packet_is_accounted_for() -> None:
    settings = EVERYTHING
    injected = Injected(settings)
    numbers = np.zeros(3 * COUNT, np.int64)
    out = run_numbers(injected.injector.address, COUNT, 1, numbers.ctypes.data, injected.room.ctypes.data)
    counters = injected.counters
    held = holds(injected.injector.address)
    gone = counters.fault_lost_packets + counters.drop_fault_queue_full_packets
    assert COUNT + counters.fault_duplicated_packets == out + gone + held
    assert injected.state.free_count == settings.capacity - held
