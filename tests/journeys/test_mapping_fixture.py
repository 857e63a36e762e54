"""The pytest fixture `mapping`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from batchsync.pytest_plugin import Invalid
from kit.mapping_tests import GUESTS, TestFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.pytest_plugin import JobMapping


@pytest.fixture
def guests(tmp_path: Path, mapping: Callable[..., JobMapping]) -> JobMapping:
    folder = TestFolder(tmp_path)
    job = GUESTS.replace("=lower(email)", "=lower(email)\n    extensions: [{name: ext, key: default, points: =points}]")
    folder.write(job.replace("guests.csv", "guests.jsonl"))
    return mapping("guests", file=folder.jobs)


def test_records_and_reasons_keep_the_order_of_rows(guests: JobMapping) -> None:
    found = guests.records(
        [{"id": 1, "email": "x"}, {"id": "2", "email": "a@example.com", "points": 2.5}, {"name": None, "email": "b"}]
    )

    assert isinstance(found[0], Invalid)
    assert found[1] == {
        "guestType": "customer",
        "email": "a@example.com",
        "identifiers": [{"provider": "CRM", "id": "2"}],
        "extensions": [{"name": "ext", "key": "default", "points": 2.5}],
    }
    assert found[2] == Invalid("key: is missing or empty")
    assert guests.records([]) == []


def test_mistakes_are_value_errors_that_say_what_is_wrong(guests: JobMapping) -> None:
    with pytest.raises(ValueError, match=r"no column 'nmae'\. Did you mean 'name'"):
        guests.records([{"id": 1, "nmae": "a"}])
    with pytest.raises(ValueError, match="keeps keys that left its source"):
        guests.removal(1)
    with pytest.raises(ValueError, match="the same key"):
        guests.records([{"id": 1, "email": "a@example.com"}] * 2)


def test_decimals_keep_their_digits(guests: JobMapping) -> None:
    (found,) = guests.records([{"id": 1, "email": "a@example.com", "points": Decimal("0.5")}])

    assert isinstance(found, dict)
    assert found["extensions"][0]["points"] == 0.5
