"""Appliances that cannot be built, on a real Ray: nothing is left of them."""

from __future__ import annotations

import pytest
import ray

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.errors import NcoreError
from ncore_ray.management.processes import wait_until
from tests.support.ray_kit import plain_text

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600), pytest.mark.usefixtures("own_ray")]


def test_a_build_that_fails_leaves_nothing_and_names_the_actor() -> None:
    text = plain_text("broken").replace("driver: memory", "driver: pcap, input: /nowhere.pcap")
    before = workers()
    sentence = r"^broken/nic-nc0 cannot start: capture file /nowhere.pcap cannot be read: No such file or directory$"
    with pytest.raises(NcoreError, match=sentence):
        session.create(parse(text), "test", detached=True)
    assert session.names() == session.remains() == []
    assert wait_until(lambda: workers() == before, 5.0)


def test_an_arena_beyond_the_object_store_is_refused() -> None:
    configuration = parse(plain_text("huge", placement="per-core").replace("arena: 32MiB", "arena: 1GiB"))
    with pytest.raises(NcoreError, match="not in shared memory: Ray's object store is too small"):
        session.create(configuration, "test", detached=False)
    assert session.names() == session.remains() == []


def workers() -> set[str]:
    return {actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)}
