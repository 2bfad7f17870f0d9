"""What passes from one management to the next: the notebook and the journal, whatever the moment of a death."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from ncore_ray.arena.layout import Layout, format_arena
from ncore_ray.arena.lease import Tenure
from ncore_ray.management.events import EventLog
from ncore_ray.management.office import Office
from ncore_ray.management.processes import ThreadState
from ncore_ray.management.seat import HUNG_S, STARVED_S, TAKING_S, LeaseWatch, NotActiveError, Seat
from ncore_ray.office.journal import Journal
from ncore_ray.office.notebook import Notebook, NotebookFullError, read_notes
from ncore_ray.office.place import init_office, lease_of, plan_office


@pytest.fixture
def array() -> Any:
    layout = Layout()
    plan_office(layout, 8)
    made = np.zeros(layout.size, np.uint8)
    format_arena(made, layout, 7, 1)
    init_office(made, 8)
    return made


def test_one_of_two_takes_the_lease(array: Any) -> None:
    first, second = Seat(array), Seat(array)
    assert first.take(0)
    assert not second.take(0)
    first.check()
    with pytest.raises(NotActiveError):
        second.check()
    assert second.take(1)
    with pytest.raises(NotActiveError):
        first.renew()
    second.renew()


def test_who_lost_the_lease_notes_nothing(array: Any) -> None:
    first, second = Office(array), Office(array)
    first.seat.take(0)
    first.note(order=[0, 1])
    second.seat.take(1)
    with pytest.raises(NotActiveError):
        first.note(order=[1])
    assert Office(array).notes() == {"order": [0, 1]}


def test_notes_are_merged_and_the_state_before_stays_until_the_last_store(array: Any) -> None:
    book = Notebook(array)
    book.note(text="a", order=[0])
    word = lease_of(array).notes
    book.note(order=[1], pauses={"engine-0": [1.5, 2]})
    assert read_notes(array) == {"text": "a", "order": [1], "pauses": {"engine-0": [1.5, 2]}}
    lease_of(array).notes = word  # as if the writer had died before its last store
    assert read_notes(array) == {"text": "a", "order": [0]}


def test_what_does_not_fit_changes_nothing(array: Any) -> None:
    book = Notebook(array)
    book.note(text="a")
    noise = np.random.default_rng(1).bytes(200_000)
    with pytest.raises(NotebookFullError, match="expected"):
        book.note(more=noise)
    book.note(order=[3])
    assert read_notes(array) == {"text": "a", "order": [3]}


@pytest.mark.parametrize("count", [0, 1, 500, 5_000])
def test_the_journal_has_the_latest_events(array: Any, count: int) -> None:
    journal = Journal(array)
    events = [{"number": k, "at": k / 7, "level": "info", "text": f"{'x' * (k % 97)} ä {k}"} for k in range(count)]
    for event in events:
        journal.append(event)
    found = Journal(array).read()
    assert found == events[len(events) - len(found) :]
    assert len(found) >= min(count, 500)


def test_more_memory_keeps_more_events_and_notes(array: Any) -> None:
    layout = Layout()
    plan_office(layout, 8, 1 << 20)
    made = np.zeros(layout.size, np.uint8)
    format_arena(made, layout, 7, 1)
    init_office(made, 8, 1 << 20)
    lease = lease_of(made)
    assert (1 << 20) - 8_192 < lease.journal_size + 2 * lease.slot_size <= 1 << 20
    journals, notes = [Journal(array), Journal(made)], random.Random(1).randbytes(90_000).hex()
    for journal in journals:
        for number in range(2_000):
            journal.append({"number": number, "at": number / 7, "level": "info", "text": "x" * 297})
    few, many = (len(journal.read()) for journal in journals)
    assert few < 500 < 900 < many
    with pytest.raises(NotebookFullError):
        Notebook(array).note(text=notes)
    Notebook(made).note(text=notes)
    assert read_notes(made) == {"text": notes}


def test_events_go_on_with_their_numbers(array: Any) -> None:
    office, log = Office(array), EventLog()
    log.add("info", "early")
    office.open()
    log.continue_in([], office.keep)
    log.add("warning", "one")
    later, again = Office(array), EventLog()
    again.add("info", "before it knew")
    again.continue_in(later.events(), later.keep)
    again.add("info", "two")
    assert [(event["number"], event["text"]) for event in again.after(0)] == [
        (1, "early"),
        (2, "one"),
        (3, "before it knew"),
        (4, "two"),
    ]
    assert later.events() == again.after(0)


def _watched(array: Any, letter: str = "S", cpu_s: float = 0.0) -> tuple[Seat, LeaseWatch]:
    seat = Seat(array)
    seat.take(0)
    seat.serve()
    return seat, LeaseWatch(Seat(array), lambda process, thread: ThreadState(letter, cpu_s))


def _patience(watch: LeaseWatch) -> float:
    """Return after how many seconds without a sign of life somebody takes over."""
    spent = 0.0
    while watch.look(0.1) is None:
        spent += 0.1
        assert spent < 60
    return spent


def test_a_dead_holder_is_seen_at_once(array: Any) -> None:
    _, watch = _watched(array, letter="")
    assert watch.look(0.1) == "died"


@pytest.mark.parametrize(("letter", "after_s"), [("T", HUNG_S), ("S", HUNG_S), ("D", HUNG_S), ("R", STARVED_S)])
def test_a_holder_that_hangs(array: Any, letter: str, after_s: float) -> None:
    _, watch = _watched(array, letter=letter)
    assert _patience(watch) == pytest.approx(after_s, abs=0.2)


def test_one_that_takes_over_has_more_time(array: Any) -> None:
    seat, watch = _watched(array)
    lease_of(array).tenure = Tenure.TAKING_OVER
    assert _patience(watch) == pytest.approx(TAKING_S, abs=0.2)
    seat.serve()


def test_who_renews_is_left_alone_and_who_has_closed_too(array: Any) -> None:
    seat, watch = _watched(array)
    for number in range(100):
        lease_of(array).renewed_at = number
        assert watch.look(0.2) is None
    seat.close()
    assert all(watch.look(1.0) is None for _ in range(100))
