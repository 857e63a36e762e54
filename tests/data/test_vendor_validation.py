"""Records that pass our rules pass the vendor's own validation, also at the limits of the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import ENGINE, NOW, Bench, job

from batchsync.spec.vendor_spec import load_vendor
from batchsync_mocks.sitecore.records import process
from batchsync_mocks.sitecore.store import Store
from batchsync_mocks.sitecore.switches import SitecoreSwitches

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a", "", "  ", "\u00a0", "x" * 129, "\u2028", "\x00", "'", "\\"]
TIMESTAMPS = [
    *("1985-12-24T00:00Z", "2025-03-07T16:15:11.000Z", "2025-03-07T16:15:11Z", "2999-01-01T00:00Z", "1985-12-24", ""),
    *(
        "2025-03-07T16:15:60Z",
        "2025-03-07T16:15:99Z",
        "2025-03-07T16:15:60.5Z",
        "2025-02-30T16:15Z",
        "0000-01-01T00:00Z",
    ),
    *("2025-03-07T24:00Z", "2025-03-07T16:15:11.1234567890Z", "2025-03-07t16:15z", " 2025-03-07T16:15Z"),
]
ADDRESSES = ["a@b.co", "a@b", "a..b@c.co", "a@b..co", "", "a b@c.co", "x@y.z@q.co", "a@b.co\n", "a,b@c.co"]
#: Values of each column; the first is valid.
GUEST = {
    "guestType": ["customer", "Customer", ""],
    "title": TEXTS,
    "gender": ["male", "Male", "", "unknown"],
    "dateOfBirth": TIMESTAMPS,
    "firstSeen": TIMESTAMPS,
    "passportExpiry": TIMESTAMPS,
    "email": ADDRESSES,
    "language": ["en", "EN", "e", "éé", "eng"],
    "country": ["IE", "ie", "I", "ÄÖ", ""],
    "provider": TEXTS,
    "number": TEXTS,
    "expiryDate": TIMESTAMPS,
    "status": ["SUBSCRIBED", "subscribed", "", " "],
    "named": ["ext", "ext5", "ext6", "", "EXT"],
    "attribute": TEXTS,
}
PLAIN = ("guestType", "title", "gender", "dateOfBirth", "firstSeen", "passportExpiry", "email", "language", "country")
UPSERT: dict[str, Any] = {name: f"={name}" for name in PLAIN} | {
    "phoneNumbers": ["=attribute"],
    "identifiers": [{"provider": "=provider", "id": "=number", "expiryDate": "=expiryDate"}],
    "subscriptions": [{"status": "=status", "effectiveDate": "=expiryDate"}],
    "extensions": [{"name": "=named", "key": "default", "attribute": "=attribute"}],
}
DELETE: dict[str, Any] = {"email": "=email", "identifiers": [{"provider": "=provider", "id": "=number"}]}
MIGRATE: dict[str, Any] = {
    "migrateFrom": {"identifiers": [{"provider": "=provider", "id": "=number"}]},
    "migrateTo": {"identifiers": [{"provider": "=provider", "id": "=attribute"}]},
}
#: Messages that depend on the vendor's state instead of on the record.
STATE_MESSAGES = {"Guest not found"}


def rows() -> pl.DataFrame:
    """Return a valid row, a row for each odd value, and rows with two odd values."""
    good = {name: edges[0] for name, edges in GUEST.items()}
    odd = [{name: edge} for name, edges in GUEST.items() for edge in [*edges[1:], None]]
    pairs = [change | odd[(index + step) % len(odd)] for index, change in enumerate(odd) for step in (1, 9, 31, 55)]
    found = [good | change for change in [{}, *odd, *pairs]]
    return pl.DataFrame(found, schema=dict.fromkeys(GUEST, pl.String)).with_row_index("row")


@pytest.mark.parametrize(
    ("schema", "mode", "mapping"),
    [
        ("guest", "upsert", UPSERT),
        ("guest", "delete", DELETE),
        ("guest", "gdpr_delete", DELETE),
        ("migration", "guest", MIGRATE),
    ],
)
def test_valid_records_pass_vendor_validation(tmp_path: Path, schema: str, mode: str, mapping: dict[str, Any]) -> None:
    values = rows()
    values.write_parquet(tmp_path / "rows.parquet")
    source = {"path": "rows.parquet", "key": ("row",)}
    made = job(tmp_path, mapping, source=source, target={"schema": schema}, mode=mode)
    bench = Bench(tmp_path, made, load_vendor("sitecore-cdp"))
    lines = bench.lines()
    invalid = [change for chunk in ENGINE.invalid(bench.compare()) for change in chunk]
    assert len(lines) + len(invalid) == values.height
    assert min(len(lines), len(invalid)) > 30
    outcomes = [process(line.encode(), Store(), NOW.timestamp(), SitecoreSwitches()) for line in lines]
    assert {
        (outcome.message, outcome.detail)
        for outcome in outcomes
        if outcome.code and outcome.message not in STATE_MESSAGES
    } == set()
