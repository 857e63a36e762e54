"""`limits:` of a connection lower those of the vendor, and never raise them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync.core.deployment import Deployment

    Load = Callable[..., Deployment]

#: The vendor documents 150,000,000 records in 24 hours.
CONNECTION = """connections:
  leads:
    vendor: salesforce-bulk
    base_url: https://acme.my.salesforce.com
    credentials: {client_id: "${LEADS_ID}", client_secret: "${LEADS_SECRET}"}
    limits: {rows_per_day: LIMIT, calls_per_day: 100}
"""


def test_limit_up_to_that_of_the_vendor_is_taken(load_changed: Load) -> None:
    found = load_changed(("connections:\n", CONNECTION.replace("LIMIT", "150000000"))).connections["leads"].limits
    assert found is not None
    assert (found.rows_per_day, found.calls_per_day, found.calls_per_minute) == (150_000_000, 100, None)


def test_limit_above_that_of_the_vendor_is_refused(load_changed: Load) -> None:
    with pytest.raises(SpecError) as refused:
        load_changed(("connections:\n", CONNECTION.replace("LIMIT", "150000001")))
    (problem,) = refused.value.problems
    assert problem.code == "spec.limits"
    assert problem.message == '"rows_per_day" is higher than the limit of the vendor'
    assert problem.expected == "at most 150,000,000"
    assert problem.source_line[problem.column - 1 :].startswith("150000001")
