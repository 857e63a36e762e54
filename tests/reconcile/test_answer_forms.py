"""Row logs and results in other forms than usual: read where that is safe or declared, refused clearly else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from harness import WAIT
from test_grace_period import counts_equal_ledger

from batchsync.core.batch import Phase, Verdict
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.vendor_rules import TableForm
from batchsync.reconcile.sync import resume, sync
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from pathlib import Path

    from harness import Harness

    from batchsync.core.batch import Batch


def synced_with(harness: Harness, form: TableForm) -> Batch:
    """Sync the vehicles with a vendor spec that names the form of its tables."""
    context = harness.context("vehicles")
    rules = replace(context.rules, row_log=replace(context.rules.row_log, tables=form))
    sync([replace(context, rules=rules)], harness.services, WAIT)
    return harness.batch("vehicles")


@pytest.mark.parametrize("form", ["array", "bom", "padded"])
def test_row_log_of_references_is_read_in_other_forms(rejecting: Harness, form: str) -> None:
    rejecting.deployment.mocks.switch(CDP, log_form=form)

    rejecting.sync("guests", WAIT)

    assert counts_equal_ledger(rejecting, "guests")
    counts = rejecting.batch("guests").counts
    assert counts is not None
    assert counts[RowOutcome.REJECTED] == 2


@pytest.mark.parametrize("echo", ["lower", "padded"])
@pytest.mark.parametrize("errors", ["full", "empty"])
def test_inputs_match_whatever_their_case_and_blanks(harness: Harness, echo: str, errors: str) -> None:
    harness.deployment.mocks.switch(BDP, echo=echo, json_errors=errors)

    harness.sync("vehicles", WAIT)

    assert counts_equal_ledger(harness, "vehicles")


FORMS: list[tuple[str, dict[str, Any]]] = [
    ("semicolon", {"delimiter": ";"}),
    ("tab", {"delimiter": "\t"}),
    ("utf-16", {"encoding": "utf-16"}),
    ("latin-1", {"encoding": "latin-1"}),
    ("zip", {"zip": True}),
    ("bom", {}),
]


@pytest.mark.parametrize(("form", "declared"), FORMS)
def test_tables_are_read_in_the_form_that_the_vendor_spec_names(
    harness: Harness, form: str, declared: dict[str, Any]
) -> None:
    harness.deployment.mocks.switch(BDP, tables=form, json_errors="empty")

    synced_with(harness, TableForm(**declared))

    assert counts_equal_ledger(harness, "vehicles")


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("semicolon", "results.csv is separated by semicolons; vendor.yaml, row_log.tables: set delimiter"),
        ("tab", "results.csv is separated by tabs"),
        ("utf-16", "results.csv is UTF-16; vendor.yaml, row_log.tables: set encoding: utf-16"),
        ("zip", "results.csv is a ZIP archive; vendor.yaml, row_log.tables: set zip: true"),
    ],
)
def test_tables_in_another_form_are_refused_with_the_setting_that_reads_them(
    harness: Harness, form: str, reason: str
) -> None:
    harness.deployment.mocks.switch(BDP, tables=form)

    harness.sync("vehicles", WAIT)

    batch = harness.batch("vehicles")
    assert batch.phase is Phase.NEEDS_ATTENTION
    assert reason in batch.reason
    harness.deployment.mocks.switch(BDP, tables="plain")
    resume([harness.context("vehicles")], harness.services, WAIT)
    assert counts_equal_ledger(harness, "vehicles")


@pytest.mark.parametrize("missing", [3, 40])
def test_unframed_body_that_ends_inside_a_value_is_not_delivered(
    harness: Harness, tmp_path: Path, missing: int
) -> None:
    harness.deployment.mocks.switch(BDP, processing=0)
    harness.sync("vehicles")
    harness.advance(harness.context("vehicles").policy.poll_max)
    allocation = harness.batch("vehicles").allocation
    assert allocation is not None
    whole = harness.context("vehicles").vendor.collect(allocation, Verdict.PROCESSED, tmp_path).results
    assert whole is not None
    after = whole.stat().st_size - missing
    harness.arm("vehicles", kind="cut_unframed", after=after, method="GET", path=r"^/_storage")

    harness.resume("vehicles")

    assert counts_equal_ledger(harness, "vehicles")
    results = harness.deployment.results("out/vehicles.csv").read_text("utf-8").splitlines()
    assert {len(line.split(",")) for line in results} == {6}
    assert all(line.endswith("Z") for line in results[1:])
