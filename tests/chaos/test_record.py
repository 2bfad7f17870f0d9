"""Which gaps of which downloads are the consequence of a fault."""

from __future__ import annotations

from ncore_ray.chaos.record import Download, Fault, quantile, stalls

END = "10.1.0.2:40000"


def download(began: float, ended: float, *gaps: tuple[float, float], local: str = END) -> Download:
    return Download("u", local, began, ended, gaps=list(gaps))


def fault(at: float, *flows: str) -> Fault:
    return Fault(at, "engine-0", "kill", 1, 0.1, "", flows or (END,))


def test_the_longest_gap_that_begins_before_the_repair() -> None:
    one = download(4.9, 9, (4.99, 0.2), (5.05, 0.4), (5.2, 0.9))
    assert stalls([one], [fault(5.0)]) == ([0.4], [])


def test_a_gap_that_had_begun_counts() -> None:
    assert stalls([download(4.0, 20, (4.5, 0.8))], [fault(5.0)]) == ([0.8], [])


def test_the_time_before_for_comparison() -> None:
    one = download(0, 20, (3.5, 0.6), (5.0, 0.3))
    assert stalls([one], [fault(5.0)]) == ([0.3], [0.6])


def test_no_gap_worth_noting() -> None:
    assert stalls([download(0, 9)], [fault(5.0)]) == ([0.0], [0.0])


def test_only_what_was_under_way_at_the_actor() -> None:
    others = [download(0, 4.9, (4.0, 0.5)), download(5.1, 9, (6.0, 0.5)), download(0, 9, (5, 1.0), local="other")]
    assert stalls(others, [fault(5.0)]) == ([], [])


def test_each_fault_is_judged_by_itself() -> None:
    one = download(0, 30, (5.0, 0.3), (20.0, 0.1))
    assert stalls([one], [fault(5.0), fault(20.0)])[0] == [0.3, 0.1]


def test_quantiles() -> None:
    assert quantile([], 0.5) is None
    assert [quantile([3.0, 1.0, 2.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 2.0, 3.0]


def test_plain_data_and_back() -> None:
    one = download(0, 9, (1.0, 0.9))
    assert Download.from_plain(one.plain()) == one
