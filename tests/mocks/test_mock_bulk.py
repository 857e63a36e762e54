"""Counting in bulk takes what is whole on the outside, judges no value, and loses no record from the books."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
import requests
from mock_clients import SITECORE, SitecoreClient, named, packed, read_log, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading_mocks import Running

GUEST = {"identifiers": named("1")}


@pytest.fixture
def bulk(mocks: Running, sitecore: SitecoreClient) -> Iterator[SitecoreClient]:
    mocks.switch(SITECORE, bulk=True)
    return sitecore


def lined(*records: object) -> bytes:
    return gzip.compress(b"\n".join(json.dumps(one, separators=(",", ":")).encode() for one in records))


def status(sitecore: SitecoreClient, data: bytes) -> dict[str, str]:
    ref = sitecore.send(data)
    sitecore.running.advance(15)
    found: dict[str, str] = sitecore.get(f"/{ref}").json()["status"]
    return found


def test_values_are_not_judged_and_not_held(bulk: SitecoreClient, mocks: Running) -> None:
    assert status(bulk, lined(record("guest", "upsert", email="none")))["code"] == "success"
    assert mocks.store(SITECORE) == []
    [entry] = mocks.ledger(SITECORE, values=True)
    assert (entry["fate"], entry["schema"], entry["value"]) == ("accepted", None, {"email": "none"})


def test_a_record_spelled_otherwise_is_read_and_its_envelope_checked(bulk: SitecoreClient, mocks: Running) -> None:
    odd = packed(record("guest", "upsert", **GUEST), record("guest", "merge", **GUEST))
    said = status(bulk, odd)
    assert said["code"] == "error"
    assert [line["message"] for line in read_log(said["log"])] == ["Unsupported mode"]
    assert [one["fate"] for one in mocks.ledger(SITECORE)] == ["accepted", "rejected"]


def test_lines_that_are_no_records_are_rejected_and_blank_ones_passed_over(
    bulk: SitecoreClient, mocks: Running
) -> None:
    good = json.dumps(record("guest", "upsert", **GUEST), separators=(",", ":"))
    said = status(bulk, gzip.compress(f"{good}\n\nnot json\n{good[:-2]}\n{good}".encode()))
    assert [line["message"] for line in read_log(said["log"])] == ["Failed to parse import line"] * 2
    assert [(one["line"], one["fate"]) for one in mocks.ledger(SITECORE)] == [
        (1, "accepted"), (3, "rejected"), (4, "rejected"), (5, "accepted")
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"no gzip", lined({"ref": "none"})[:-5]], ids=["no gzip", "cut short"])
def test_a_file_that_is_not_whole_is_refused(bulk: SitecoreClient, mocks: Running, data: bytes) -> None:
    assert status(bulk, data)["code"] == "error"
    assert {one["fate"] for one in mocks.ledger(SITECORE)} <= {"unprocessed"}


def test_the_summary_counts_what_came_twice_as_the_entries_do(bulk: SitecoreClient, mocks: Running) -> None:
    first, second = record("guest", "upsert", **GUEST), record("guest", "upsert", **GUEST)
    status(bulk, lined(first, second))
    status(bulk, packed(first))
    entries = mocks.ledger(SITECORE)
    told = requests.get(f"{mocks.urls[SITECORE]}/_mock/ledger?summary=1", timeout=10).json()
    assert (told["delivered"], told["repeated"], told["accepted"]) == (3, 1, 3)
    assert [one["delivery"] for one in entries] == [1, 1, 2]


def test_what_was_counted_stays_so_when_records_are_judged_again(bulk: SitecoreClient, mocks: Running) -> None:
    status(bulk, lined(record("guest", "upsert", email="none")))
    mocks.switch(SITECORE, bulk=False)
    assert status(bulk, lined(record("guest", "upsert", email="none")))["code"] == "error"
    assert [one["fate"] for one in mocks.ledger(SITECORE)] == ["accepted", "rejected"]
    told = requests.get(f"{mocks.urls[SITECORE]}/_mock/ledger?summary=1", timeout=10).json()
    assert (told["accepted"], told["rejected"]) == (1, 1)


def test_a_reset_forgets_what_is_still_being_counted(bulk: SitecoreClient, mocks: Running) -> None:
    bulk.send(lined(*[record("guest", "upsert", **GUEST) for _ in range(20_000)]))
    mocks.reset()
    assert mocks.ledger(SITECORE) == []
    assert status(bulk, lined(record("guest", "upsert", **GUEST)))["code"] == "success"
