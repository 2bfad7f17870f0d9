"""The simulation: its parts, and some of its figures against those that were accepted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.simulation import snapshot
from benchmarks.simulation.path import Link, Path
from benchmarks.simulation.tables import all_tables, jain, measure
from benchmarks.simulation.world import Plan, run
from ncore_ray.machine.jit import JIT

SECOND = 1_000_000
COMPARED = [
    ("goodput", "2 ms, 1.0% lost"),
    ("goodput", "20 ms, 1.0% lost"),
    ("reordering", "10% late by 10 ms"),
    ("bursts", "16 lost in the middle"),
    ("bursts", "4 lost at the end"),
]


def test_a_link_delays_by_its_delay_and_rate() -> None:
    link = Link(Path(delay_us=1_000, rate=1_000_000, queue=10_000), 1, is_forward=True)
    assert link.carry(0, 1_000) == [2_000]
    assert link.carry(0, 1_000) == [3_000]
    assert link.carry(10_000, 1_000) == [12_000]


def test_a_queue_drops_at_its_tail() -> None:
    link = Link(Path(delay_us=0, rate=1_000, queue=2_500), 1, is_forward=True)
    assert [bool(link.carry(0, 1_000)) for _ in range(4)] == [True, True, False, False]
    assert link.carry(2 * SECOND, 1_000)


def test_packets_come_to_a_queue_by_chance_but_those_of_a_stream_in_order() -> None:
    link = Link(Path(jitter_us=100), 3, is_forward=True)
    times = [link.enters_at(20 * number, number % 2) for number in range(1_000)]
    assert all(20 * number <= at <= 20 * number + 100 for number, at in enumerate(times))
    for stream in (times[::2], times[1::2]):
        assert stream == sorted(stream)
    assert times != sorted(times)


def test_a_queue_that_overflows_costs_each_packet_that_it_dropped_and_no_other() -> None:
    world = run(Plan(Path(50_000, 12_500_000, 256_000), 8_000_000))
    counters = world.counters()
    assert world.forward.dropped > 200  # every second one of a burst: as many holes as that
    assert counters["retransmitted_segments"] == world.forward.dropped
    assert counters["duplicate_sack_blocks"] == counters["retransmission_timeouts"] == 0


PATH = Path(delay_us=1_000, late_us=500)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (replace(PATH, loss=0.2), []),
        (replace(PATH, duplication=0.2), [1_000, 1_000]),
        (replace(PATH, reordering=0.2), [1_500]),
    ],
    ids=["loss", "duplication", "reordering"],
)
def test_a_link_does_to_packets_what_it_is_told(path: Path, expected: list[int]) -> None:
    link, same = (Link(path, 7, is_forward=True) for _ in range(2))
    arrivals = [link.carry(0, 100) for _ in range(5_000)]
    touched = [times for times in arrivals if times != [1_000]]
    assert len(touched) == pytest.approx(1_000, abs=100)
    assert all(times == expected for times in touched)
    assert [same.carry(0, 100) for _ in range(5_000)] == arrivals


def test_runs_of_losses_are_those_named() -> None:
    link = Link(Path(losses=((1, 2), (4, 1))), 1, is_forward=True)
    assert [bool(link.carry(0, 1)) for _ in range(6)] == [True, False, False, True, False, True]
    back = Link(Path(losses=((0, 6),), rate=1), 1, is_forward=False)
    assert back.carry(0, 1_000) == [10_000]


def test_fairness_index() -> None:
    assert jain([3.0, 3.0, 3.0]) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)


def test_a_clean_path_is_filled_and_the_same_each_time() -> None:
    plan = Plan(Path(1_000, 2_500_000, 500_000), 300_000)
    worlds = [run(plan) for _ in range(2)]
    assert worlds[0].seconds() == worlds[1].seconds()
    assert worlds[0].rate() > 0.85 * 2_500_000
    assert worlds[0].counters()["retransmitted_segments"] == 0


@pytest.mark.skipif(not JIT, reason="takes minutes in plain Python")
@pytest.mark.parametrize(("name", "row"), COMPARED)
def test_figures_are_those_that_were_accepted(name: str, row: str) -> None:
    table = all_tables()[name]
    cells = tuple(cell for cell in table.cells if cell.row == row)
    assert cells
    part = type(table)(table.name, table.title, table.unit, cells)
    accepted = snapshot.load()[name][row]
    for column, found in measure(part, lambda _: None)[row].items():
        assert not snapshot.differs(accepted[column], found), f"{row}, {column}: {found}, accepted {accepted[column]}"


def test_every_cell_has_an_accepted_figure() -> None:
    accepted = snapshot.load()
    for name, table in all_tables().items():
        assert {row: set(figures) for row, figures in accepted[name].items()} == {
            row: {cell.column for cell in table.cells if cell.row == row} for row in {cell.row for cell in table.cells}
        }


def test_the_documentation_shows_what_was_accepted() -> None:
    found = snapshot.MARKED.search(snapshot.DOCUMENT.read_text())
    assert found is not None
    assert found[2].strip() == snapshot.documentation(all_tables())
