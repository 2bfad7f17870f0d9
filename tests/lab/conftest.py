"""Networks for the tests of the test bed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ncore_ray.lab.capability import can_make_namespaces
from ncore_ray.lab.network import Layout, Network


@pytest.fixture
def prefix() -> str:
    """A prefix of this test run's own."""
    return f"nctest{os.getpid()}"


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skip where no namespaces can be made."""
    if not can_make_namespaces():
        pytest.skip("network namespaces cannot be made here")


@pytest.fixture
def forwarding_network(namespaces: None, prefix: str) -> Iterator[Network]:
    """A network whose appliance is the kernel's own forwarding."""
    with Network(Layout(prefix=prefix, servers=2, client_addresses=2, forwarding=True)) as network:
        yield network
