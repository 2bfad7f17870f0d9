"""How long segments may be: what routers say (RFC 1191), black holes and probes (RFC 4821), and what is remembered."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.simulation.path import Path
from benchmarks.simulation.world import Plan, World, run
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.handover.frozen import Refusal
from ncore_ray.engine.handover.run import Handover
from ncore_ray.engine.takeover.run import take_over
from ncore_ray.engine.tcp.state import Search
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import ethernet, icmp, ipv4, tcp
from ncore_ray.machine.record import new, size_of, table, view
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.direct import SenderMemory
from ncore_ray.tables.nic import Cutting, Nic, Transmit
from tests.support.tcp_script import SERVICE, SERVICE_MAC, WRAP, End, Script, configuration_text, established, open_pair

MSS = 1460
MINUTE_MS = 60_000
sides = pytest.mark.parametrize("side", ["client", "service"])


def too_big(s: Script, sequence: int, mtu: int, end: End | None = None) -> None:
    """Let a router say that the engine's segment to an end was too long."""
    end = s.end if end is None else end
    first = (end.engine_first + sequence) % WRAP
    quoted = ipv4(end.engine[0], end.own[0], 6, tcp(*end.engine, *end.own, 16, bytes(MSS), sequence=first))[:28]
    body = icmp(3, 4, struct.pack(">HH", 0, mtu) + quoted)
    frame = ethernet(ipv4("192.0.2.1", end.engine[0], 1, body), 0x0800, NIC_MACS[end.nic], end.mac)
    s.inject(end.nic, frame)
    s.settle()


def shrunk(s: Script, mtu: int = 1_400) -> None:
    """Let one full segment be too long, and what comes instead of it arrive."""
    sequence = s.end.received
    s.other.sends("A", data=MSS)
    s.settle()
    too_big(s, sequence, mtu)
    s.end.inbox.clear()
    s.end.sends("A", ack=sequence + MSS)
    s.settle()
    s.end.received = sequence + MSS
    clear(s)


def clear(s: Script) -> None:
    """Pass over what came so far."""
    for end in (s.client, s.service):
        end.inbox.clear()
    s.mark()


def idle(s: Script, minutes: float) -> None:
    """Let time go by; now and then the client says something, so that nobody loses patience."""
    while minutes > 0:
        s.wait(min(minutes, 0.9) * MINUTE_MS)
        s.client.sends("PA", data=1)
        s.settle()
        s.service.received = s.client.next
        s.service.sends("A")
        s.settle()
        minutes -= 0.9
    clear(s)


def connect_again(s: Script) -> None:
    """End the pair with resets and open another one between the same hosts."""
    for end in (s.client, s.service):
        if end.tcb() is not None:
            end.sends("R", seq=end.next)
            s.settle()
        end.engine_first, end.next, end.received, end.edge = -1, 0, 0, 0
    s.lab.learn(1, SERVICE, SERVICE_MAC)
    clear(s)
    s.client.own = (s.client.own[0], s.client.own[1] + 1)
    s.service.engine = (s.service.engine[0], 0)
    open_pair(s)
    clear(s)


@sides
@pytest.mark.parametrize("sack", [False, True])
def test_what_was_too_long_goes_out_again_at_once(side: str, sack: bool) -> None:
    with established(side, sack=sack) as s:
        s.other.sends("A", data=MSS)
        s.settle()
        s.other.inbox.clear()
        s.end.gets(f"PA 1+{MSS} ack 1")
        threshold = s.end.live().ssthresh
        too_big(s, 1, 1_400)
        s.end.gets("A 1+1360 ack 1")
        s.end.sends("A", ack=1361)
        s.end.gets("PA 1361+100 ack 1")
        s.end.sends("A", ack=1 + MSS)
        s.end.gets()
        assert s.end.live().ssthresh == threshold
        assert not s.end.live().in_recovery
        clear(s)


@sides
def test_the_other_connection_of_the_pair_keeps_its_segments(side: str) -> None:
    with established(side) as s:
        shrunk(s)
        assert (s.end.live().mss, s.other.live().mss) == (1_360, MSS)


@pytest.mark.parametrize("limit", [0, 536, 1_300, 9_000])
@pytest.mark.parametrize("cookies", ["auto", "always"])
def test_a_configured_size_bounds_both_ways(limit: int, cookies: str) -> None:
    """MSS clamping, towards clients and towards services; RFC 6691: what is told is without options."""
    told = min(limit, MSS) if limit else MSS
    with Script(tcp=f"syn_cookies: {cookies}, timestamps: true") as s:
        s.lab.vserver_record(0).mss = s.lab.service(0).mss = limit
        s.client.sends("S", mss=MSS, scale=7, ts=(7, 0))
        s.settle()
        ((_, answer),) = s.client.inbox
        assert answer.options[:4] == struct.pack(">BBH", 2, 4, told)
        s.client._text(answer)
        s.client.inbox.clear()
        s.client.sends("A", ts=(8, s.client.stamp))
        s.settle()
        ((_, syn),) = s.service.inbox
        assert syn.options[:4] == struct.pack(">BBH", 2, 4, told)
        s.service._text(syn)
        s.service.inbox.clear()
        s.service.sends("SA", mss=MSS, scale=7, ts=(9, s.service.stamp))
        s.settle()
        classes = [size for size in (536, 1_220, 1_360, 1_460) if size <= told]
        assert s.service.live().mss == told - 12
        assert classes[-1] - 12 <= s.client.live().mss <= told - 12  # of cookies, by classes
        clear(s)


@pytest.mark.parametrize("probing", ["off", "black-hole", "always"])
@sides
def test_a_new_connection_to_the_same_host_knows(side: str, probing: str) -> None:
    with established(side, tcp=f"mtu_probing: {probing}") as s:
        shrunk(s, 600)
        s.wait(9 * MINUTE_MS)
        connect_again(s)
        assert s.end.live().mss == 560
        assert s.end.live().cwnd == 5_600
        assert s.lab.totals().values["path_mtu_known"] == 1
        clear(s)


@sides
def test_after_ten_minutes_a_new_connection_begins_with_full_segments(side: str) -> None:
    with established(side) as s:
        shrunk(s)
        s.wait(10 * MINUTE_MS)
        connect_again(s)
        assert s.end.live().mss == MSS
        clear(s)


def test_after_ten_minutes_an_old_connection_goes_back_to_full_segments() -> None:
    with established(tcp="mtu_probing: off") as s:
        shrunk(s)
        idle(s, 9.9)
        s.service.sends("A", data=MSS)
        s.client.gets(f"A {1 + MSS}+1360 ack {s.client.next}", f"PA {1 + MSS + 1360}+100 ack {s.client.next}")
        s.client.sends("A")
        idle(s, 0.2)
        s.service.sends("A", data=MSS)
        s.client.gets(f"PA {1 + 2 * MSS}+{MSS} ack {s.client.next}")
        s.client.sends("A")
        s.settle()
        assert s.client.live().mtu_search == Search.NONE
        assert s.lab.totals().values["path_mtu_raises"] == 1
        clear(s)


def test_after_ten_minutes_a_probe_tries_full_segments() -> None:
    with established(sack=True) as s:
        shrunk(s)
        for _ in range(4):  # the window grows
            s.service.sends("A", data=4 * MSS)
            s.settle()
            while s.client.inbox:
                s.client._text(s.client.inbox.pop(0)[1])
                s.client.sends("A")
                s.settle()
        assert s.client.live().cwnd > 5 * MSS
        begin = s.client.received
        idle(s, 10.1)
        for _ in range(4):
            s.service.sends("A", data=MSS)
        ack = s.client.next
        s.client.gets(
            f"A {begin}+{MSS} ack {ack}",
            *(f"A {begin + MSS + n * 1360}+1360 ack {ack}" for n in range(3)),
            f"PA {begin + MSS + 3 * 1360}+300 ack {ack}",
        )
        s.client.sends("A")
        s.settle()
        s.service.sends("A", data=MSS)
        s.settle()
        assert s.client.live().mss == MSS
        assert s.client.live().mtu_search == Search.NONE
        clear(s)
        connect_again(s)
        assert s.client.live().mss == MSS  # the table has forgotten, too
        clear(s)


def test_large_segments_are_cut_anew_and_probes_are_not() -> None:
    """On a NIC that cuts: what it is told to cut by follows."""
    with established(tcp="mtu_probing: always", sack=True) as s:
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in ends:
            end.setblocking(False)
        row = view(Nic, s.lab.array, s.lab.arena.nics)
        row.transmit, row.offload = Transmit.DIRECT, Cutting.SEGMENTS
        kept, _, counters = new(SendCounters)
        s.lab._sender = SenderMemory([ends[0].fileno(), -1], counters)
        for _ in range(8):
            s.service.sends("A", data=MSS)
        s.settle()
        assert cut_by(ends[1]) == [(MSS, 0), (8 * 1_024, 1_024)]
        too_big(s, 1 + MSS, 600)
        s.client.sends("A", ack=1 + MSS)
        s.client.sends("A", ack=1 + MSS + 560)
        s.settle()
        assert set(cut_by(ends[1])) == {(560, 0)}
        s.client.sends("A", ack=1 + MSS + 8 * 1_024)
        s.settle()
        large = cut_by(ends[1])
        assert max(large)[0] > 3 * 560
        assert all(segment == (560 if payload > 560 else 0) for payload, segment in large)
        row.transmit, row.offload = Transmit.RING, Cutting.NOTHING
        for end in ends:
            end.close()
        del kept
        s.client.sends("A", ack=1 + 8 * MSS)
        s.settle()
        clear(s)


def cut_by(end: socket.socket) -> list[tuple[int, int]]:
    """Return payload and segment size (0: one packet) of all TCP packets that a socket with virtio headers got."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            data = end.recv(1 << 17)
        except BlockingIOError:
            return found
        payload = len(data) - 10 - 54
        if data[10 + 23] == 6 and payload:
            found.append((payload, struct.unpack("<H", data[4:6])[0]))


def test_a_flow_that_moves_keeps_its_segments_but_no_probe() -> None:
    with established(tcp="mtu_probing: always", sack=True) as s:
        too_much(s)
        assert s.client.live().probe_length == MSS
        frozen = Handover(s.lab.array).freeze(0, _number(s.client.live(), s))
        assert not isinstance(frozen, Refusal)
        other = EngineLab(configuration_text(tcp="mtu_probing: off"), connections=64, frames=512)
        found = Handover(other.array).thaw(0, frozen, s.lab.now)
        assert not isinstance(found, Refusal)
        (tcb,) = [tcb for tcb in other.connections() if tcb.nic == 0]
        assert (tcb.mss, tcb.mss_agreed, tcb.probe_length) == (1_024, MSS, 0)
        other.breathe(s.lab.now + 300_000)
        sent = [len(frame) - 54 for nic, frame in other.sent() if nic == 0]
        assert sent
        assert max(sent) <= 1_024
        clear(s)


def test_a_connection_that_is_taken_over_keeps_its_segments_but_no_probe() -> None:
    with established(tcp="mtu_probing: always", sack=True) as s:
        too_much(s)
        found = take_over(s.lab.array, 0, s.lab.now)
        assert (found.broken, found.unmarked) == (0, 0)
        tcb = s.client.live()
        assert (tcb.mss, tcb.probe_length) == (1_024, 0)
        s.breathe()  # all that the last breath made goes out again
        s.client.sends("A", ack=s.client.live().snd_max - tcb.iss & 0xFFFF_FFFF)
        s.settle()
        assert s.lab.totals().values["path_mtu_probes_arrived"] == 0
        assert s.client.live().mss == 1_024
        clear(s)


@pytest.mark.parametrize("mtu", [600, 1_400])
def test_what_is_known_of_ways_outlives_the_process(mtu: int) -> None:
    with established() as s:
        shrunk(s, mtu)
        take_over(s.lab.array, 0, s.lab.now)
        s.breathe()
        connect_again(s)
        assert s.client.live().mss == mtu - 40
        clear(s)


def too_much(s: Script) -> None:
    """Let the service send more than fits into the client's window, a probe first."""
    for _ in range(8):
        s.service.sends("A", data=MSS)
    s.settle()
    clear(s)


def _number(tcb: Tcb, s: Script) -> int:
    rows = table(Tcb, s.lab.array, s.lab.engine().connections, s.lab.engine().connection_count)
    (number,) = np.flatnonzero(rows["ports"] == tcb.ports)
    return int(number)


def test_size_of_the_record_is_as_documented() -> None:
    assert size_of(Tcb) == 816


PATH = Path(delay_us=10_000, rate=1_000_000, queue=200_000, mtu=1_300)


def _simulate(path: Path, size: int = 1_500_000, tcp: str = "", *, sack: bool = True) -> tuple[World, int]:
    world = World(Plan(path, size, tcp, sack=sack, limit_us=60_000_000))
    world.run()
    (tcb,) = [tcb for tcb in world.lab.connections() if tcb.nic == 0]
    assert world.sinks[0].position == size
    return world, int(tcb.mss)


@pytest.mark.parametrize("sack", [True, False])
def test_path_that_says_what_it_takes(sack: bool) -> None:
    world, mss = _simulate(replace(PATH, tells=True), 300_000, sack=sack)
    counters = world.counters()
    assert mss == 1_260
    assert counters["path_mtu_reductions"] == 1
    assert counters["path_mtu_repeated"] == 9  # of the first window
    assert counters["retransmission_timeouts"] == counters["fast_retransmits"] == counters["path_mtu_black_holes"] == 0
    assert world.seconds() < 0.5


@pytest.mark.parametrize("sack", [True, False])
@pytest.mark.parametrize("congestion", ["cubic", "bbr"])
def test_path_that_drops_long_packets_silently(congestion: str, sack: bool) -> None:
    world, mss = _simulate(PATH, tcp=f"congestion: {congestion}", sack=sack)
    counters = world.counters()
    assert 1_260 - 8 < mss <= 1_260
    assert counters["path_mtu_black_holes"] == counters["path_mtu_suspicions"] == 1
    assert counters["path_mtu_probes"] == counters["path_mtu_probes_arrived"] + counters["path_mtu_probes_lost"]
    assert counters["retransmission_timeouts"] == 3  # none for a probe
    assert world.seconds() < 4.5


def test_path_that_takes_all_is_found_out_by_one_probe() -> None:
    world, mss = _simulate(replace(PATH, mtu=0), 300_000, "mtu_probing: always")
    assert mss == MSS
    assert world.counters()["path_mtu_probes"] == world.counters()["path_mtu_probes_arrived"] == 1


@pytest.mark.parametrize("tcp", ["mtu_probing: always", "congestion: bbr", "timestamps: true, ecn: offer"])
@pytest.mark.parametrize("sack", [True, False])
@pytest.mark.parametrize("tells", [True, False])
def test_streams_over_bad_and_narrow_paths(tells: bool, sack: bool, tcp: str) -> None:
    """Losses of other causes may make a probe seem lost, so segments may be somewhat smaller than they could be."""
    path = replace(PATH, tells=tells, loss=0.02, reordering=0.02, duplication=0.01)
    world, mss = _simulate(path, 400_000, tcp, sack=sack)
    assert mss <= 1_260
    assert world.sinks[0].finished_at


def test_without_probes_a_silent_path_is_never_crossed() -> None:
    """What the others are compared with."""
    world = run(Plan(PATH, 300_000, "mtu_probing: off", limit_us=20_000_000))
    assert world.sinks[0].position == 0
