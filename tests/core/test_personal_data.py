"""Retention periods as written, and masks of values and keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batchsync.core.personal_data import columns_of, looks_like_email, without_values
from batchsync.core.retention import Retention, cutoff, period_text


@pytest.mark.parametrize(
    ("period", "text"),
    [
        (None, "forever"),
        (timedelta(0), "0d"),
        (timedelta(days=90), "90d"),
        (timedelta(hours=36), "36h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=61), "61s"),
    ],
)
def test_period_is_written_in_its_largest_whole_unit(period: timedelta | None, text: str) -> None:
    assert period_text(period) == text


def test_defaults_and_cutoff() -> None:
    assert dict(Retention().texts()) == {"rejects": "90d", "runs": "400d", "batch_files": "0d"}
    now = datetime(2026, 11, 29, tzinfo=UTC)
    assert cutoff(now, timedelta(days=1)) == datetime(2026, 11, 28, tzinfo=UTC)
    assert cutoff(now, None) is None


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("email must be an e-mail address, is n***n (10 characters)", "email must be an e-mail address, is [value]"),
        ('\'jane\' is not one of "a", "b"', "[value] is not one of [value], [value]"),
        ("no guest jane.roe@example.com here", "no guest [value] here"),
        ("phone +64 (21) 555-0199 is taken", "phone [value] is taken"),
        ("the limit is 500 rows", "the limit is 500 rows"),
        ("resent manually", "resent manually"),
    ],
)
def test_reason_is_shown_without_values(reason: str, shown: str) -> None:
    assert without_values(reason) == shown


@pytest.mark.parametrize(
    ("key", "personal"),
    [
        ("jane@example.com", True),
        ('["NZ","jane@example.com"]', True),
        ("C1007", False),
        ("a@b", False),
        ("@x.de", False),
    ],
)
def test_email_addresses_are_recognized(*, key: str, personal: bool) -> None:
    assert looks_like_email(key) is personal


@pytest.mark.parametrize(
    ("key", "columns"),
    [("G1", ("G1",)), ('["a","b"]', ("a", "b")), ("[x", ("[x",)), ("[1,2]", ("[1,2]",)), ("[]", ())],
)
def test_columns_of_a_key(key: str, columns: tuple[str, ...]) -> None:
    assert columns_of(key) == columns
