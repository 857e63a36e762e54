"""What we find fit to be sent, the vendor's own validation takes: records at the edges of the rules, held to both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import NOW, Bench, job

from lading.data import Columnar
from lading.spec.vendor_spec import load_vendor
from lading_mocks.sitecore.records import process
from lading_mocks.sitecore.store import Store
from lading_mocks.sitecore.switches import SitecoreSwitches

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a", "", "  ", "\u00a0", "x" * 129, "\u2028", "\x00", "'", "\\"]
MOMENTS = [
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
#: Of each column what it may hold; the first is good.
GUEST = {
    "guestType": ["customer", "Customer", ""],
    "title": TEXTS,
    "gender": ["male", "Male", "", "unknown"],
    "dateOfBirth": MOMENTS,
    "firstSeen": MOMENTS,
    "passportExpiry": MOMENTS,
    "email": ADDRESSES,
    "language": ["en", "EN", "e", "éé", "eng"],
    "country": ["IE", "ie", "I", "ÄÖ", ""],
    "provider": TEXTS,
    "number": TEXTS,
    "expiryDate": MOMENTS,
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
#: What depends on what the vendor holds, and not on the record.
HOLDS = {"Guest not found"}


def rows() -> pl.DataFrame:
    """Return a good row, a row for each odd value, and rows with two odd values."""
    good = {name: edges[0] for name, edges in GUEST.items()}
    odd = [{name: edge} for name, edges in GUEST.items() for edge in [*edges[1:], None]]
    pairs = [one | odd[(at + step) % len(odd)] for at, one in enumerate(odd) for step in (1, 9, 31, 55)]
    found = [good | one for one in [{}, *odd, *pairs]]
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
def test_a_record_that_passes_our_rules_passes_those_of_the_vendor(
    tmp_path: Path, schema: str, mode: str, mapping: dict[str, Any]
) -> None:
    made_of = rows()
    made_of.write_parquet(tmp_path / "rows.parquet")
    source = {"path": "rows.parquet", "key": ("row",)}
    made = job(tmp_path, mapping, source=source, target={"schema": schema}, mode=mode)
    bench = Bench(tmp_path, made, load_vendor("sitecore-cdp"))
    lines = bench.lines()
    invalid = [one for chunk in Columnar().invalid(bench.compare()) for one in chunk]
    assert len(lines) + len(invalid) == made_of.height
    assert min(len(lines), len(invalid)) > 30
    fates = [process(line.encode(), Store(), NOW.timestamp(), SitecoreSwitches()) for line in lines]
    assert {(one.message, one.detail) for one in fates if one.code and one.message not in HOLDS} == set()
