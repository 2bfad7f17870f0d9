"""The replicator with each engine's consent: what it asks and sends; all agree, or nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgpack
import pytest

from ncore_ray.actors.answers import Answers
from ncore_ray.actors.teller import Teller
from ncore_ray.arena.core import Actor
from ncore_ray.config.apply import apply
from ncore_ray.config.language import parse_command
from ncore_ray.config.load import dump
from ncore_ray.management.courier import Courier, DisagreementError, by_messages
from ncore_ray.management.desk import Desk
from ncore_ray.management.replicator import Replicator
from ncore_ray.office.notebook import Notebook
from tests.management.live_lab import LiveLab, changing
from tests.management.test_replicator import set_word

ENGINES = 2
Asked = list[tuple[int, Any]]


def _direct(lab: LiveLab, asked: Asked) -> Courier:
    """Return a courier that asks as an actor is called, and notes what it carried."""
    answers = {engine: Answers(lab.array, Actor.ENGINE + engine) for engine in range(ENGINES)}

    def ask(questions: Mapping[int, Any]) -> dict[int, Any]:
        asked.extend(questions.items())
        return {
            engine: msgpack.unpackb(answers[engine].answer_packed(msgpack.packb(question)))
            for engine, question in questions.items()
        }

    return Courier(ask)


@contextmanager
def _by_messages(lab: LiveLab) -> Iterator[Courier]:
    desk = Desk(lab.array).start()
    tellers = [Teller(lab.array, Actor.ENGINE + engine) for engine in range(ENGINES)]
    for teller in tellers:
        teller.start()
    try:
        yield by_messages(desk)
    finally:
        desk.stop()
        for teller in tellers:
            teller.end()


@contextmanager
def _lab() -> Iterator[LiveLab]:
    with changing(services=2, engines=ENGINES) as lab:
        Notebook(lab.array).note(text=dump(lab.wanted))
        yield lab


def _want(lab: LiveLab, connect_us: int) -> None:
    timeouts = lab.wanted.timeouts.model_copy(update={"connect": connect_us})
    lab.wanted = lab.wanted.model_copy(update={"timeouts": timeouts})


def test_each_engine_says_what_it_works_by_and_gets_exactly_the_difference() -> None:
    with _lab() as lab:
        asked: Asked = []
        replicator = Replicator(lab.tables, _direct(lab, asked))
        assert replicator.follow(lab.wanted) is None
        assert [(engine, one["ask"]) for engine, one in asked] == [(0, "configuration"), (1, "configuration")]
        asked.clear()
        _want(lab, 5_000_000)
        set_word(lab.engine(1), retries=2)
        done = replicator.follow(lab.wanted)
        assert done is not None
        sent = {engine: one["commands"] for engine, one in asked if one["ask"] == "prepare"}
        assert sent == {
            0: ["set vserver v timeouts.connect=5s"],
            1: ["unset tcp retries", "set vserver v timeouts.connect=5s"],
        }
        assert set(lab.tables.of_engines().values()) == {lab.of_engine()}
        assert replicator.follow(lab.wanted) is None


def test_a_nic_goes_with_what_is_beyond_it_by_consent() -> None:
    """What the engines work by at that moment does not fit to the NICs that are wanted."""
    with _lab() as lab:
        replicator = Replicator(lab.tables, _direct(lab, []))
        for commands in (
            ["rm vserver v", "rm service s0", "rm service s1", "rm nic nc1"],
            ["add nic nc1 driver=memory addresses=10.2.0.10/24", "add service s2 address=10.2.0.9:80 monitor=none"],
        ):
            lab.wanted = apply(map(parse_command, commands), lab.wanted)
            assert replicator.follow(lab.wanted) is not None
            assert [one.name for one in lab.of_engine().services] == [one.name for one in lab.wanted.services]


def test_by_messages_in_both_directions() -> None:
    with _lab() as lab, _by_messages(lab) as courier:
        found = courier.configurations(range(ENGINES), lab.wanted)
        assert found == lab.tables.of_engines()
        _want(lab, 7_000_000)
        assert Replicator(lab.tables, courier).follow(lab.wanted) is not None
        assert lab.of_engine().vservers[0].timeouts.connect == 7_000_000


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda answer: None, "engine-1: it does not answer"),
        (lambda answer: {"error": "no"}, "engine-1: no"),
        (lambda answer: {"refused": "I will not"}, "engine-1 does not agree: I will not"),
    ],
)
def test_one_that_does_not_agree_and_nothing_is_changed(spoil: Callable[[Any], Any], said: str) -> None:
    with _lab() as lab:
        courier = _direct(lab, [])
        ask = courier._ask

        def spoilt(questions: Mapping[int, Any]) -> dict[int, Any]:
            found = dict(ask(questions))
            if questions[1]["ask"] == "prepare":
                found[1] = spoil(found[1])
            return {engine: answer for engine, answer in found.items() if answer is not None}

        _want(lab, 5_000_000)
        epoch, before = lab.tables.epoch, lab.tables.of_engines()
        with pytest.raises(DisagreementError, match=said):
            Replicator(lab.tables, Courier(spoilt)).follow(lab.wanted)
        assert (lab.tables.epoch, lab.tables.of_engines()) == (epoch, before)
        assert Replicator(lab.tables, courier).follow(lab.wanted) is not None


def test_an_engine_looks_for_itself() -> None:
    with _lab() as lab:
        answers, assumed = Answers(lab.array, Actor.ENGINE), {"appliance": {"name": "lab", "engines": ENGINES}}
        wrong = answers.answer({"ask": "prepare", "commands": ["set service s0 weight=9"], "assumed": assumed})
        assert wrong == {"refused": "the commands do not lead to what is prepared"}
        assert "nonsense" in answers.answer({"ask": "prepare", "commands": ["nonsense"], "assumed": assumed})["refused"]
        assert answers.answer({"ask": "colour"}) == {"error": "nobody knows the question colour"}
        assert answers.answer(7) == {"error": "nobody knows the question None"}
