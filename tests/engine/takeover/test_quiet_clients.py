"""Clients with the unit `transaction` whose engine dies: who waits for no answer goes on, the others are reset."""

from __future__ import annotations

from ncore_ray.engine.connection import Role
from ncore_ray.engine.takeover.run import Takeover, take_over
from tests.engine.http.http_talk import get
from tests.engine.transaction.transaction_lab import answer_all, answers, asked, pipeline, roles, sharing
from tests.support.http_lab import SECOND, HttpLab


def die(lab: HttpLab, engine: int = 0) -> Takeover:
    lab.now += SECOND // 10
    found = take_over(lab.array, engine, lab.now)
    assert found.unmarked == 0
    return found


def test_who_waits_for_nothing_goes_on() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(4)))
        answer_all(lab)
        client.expect(answers(range(4)))
        assert Role.SPLIT in roles(lab, 0)
        die(lab)
        lab.settle()
        assert Role.SPLIT in roles(lab, 0)
        client.send(pipeline(range(4, 8)))
        answer_all(lab)
        client.expect(answers(range(4, 8)))


def test_who_has_not_asked_yet_goes_on() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect()
        die(lab)
        client.send(get(1))
        answer_all(lab)
        client.expect(answers([1]))


def test_who_waits_for_an_answer_is_reset() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(3)))
        assert set(asked(lab)) == {0, 1, 2}
        die(lab)
        client.expect_reset()
        lab.servers[0].peers.clear()


def test_the_death_of_an_engine_that_serves_resets_no_quiet_client() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(4)))
        answer_all(lab)
        client.expect(answers(range(4)))
        die(lab, 1)
        lab.settle()
        client.send(pipeline(range(4, 8)))
        answer_all(lab)
        client.expect(answers(range(4, 8)))
