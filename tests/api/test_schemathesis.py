"""Requests made up from the description: whatever comes, the answer is what the description says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from ncore_ray.api.openapi import description
from tests.api.kit import TOKEN, serving

schemathesis: Any = pytest.importorskip("schemathesis")
checks: Any = pytest.importorskip("schemathesis.specs.openapi.checks")
# A command or a configuration has to make sense, too: no schema can say that, and 422 is the answer where it does not.
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
EXCLUDED = [checks.positive_data_acceptance]
schema = schemathesis.openapi.from_dict(description())


@pytest.fixture(scope="module")
def address() -> Any:
    with serving() as client:
        yield client.address


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_any_request(case: Any, address: str) -> None:
    case.call_and_validate(base_url=address, headers=HEADERS, excluded_checks=EXCLUDED)
