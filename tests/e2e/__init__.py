"""The appliance on Ray between independent programs: curl, nginx, wrk, ab, aiohttp, the kernel's own stack."""

import pytest

pytest.register_assert_rewrite("tests.e2e.bed", "tests.e2e.load")  # its failing checks say what they found
