"""The configuration service: versions, refusals that change nothing, and the looking after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ncore_ray.blueprint.rows import TableFullError
from ncore_ray.config.change import ChangeError
from ncore_ray.config.load import dump, parse
from ncore_ray.config.model import Configuration
from ncore_ray.management.configuration import ConfigurationService, RestartNeededError
from ncore_ray.management.courier import DisagreementError
from ncore_ray.management.store import SqliteStore, StoreError
from tests.management.live_lab import LiveLab
from tests.management.test_live import ask
from tests.support.http_lab import configuration


class Served:
    """A lab with the service of its configuration, and what that has told."""

    def __init__(self, text: str, store: SqliteStore | None = None) -> None:
        self.lab = LiveLab(text, connections=64, frames=512)
        self.store = store or SqliteStore(None)
        self.told: list[tuple[str, str]] = []
        self.changed: list[Configuration] = []
        self.service = ConfigurationService(
            self.store,
            self.lab.tables,
            self.lab.wanted,
            has_links=False,
            tell=lambda level, text: self.told.append((level, text)),
            changed=self.changed.append,
        )
        self.service.start("edge.yaml", "ann")


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served(configuration(services=2, engines=2, limits="services: 3"))
    yield one
    one.service.stop()


def test_a_change_is_stored_told_and_in_force(served: Served) -> None:
    done = served.service.change(["set service s1 weight=3"], "bob", "why")
    assert (done["version"], done["commands"], done["late"]) == (2, ["set service s1 weight=3"], [])
    assert [served.lab.of_engine(engine).service("s1").weight for engine in range(2)] == [3, 3]
    last = served.store.latest()
    assert last is not None
    assert (last.author, last.comment, parse(last.configuration)) == ("bob", "why", served.service.wanted)
    assert served.changed == [served.service.wanted]
    assert served.told == [("info", "configuration version 2 by bob: set service s1 weight=3")]
    assert served.service.change(["set service s1 weight=3"], "bob")["commands"] == []
    assert len(served.store.versions()) == 2


def test_several_commands_are_one_change(served: Served) -> None:
    served.service.change(["unbind v s1", "rm service s1", "add service s9 address=10.2.0.9:80", "bind v s9"], "bob")
    assert served.lab.services() == ["s0", "s1*", "s9"]
    assert served.told[-1][1] == "configuration version 2 by bob: 4 changes"


def test_apply_preview_and_rollback(served: Served) -> None:
    first = dump(served.service.wanted)
    second = first.replace("name: s1,", "name: s1, weight: 7,")
    assert served.service.preview(second, "x")["commands"] == ["set service s1 weight=7"]
    served.service.apply(second, "edge.yaml", "bob")
    assert served.service.version(2)["comment"] == "apply edge.yaml"
    served.service.rollback(1, "eve")
    assert dump(served.service.wanted) == first
    assert [(one["number"], one["author"], one["comment"]) for one in served.service.versions(9)] == [
        (3, "eve", "rollback to version 1"),
        (2, "bob", "apply edge.yaml"),
        (1, "ann", "built from edge.yaml"),
    ]


@pytest.mark.parametrize(
    ("commands", "error"),
    [
        (["set service s9 weight=1"], ChangeError),
        (["set service s1 weight=3", "set service s1 weight=0"], ChangeError),
        (["set service s1 weight=3", "set appliance engines=3"], RestartNeededError),
        ([f"add service x{number} address=10.2.0.9:{number}" for number in (1, 2)], TableFullError),
    ],
)
def test_a_change_that_is_refused_leaves_all_as_it_was(
    served: Served, commands: list[str], error: type[Exception]
) -> None:
    before = served.lab.tables.image()
    with pytest.raises(error):
        served.service.change(commands, "bob")
    assert served.lab.tables.image() == before
    assert len(served.store.versions()) == 1
    assert (served.told, served.changed) == ([], [])


def test_a_change_that_an_engine_does_not_agree_to_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(configuration(services=2, engines=2))
    service, before, image = served.service, served.service.wanted, served.lab.tables.image()
    service._stopping.set()  # no look but ours
    agrees = False

    def agree(*_: object) -> None:
        if not agrees:
            raise DisagreementError("engine-1 does not agree: no; nothing was changed")

    monkeypatch.setattr(service._replicator, "_agree", agree)
    with pytest.raises(DisagreementError):
        service.change(["set service s1 weight=3"], "bob")
    assert (service.wanted, served.lab.tables.epoch, served.changed) == (before, 1, [])
    assert [served.lab.of_engine(engine).service("s1").weight for engine in range(2)] == [1, 1]
    last = served.store.latest()
    assert last is not None
    assert (last.number, last.commands) == (3, ("unset service s1 weight",))
    assert last.comment == "version 2 did not come into force: engine-1 does not agree: no; nothing was changed"
    agrees = True
    assert service.look() is None  # nobody tries again what was refused
    assert served.lab.tables.image() == image
    assert service.change(["set service s1 weight=3"], "bob")["version"] == 4
    assert [served.lab.of_engine(engine).service("s1").weight for engine in range(2)] == [3, 3]


def test_looks_that_fail_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    served = Served(configuration(services=2))
    served.service._stopping.set()
    with caplog.at_level("WARNING", "ncore_ray"):
        for _ in range(100):
            served.service._say(DisagreementError("engine-0: it does not answer"))
    assert served.told == [("warning", "the configuration is not replicated: engine-0: it does not answer")]
    assert len(caplog.records) == 7


def test_a_version_that_somebody_else_has_stored_is_not_passed_over(served: Served) -> None:
    served.store.append("elsewhere", author="eve", after=1)
    with pytest.raises(StoreError, match="version 2 by eve"):
        served.service.change(["set service s1 weight=3"], "bob")
    assert served.lab.of_engine().service("s1").weight == 1


def test_what_is_put_out_of_step_by_hand_is_repaired_and_told(served: Served) -> None:
    assert served.service.look() is None
    served.lab.engine(1).retries = 2
    done = served.service.look()
    assert done is not None
    assert served.told == [("warning", "engine-1 worked by another configuration, repaired: unset tcp retries")]
    assert served.lab.engine(1).retries == 8
    assert served.service.look() is None
    client = served.lab.client().connect()
    assert [ask(served.lab, client) for _ in range(2)] == [0, 1]


def test_the_same_configuration_is_no_new_version() -> None:
    store = SqliteStore(None)
    for _ in range(2):
        Served(configuration(services=2), store).service._stopping.set()
    assert [version.number for version in store.versions()] == [1]


def test_another_configuration_at_the_start_says_what_differs() -> None:
    store = SqliteStore(None)
    Served(configuration(services=2), store).service._stopping.set()
    Served(configuration(services=1), store).service._stopping.set()
    last = store.latest()
    assert last is not None
    assert (last.number, last.commands) == (2, ("unbind v s1", "rm service s1"))
