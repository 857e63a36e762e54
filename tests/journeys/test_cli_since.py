"""`send: since` omits no row that the vendor never received."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.deployment import CDP, Deployment

if TYPE_CHECKING:
    from pathlib import Path

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
jobs:
  guests:
    source: {path: rows.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =id}]}
    send: {since: updated}
"""


def _rows(folder: Path, *rows: str) -> None:
    (folder / "rows.csv").write_text("\n".join(["id,name,updated", *rows, ""]), encoding="utf-8")


def _names(deployment: Deployment) -> list[str]:
    """Return the names that the vendor stores, and check that it received each of them once."""
    received = [item["value"]["lastName"] for item in deployment.mocks.ledger(CDP, values=True)]
    assert len(received) == len(set(received))
    return sorted(item["value"]["lastName"] for item in deployment.mocks.store(CDP))


@pytest.mark.parametrize(
    ("watermark", "late"),
    [
        ("2026-01-02T00:00:00", "2026-01-02T00:00:00"),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T00:00:00", "2025-12-31T23:00:00"),
    ],
)
def test_late_row_at_or_before_watermark_is_sent(deployment: Deployment, watermark: str, late: str) -> None:
    (deployment.folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    _rows(deployment.folder, f"1,First,{watermark}")
    deployment.run("sync")
    _rows(deployment.folder, f"1,First,{watermark}", f"2,Late,{late}")
    deployment.run("sync")
    assert _names(deployment) == ["First", "Late"]
    assert "selected 2 = unchanged 2" in deployment.run("sync")


def test_changed_row_at_watermark_is_sent(deployment: Deployment) -> None:
    (deployment.folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    _rows(deployment.folder, "1,First,2026-01-02", "2,Second,2026-01-02")
    deployment.run("sync")
    _rows(deployment.folder, "1,First,2026-01-02", "2,Corrected,2026-01-02")
    deployment.run("sync")
    assert _names(deployment) == ["Corrected", "First"]


def test_restored_mapping_sends_every_row_again(deployment: Deployment) -> None:
    jobs = deployment.folder / "jobs.yaml"
    _rows(deployment.folder, "1,First,2026-01-01", "2,Second,2026-01-02")
    for mapping in ("=name", "=upper(name)"):
        jobs.write_text(JOBS.replace("=name", mapping), encoding="utf-8")
        deployment.run("sync")
    assert _names(deployment) == ["FIRST", "SECOND"]
    jobs.write_text(JOBS, encoding="utf-8")
    deployment.run("sync")
    assert sorted(item["value"]["lastName"] for item in deployment.mocks.store(CDP)) == ["First", "Second"]
