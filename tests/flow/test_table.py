"""The flow table against a dictionary, with ageing; full tables; the sweep; the engines' notes; repair."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.flow.distributor import Algorithm, distributor_view, live_flows
from ncore_ray.flow.explain import explain, flow_text, list_flows
from ncore_ray.flow.records import Distributor, FlowState, distributor_at
from ncore_ray.flow.repair import close_flow, repair_table
from ncore_ray.flow.state import TRANSITIONS, Event
from ncore_ray.lab.dry.arena import VIP
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import tcp_packet, udp_packet
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new, size_of
from ncore_ray.tables.service import VserverProtocol
from ncore_ray.wire.address import words_of

SECOND = 1_000_000
CLIENT = "10.1.0.7"
FLAGS = {Event.OPEN: 2, Event.DATA: 16, Event.FIN: 17, Event.RESET: 4, Event.OTHER: 18}
TIMEOUTS = {
    FlowState.SYN_ONLY: 5 * SECOND,
    FlowState.ESTABLISHED: 300 * SECOND,
    FlowState.FIN_SEEN: 120 * SECOND,
    FlowState.RESET: 65 * SECOND,
    FlowState.UDP: 60 * SECOND,
}

steps = st.tuples(
    st.integers(0, 11),
    st.sampled_from([*FLAGS, Event.DATAGRAM]),
    st.sampled_from([0, 1, SECOND, 4 * SECOND, 5 * SECOND, 5 * SECOND + 1, 61 * SECOND, 119 * SECOND, 200 * SECOND]),
)


class Model:
    """What the table has to answer: flow → (engine, state, last seen), and engines in turn."""

    def __init__(self) -> None:
        self.flows: dict[tuple[str, int], tuple[int, FlowState, int]] = {}
        self.turn = 0
        self.created = 0

    def send(self, flow: int, event: Event, now: int) -> int | None:
        """Return the engine if the flow table decides, else None."""
        key = ("udp" if event == Event.DATAGRAM else "tcp", flow)
        engine, state, seen = self.flows.get(key, (-1, FlowState.FREE, 0))
        if engine >= 0 and now - seen <= TIMEOUTS[state]:
            self.flows[key] = engine, TRANSITIONS[state][event], now
            return engine
        self.flows.pop(key, None)
        if event not in (Event.OPEN, Event.DATAGRAM):
            return None
        engine, self.turn = self.turn, (self.turn + 1) % 4
        self.created += 1
        self.flows[key] = engine, FlowState.UDP if event == Event.DATAGRAM else FlowState.SYN_ONLY, now
        return engine

    def live(self, now: int) -> dict[tuple[str, int], tuple[int, FlowState, int]]:
        return {key: row for key, row in self.flows.items() if now - row[2] <= TIMEOUTS[row[1]]}


def packet_of(flow: int, event: Event) -> bytes:
    if event == Event.DATAGRAM:
        return udp_packet(CLIENT, 1000 + flow, VIP, 53)
    return tcp_packet(CLIENT, 1000 + flow, VIP, 80, FLAGS[event])


def listed(appliance: Appliance) -> dict[tuple[str, int], tuple[int, FlowState, int]]:
    rows = list_flows(appliance.arena.array, appliance.now)
    return {
        ("udp" if row["protocol"] == 17 else "tcp", int(row["source_port"]) - 1000): (
            int(row["engine"]),
            FlowState(int(row["state"])),
            int(row["last_seen_at"]),
        )
        for row in rows
    }


@settings(max_examples=60)
@given(st.lists(steps, max_size=60))
def test_table_agrees_with_a_dictionary(walk: list[tuple[int, Event, int]]) -> None:
    appliance = make_appliance(ports=(80,), algorithm=Algorithm.ROUND_ROBIN, flows=16)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    model = Model()
    for flow, event, pause in walk:
        appliance.now += pause
        expected = model.send(flow, event, appliance.now)
        engine = appliance.send(packet_of(flow, event))
        assert engine == expected if expected is not None else isinstance(engine, int)
    assert listed(appliance) == model.live(appliance.now)
    assert appliance.counters()["flows_created"] == model.created
    assert sum(live_flows(appliance.arena.array)) == model.created - appliance.counters()["flows_expired"]


def _open(appliance: Appliance, port: int) -> int | str:
    """Send a SYN, and the acknowledgment behind it where the SYN went through."""
    answer = appliance.send(tcp_packet(CLIENT, port, VIP, 80, 2))
    return appliance.send(tcp_packet(CLIENT, port, VIP, 80, 16)) if isinstance(answer, int) else answer


def test_flood_of_syns_puts_out_itself_only() -> None:
    appliance = make_appliance(flows=64)
    true = {port: _open(appliance, port) for port in range(1, 50)}
    assert all(isinstance(engine, int) for engine in true.values())
    for number in range(2_000):
        appliance.now += 10
        assert isinstance(appliance.send(tcp_packet(f"10.9.{number >> 8}.{number & 255}", 9, VIP, 80, 2)), int)
    assert {port: appliance.send(tcp_packet(CLIENT, port, VIP, 80, 16)) for port in true} == true
    counters = appliance.counters()
    assert sum(live_flows(appliance.arena.array)) == 2_049 - counters["flows_evicted"]
    assert sum(live_flows(appliance.arena.array)) <= 7 * appliance.arena.plan.buckets
    assert appliance.is_balanced()


def test_client_who_answers_in_time_keeps_his_flow_in_a_flood() -> None:
    """The oldest SYN of two buckets goes first: there are fourteen before it is the client's turn."""
    appliance = make_appliance(flows=64, algorithm=Algorithm.ROUND_ROBIN)
    number = kept = 0
    for port in range(1, 101):
        engine = appliance.send(tcp_packet(CLIENT, port, VIP, 80, 2))
        for _ in range(20):
            number += 1
            appliance.now += 10
            appliance.send(tcp_packet(f"10.9.{number >> 8 & 255}.{number & 255}", 9, VIP, 80, 2))
        kept += appliance.send(tcp_packet(CLIENT, port, VIP, 80, 16)) == engine
        appliance.send(tcp_packet(CLIENT, port, VIP, 80, 4))
        appliance.now += 66 * SECOND
    assert kept == 100


def test_flood_of_forged_datagrams_keeps_nobody_out() -> None:
    """A client of TCP gets in and stays, and so does a session of datagrams that goes on."""
    appliance = make_appliance(flows=64, algorithm=Algorithm.ROUND_ROBIN)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    session = appliance.send(udp_packet(CLIENT, 5_000, VIP, 53))
    true = {}
    for number in range(2_000):
        appliance.now += 10
        source = f"10.9.{number >> 8}.{number & 255}"
        assert isinstance(appliance.send(udp_packet(source, 9, VIP, 53)), int)
        if number % 4 == 0:
            assert appliance.send(udp_packet(CLIENT, 5_000, VIP, 53)) == session
        if number % 50 == 49:
            true[number] = _open(appliance, number)
    assert all(isinstance(engine, int) for engine in true.values())
    assert {port: appliance.send(tcp_packet(CLIENT, port, VIP, 80, 16)) for port in true} == true
    assert appliance.counters()["drop_flow_table_full_packets"] == 0
    assert appliance.counters()["flows_evicted"] > 1_500
    assert appliance.is_balanced()


def test_explain_of_a_full_table_changes_nothing() -> None:
    appliance = make_appliance(flows=16)
    for port in range(1, 200):
        appliance.send(tcp_packet(CLIENT, port, VIP, 80, 2))
    before = sum(live_flows(appliance.arena.array)), appliance.counters()
    explain(appliance.arena.array, CLIENT, 999, VIP, 80, now=appliance.now)
    assert before == (sum(live_flows(appliance.arena.array)), appliance.counters())


def test_full_table_refuses_the_new_and_keeps_the_old() -> None:
    appliance = make_appliance(flows=16)
    answers = {port: _open(appliance, port) for port in range(1, 200)}
    kept = {port: engine for port, engine in answers.items() if isinstance(engine, int)}
    refused = [port for port, engine in answers.items() if engine == "drop_flow_table_full_packets"]
    assert len(kept) + len(refused) == 199
    assert 16 <= len(kept) <= 7 * appliance.arena.plan.buckets
    assert {port: appliance.send(tcp_packet(CLIENT, port, VIP, 80, 16)) for port in kept} == kept
    assert appliance.counters()["flows_evicted"] == 0
    appliance.now += 6 * SECOND
    assert appliance.send(tcp_packet(CLIENT, refused[0], VIP, 80, 2)) == "drop_flow_table_full_packets"
    appliance.now += 300 * SECOND
    assert isinstance(appliance.send(tcp_packet(CLIENT, refused[0], VIP, 80, 2)), int)
    assert appliance.is_balanced()


def test_table_takes_more_flows_than_it_is_made_for() -> None:
    for flows in (16, 100, 1000):
        appliance = make_appliance(flows=flows)
        for number in range(flows):
            assert isinstance(appliance.send(tcp_packet(f"10.1.{number >> 8}.7", number, VIP, 80, 2)), int)


def test_sweep_forgets_silent_flows_a_little_at_a_time() -> None:
    appliance = make_appliance(flows=256)
    for port in range(1, 200):
        appliance.send(tcp_packet(CLIENT, port, VIP, 80, 2))
    assert sum(live_flows(appliance.arena.array)) == 199
    appliance.now += 5 * SECOND
    appliance.breathe()
    assert sum(live_flows(appliance.arena.array)) == 199
    left = []
    for _ in range(40):
        appliance.now += SECOND // 8
        appliance.breathe()
        left.append(sum(live_flows(appliance.arena.array)))
    assert left == sorted(left, reverse=True)
    assert left[0] > 150
    assert left[-1] == 0
    assert appliance.counters()["flows_expired"] == 199
    assert list_flows(appliance.arena.array, appliance.now).size == 0


@entry_kernel
def close(base: int, distributor: int, source: int, port: int, destination: int, other_port: int, now: int) -> int:
    return close_flow(base, distributor_at(distributor), 0, source, port, 0, destination, other_port, 6, now)


def test_engine_tells_that_a_connection_has_ended() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    arena = appliance.arena
    for port in (1, 2):
        appliance.send(tcp_packet(CLIENT, port, VIP, 80, 2))
        appliance.send(tcp_packet(CLIENT, port, VIP, 80, 16))
    memory, _, address = new(Distributor)
    start = arena.header.distributor
    memory[:] = arena.array[start : start + size_of(Distributor)]
    ends = words_of(CLIENT)[1], 2, words_of(VIP)[1], 80
    assert close(arena.base, address, *ends, appliance.now) == 1
    assert close(arena.base, address, ends[0], 3, *ends[2:], appliance.now) == 0
    assert listed(appliance)["tcp", 2 - 1000][1] == FlowState.CLOSED
    assert appliance.send(tcp_packet(CLIENT, 2, VIP, 80, 17)) == 1  # the FIN once more
    assert listed(appliance)["tcp", 2 - 1000][1] == FlowState.CLOSED
    assert appliance.send(tcp_packet(CLIENT, 2, VIP, 80, 2)) == 1
    assert listed(appliance)["tcp", 2 - 1000][1] == FlowState.SYN_ONLY
    assert close(arena.base, address, *ends, appliance.now) == 1  # told late, after the next connection's SYN
    assert appliance.send(tcp_packet(CLIENT, 2, VIP, 80, 16)) == 1
    assert listed(appliance)["tcp", 2 - 1000][1] == FlowState.ESTABLISHED
    assert listed(appliance)["tcp", 1 - 1000][1] == FlowState.ESTABLISHED


def test_lock_of_a_dead_decider_costs_new_flows_only_until_repair() -> None:
    appliance = make_appliance(flows=1)
    array = appliance.arena.array
    distributor = distributor_view(array)
    old = appliance.send(tcp_packet(CLIENT, 1, VIP, 80, 2))
    buckets = array[distributor.flow_buckets :][: 512 * distributor.flow_bucket_count].view("<i8").reshape(-1, 64)
    buckets[:, 0] = 1
    free = [(bucket, way) for bucket in range(len(buckets)) for way in range(1, 8) if buckets[bucket, way] == 0]
    buckets[free[0]] = 15 << 56 | 77
    assert appliance.send(tcp_packet(CLIENT, 2, VIP, 80, 2)) == "drop_flow_table_busy_packets"
    assert appliance.send(tcp_packet(CLIENT, 1, VIP, 80, 16)) == old
    assert repair_table(array, 0) == len(buckets) + 1
    assert isinstance(appliance.send(tcp_packet(CLIENT, 2, VIP, 80, 2)), int)
    assert sum(live_flows(array)) == 2


def test_list_of_flows_shows_packets_and_bytes() -> None:
    appliance = make_appliance()
    for flags in (2, 16, 16):
        appliance.send(tcp_packet(CLIENT, 4711, VIP, 80, flags))
    (row,) = list_flows(appliance.arena.array, appliance.now)
    assert flow_text(row) == "tcp 10.1.0.7:4711 → 10.1.0.100:80"
    assert (row["packets"], row["bytes"], row["created_at_s"]) == (3, 3 * 54, 1)


def test_table_of_transitions_never_frees_a_flow() -> None:
    for row in TRANSITIONS.values():
        assert len(row) >= len(FLAGS)
        assert FlowState.FREE not in row
