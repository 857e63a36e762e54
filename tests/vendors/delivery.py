"""One batch on its way to a mock, step by step, and the two vendors that tests take by turns."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from vendor_kit import GUESTS, MOTORWEB, SITECORE, VEHICLES, seal

from batchsync.core.naming import idempotency_key
from batchsync.ports import Downloads, Empty, Finished, Running, Vendor
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import batchsync_mocks
    from batchsync.core.batch import Allocation, BatchFile, IdempotencyKey, Verdict


#: what a job of each vendor names as its target
TARGETS = {MOTORWEB: {"service": "vehicle id wovr BATCH"}, SITECORE: {"schema": "guest"}}
#: rows that each vendor takes
GOOD = {MOTORWEB: VEHICLES, SITECORE: GUESTS}
BOTH = pytest.mark.parametrize("name", [MOTORWEB, SITECORE])


class Delivery:
    """One batch on its way to one vendor."""

    def __init__(self, vendor: Vendor, name: str, folder: Path, text: str | None = None, attempt: int = 1) -> None:
        self.vendor = vendor
        self.folder = folder
        self.file: BatchFile = seal(folder, "batch", text or GOOD[name], load_vendor(name))
        self.ticket: IdempotencyKey = idempotency_key("a-job", self.file.digest, attempt)
        self.params: Mapping[str, str] = vendor.describe(TARGETS[name]).params

    def allocated(self) -> Allocation:
        return self.vendor.allocate(self.ticket, self.file, self.params)

    def uploaded(self) -> Allocation:
        slot = self.allocated()
        self.vendor.upload(slot, self.file)
        return slot

    def followed(self, slot: Allocation, mocks: batchsync_mocks.Running) -> Verdict:
        for _ in range(20):
            match self.vendor.poll(slot):
                case Finished(verdict, _):
                    return verdict
                case Running() | Empty():
                    mocks.advance(900)
        raise AssertionError("never finished")

    def collected(self, mocks: batchsync_mocks.Running) -> Downloads:
        slot = self.uploaded()
        return self.vendor.collect(slot, self.followed(slot, mocks), self.folder / "collected")


def asked(mocks: batchsync_mocks.Running, fragment: str) -> list[str]:
    """Return the requests whose path holds the fragment."""
    return [f"{request['method']} {request['path']}" for request in mocks.requests() if fragment in request["path"]]


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
