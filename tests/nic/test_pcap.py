"""Captures in and out, and traces, byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncore_ray.nic.capture import CaptureWriter, read_capture
from ncore_ray.nic.driver import NicError
from ncore_ray.nic.faults import FaultSettings
from ncore_ray.nic.pcap import PcapDriver
from ncore_ray.nic.small_arena import make_small_arena
from ncore_ray.nic.trace import Tracer
from tests.nic.harness import Rig, memory_rig, number_of, packet


def write_capture(path: Path, packets: list[tuple[int, bytes]]) -> None:
    with CaptureWriter(path) as writer:
        for at_us, data in packets:
            writer.write(at_us, data)


def opened(source: Path | None, target: Path | None, *, paced: bool = False) -> tuple[Rig, PcapDriver]:
    driver = PcapDriver(source, target, paced=paced, clock_shift_us=0)
    driver.open()
    return Rig(make_small_arena(), driver), driver


def test_pcap_in_pcap_out_golden(tmp_path: Path) -> None:
    """What a NIC of files sends back unchanged makes a capture of the same bytes."""
    source, target = tmp_path / "in.pcap", tmp_path / "out.pcap"
    rig, driver = None, None
    write_capture(source, [(1_000_010, packet(number, 60 + 7 * number)) for number in range(20)])
    rig, driver = opened(source, target)
    rig.read(10)
    for place, one in enumerate(rig.take_all()):
        rig.send(64 + place, one.data)
        rig.give_back(one.frame)
    rig.write(0)
    driver.close()
    assert target.read_bytes() == source.read_bytes()


def test_paced_by_its_timestamps(tmp_path: Path) -> None:
    source = tmp_path / "in.pcap"
    write_capture(source, [(5_000_000 + 250 * number, packet(number)) for number in range(3)])
    rig, _ = opened(source, None, paced=True)
    came = [[number_of(one.data) for one in rig.receive(125)] for _ in range(5)]
    assert came == [[0], [], [1], [], [2]]


def test_a_packet_cut_by_the_capture_is_dropped(tmp_path: Path) -> None:
    source = tmp_path / "in.pcap"
    write_capture(source, [(0, packet(1)), (0, packet(2))])
    raw = bytearray(source.read_bytes())
    raw[24 + 12] = 61  # the first packet's length on the wire: one byte more than captured
    source.write_bytes(raw)
    rig, _ = opened(source, None)
    assert [number_of(one.data) for one in rig.receive()] == [2]
    assert rig.received.drop_nic_truncated_packets == 1


def test_errors_come_at_open(tmp_path: Path) -> None:
    with pytest.raises(NicError, match="cannot be read"):
        PcapDriver(tmp_path / "none.pcap").open()


def test_without_files_it_is_silent() -> None:
    rig, driver = opened(None, None)
    assert rig.read() == 0
    rig.send(64, packet())
    assert rig.write() == 1
    driver.close()


def test_the_trace_shows_what_the_appliance_saw_and_did(tmp_path: Path) -> None:
    rig, driver = memory_rig()
    tracer = Tracer(tmp_path / "trace.pcap", clock_shift_us=5)
    rig.trace(tracer)
    driver.put(packet(1))
    rig.read()
    rig.send(64, packet(2))
    rig.write()
    driver.put(packet(3))
    rig.read()
    tracer.close()
    times = [1_000_015, 1_000_025, 1_000_035]
    assert read_capture(tmp_path / "trace.pcap") == [(at, packet(n + 1), 60) for n, at in enumerate(times)]


def test_the_trace_lies_behind_the_injector(tmp_path: Path) -> None:
    rig, driver = memory_rig()
    tracer = Tracer(tmp_path / "trace.pcap")
    rig.trace(tracer)
    rig.inject(FaultSettings(loss=1_000_000))
    driver.put(packet(1))
    rig.read()
    rig.send(64, packet(2))
    rig.write()
    tracer.close()
    assert [one.data for one in read_capture(tmp_path / "trace.pcap")] == [packet(2)]
    assert driver.sent() == []


def test_a_full_trace_loses_records_not_packets(tmp_path: Path) -> None:
    rig, driver = memory_rig()
    tracer = Tracer(tmp_path / "trace.pcap", capacity=160)
    rig.trace(tracer)
    for number in range(5):
        driver.put(packet(number))
        rig.send(64 + number, packet(number))
    rig.read()
    rig.write()
    tracer.close()
    assert len(rig.take_all()) == len(driver.sent()) == 5
    assert rig.received.lost_trace_packets == rig.written.lost_trace_packets == 3
    assert len(read_capture(tmp_path / "trace.pcap")) == 4
