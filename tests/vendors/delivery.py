"""Delivery of a batch to a mock, step by step, and a parametrization over both bundled vendors."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from vendor_kit import GUESTS, MOTORWEB, SITECORE, VEHICLES, write_batch_file

from batchsync.core.naming import idempotency_key
from batchsync.ports import Downloads, Empty, Finished, Running, Vendor
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import batchsync_mocks
    from batchsync.core.batch import Allocation, BatchFile, IdempotencyKey, Verdict


#: Target of a job, by vendor.
TARGETS = {MOTORWEB: {"service": "vehicle id wovr BATCH"}, SITECORE: {"schema": "guest"}}
#: Rows that a vendor accepts, by vendor.
VALID_ROWS = {MOTORWEB: VEHICLES, SITECORE: GUESTS}
BOTH = pytest.mark.parametrize("name", [MOTORWEB, SITECORE])


class Delivery:
    """Delivery of a batch to a vendor."""

    def __init__(self, vendor: Vendor, name: str, folder: Path, text: str | None = None, attempt: int = 1) -> None:
        self.vendor = vendor
        self.folder = folder
        self.file: BatchFile = write_batch_file(folder, "batch", text or VALID_ROWS[name], load_vendor(name))
        self.idempotency_key: IdempotencyKey = idempotency_key("a-job", self.file.digest, attempt)
        self.params: Mapping[str, str] = vendor.describe(TARGETS[name]).params

    def allocate(self) -> Allocation:
        return self.vendor.allocate(self.idempotency_key, self.file, self.params)

    def upload(self) -> Allocation:
        allocation = self.allocate()
        self.vendor.upload(allocation, self.file)
        return allocation

    def wait_for_verdict(self, allocation: Allocation, mocks: batchsync_mocks.Running) -> Verdict:
        for _ in range(20):
            match self.vendor.poll(allocation):
                case Finished(verdict, _):
                    return verdict
                case Running() | Empty():
                    mocks.advance(900)
        raise AssertionError("never finished")

    def collect(self, mocks: batchsync_mocks.Running) -> Downloads:
        allocation = self.upload()
        return self.vendor.collect(allocation, self.wait_for_verdict(allocation, mocks), self.folder / "collected")


def requests_to(mocks: batchsync_mocks.Running, fragment: str) -> list[str]:
    """Return method and path of the requests whose path contains a fragment."""
    return [f"{request['method']} {request['path']}" for request in mocks.requests() if fragment in request["path"]]


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
