"""Bulk mode: only envelopes are validated, and every record is in the ledger."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
import requests
from mock_clients import SITECORE, SitecoreClient, named, packed, read_log, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync_mocks import Running

GUEST = {"identifiers": named("1")}


@pytest.fixture
def bulk(mocks: Running, sitecore: SitecoreClient) -> Iterator[SitecoreClient]:
    mocks.switch(SITECORE, bulk=True)
    return sitecore


def lined(*records: object) -> bytes:
    return gzip.compress(b"\n".join(json.dumps(item, separators=(",", ":")).encode() for item in records))


def status(sitecore: SitecoreClient, data: bytes) -> dict[str, str]:
    ref = sitecore.send(data)
    sitecore.running.advance(15)
    found: dict[str, str] = sitecore.get(f"/{ref}").json()["status"]
    return found


def test_bulk_skips_validation_and_storage_of_values(bulk: SitecoreClient, mocks: Running) -> None:
    assert status(bulk, lined(record("guest", "upsert", email="none")))["code"] == "success"
    assert mocks.store(SITECORE) == []
    [entry] = mocks.ledger(SITECORE, values=True)
    assert (entry["outcome"], entry["schema"], entry["value"]) == ("accepted", None, {"email": "none"})


def test_record_of_unusual_form_has_its_envelope_checked(bulk: SitecoreClient, mocks: Running) -> None:
    odd = packed(record("guest", "upsert", **GUEST), record("guest", "merge", **GUEST))
    batch_status = status(bulk, odd)
    assert batch_status["code"] == "error"
    assert [line["message"] for line in read_log(batch_status["log"])] == ["Unsupported mode"]
    assert [item["outcome"] for item in mocks.ledger(SITECORE)] == ["accepted", "rejected"]


def test_invalid_lines_are_rejected_and_blank_lines_skipped(bulk: SitecoreClient, mocks: Running) -> None:
    good = json.dumps(record("guest", "upsert", **GUEST), separators=(",", ":"))
    batch_status = status(bulk, gzip.compress(f"{good}\n\nnot json\n{good[:-2]}\n{good}".encode()))
    assert [line["message"] for line in read_log(batch_status["log"])] == ["Failed to parse import line"] * 2
    assert [(item["line"], item["outcome"]) for item in mocks.ledger(SITECORE)] == [
        (1, "accepted"), (3, "rejected"), (4, "rejected"), (5, "accepted")
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"no gzip", lined({"ref": "none"})[:-5]], ids=["no gzip", "cut short"])
def test_truncated_file_is_refused(bulk: SitecoreClient, mocks: Running, data: bytes) -> None:
    assert status(bulk, data)["code"] == "error"
    assert {item["outcome"] for item in mocks.ledger(SITECORE)} <= {"unprocessed"}


def test_summary_counts_repeated_records_like_the_entries(bulk: SitecoreClient, mocks: Running) -> None:
    first, second = record("guest", "upsert", **GUEST), record("guest", "upsert", **GUEST)
    status(bulk, lined(first, second))
    status(bulk, packed(first))
    entries = mocks.ledger(SITECORE)
    summary = requests.get(f"{mocks.urls[SITECORE]}/_mock/ledger?summary=1", timeout=10).json()
    assert (summary["delivered"], summary["repeated"], summary["accepted"]) == (3, 1, 3)
    assert [entry["delivery"] for entry in entries] == [1, 1, 2]


def test_bulk_counts_survive_switching_bulk_off(bulk: SitecoreClient, mocks: Running) -> None:
    status(bulk, lined(record("guest", "upsert", email="none")))
    mocks.switch(SITECORE, bulk=False)
    assert status(bulk, lined(record("guest", "upsert", email="none")))["code"] == "error"
    assert [item["outcome"] for item in mocks.ledger(SITECORE)] == ["accepted", "rejected"]
    summary = requests.get(f"{mocks.urls[SITECORE]}/_mock/ledger?summary=1", timeout=10).json()
    assert (summary["accepted"], summary["rejected"]) == (1, 1)


def test_reset_cancels_running_counts(bulk: SitecoreClient, mocks: Running) -> None:
    bulk.send(lined(*[record("guest", "upsert", **GUEST) for _ in range(20_000)]))
    mocks.reset()
    assert mocks.ledger(SITECORE) == []
    assert status(bulk, lined(record("guest", "upsert", **GUEST)))["code"] == "success"
