"""Removals in batches of their own, for vendors whose batches have one operation."""

from __future__ import annotations

import csv
import io
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.errors import SpecError
from batchsync.spec.vendor_spec import load_vendor
from batchsync_mocks import Clock, serve
from kit.deployment import Deployment
from kit.folder_vendors import START, VENDORS, write_vendor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync_mocks import Running

SALESFORCE = "salesforce-bulk"
JOBS = """\
version: 1
connections:
  salesforce:
    vendor: salesforce-bulk
    base_url: https://example.my.salesforce.com
    credentials: {client_id: "${ID}", client_secret: "${SECRET}"}
jobs:
  contacts:
    source: {path: contacts.csv, key: Id}
    target: {connection: salesforce, object: Contact}
    mode: update
    record: {Id: =Id, LastName: =Name}
    on_removed: {mode: delete, record: {Id: =Id}}
    guards: {max_remove: 9}
    budget: {rejected: 9}
"""


@pytest.fixture
def mocks() -> Iterator[Running]:
    with serve(
        [f"{SALESFORCE}={files('batchsync_specs') / SALESFORCE}"], clock=Clock(START, frozen=True, auto=True)
    ) as it:
        yield it


def _write(folder: Path, rows: dict[str, str]) -> None:
    (folder / "contacts.csv").write_text("Id,Name\n" + "".join(f"{key},{name}\n" for key, name in rows.items()))


def _sent(mocks: Running) -> list[tuple[str, list[dict[str, str]]]]:
    """Return operation and rows of each file that was processed, in order."""
    vendor: Any = mocks._context.vendors[SALESFORCE]
    found = []
    for batch in sorted(vendor.state.batches.all(), key=lambda item: item.number):
        text = vendor._upload_of(batch).read_text()
        found.append((batch.details["given"]["params.operation"], list(csv.DictReader(io.StringIO(text)))))
    return found


def test_removals_are_sent_after_the_others_with_columns_and_operation_of_their_own(
    tmp_path: Path, mocks: Running
) -> None:
    (tmp_path / "jobs.yaml").write_text(JOBS)
    _write(tmp_path, {"003A": "a", "003B": "b", "003C": "c", "003D": "MOCK-REJECT"})
    deployment = Deployment(tmp_path, mocks)
    assert deployment.json("sync")["total"]["accepted"] == 3
    _write(tmp_path, {"003A": "other", "003D": "d"})
    total = deployment.json("sync")["total"]
    assert (total["accepted"], total["unknown"], total["deferred"]) == (4, 0, 0)
    assert _sent(mocks)[1:] == [
        ("update", [{"Id": "003A", "LastName": "other"}, {"Id": "003D", "LastName": "d"}]),
        ("delete", [{"Id": "003B"}, {"Id": "003C"}]),
    ]
    # What was removed is not held any more, and nothing else is sent.
    assert deployment.json("sync")["total"]["unchanged"] == 2
    assert len(_sent(mocks)) == 3


def test_run_of_removals_alone_has_no_other_batch(tmp_path: Path, mocks: Running) -> None:
    (tmp_path / "jobs.yaml").write_text(JOBS)
    _write(tmp_path, {"003A": "a", "003B": "b"})
    deployment = Deployment(tmp_path, mocks)
    deployment.run("sync")
    _write(tmp_path, {"003A": "a"})
    # The plan is applied from a file, too.
    deployment.run("plan", "--out", "removals.plan")
    deployment.run("sync", "--plan", "removals.plan")
    assert _sent(mocks)[1:] == [("delete", [{"Id": "003B"}])]


def test_parameters_with_a_mode_need_batches_of_one_mode(tmp_path: Path) -> None:
    vendor = write_vendor(tmp_path, "acme")
    text = VENDORS["acme"].replace('{op: "{mode}", meta', "{meta")
    (vendor / "vendor.yaml").write_text(text)
    with pytest.raises(SpecError) as raised:
        load_vendor(str(vendor))
    assert [problem.message for problem in raised.value.problems] == [
        "modes.one_per_batch: must be true: {mode} of describe.params holds for a whole batch"
    ]
    (vendor / "vendor.yaml").write_text(text.replace("delete: removals}", "delete: removals}, one_per_batch: true"))
    assert load_vendor(str(vendor)).one_mode_per_batch
