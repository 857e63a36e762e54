"""Where all rows of a batch ended the same no log is read, and where none was applied no evidence is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from data_kit import Bench, batch, view

from batchsync.core.batch import RowCounts, Verdict
from batchsync.data import PolarsEngine
from batchsync.errors import StateError
from batchsync.ports import Downloads

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile


def sent(bench: Bench) -> BatchFile:
    bench.source("id,name,mail\n1,a,m\n2,b,m\n")
    [file] = bench.stage(bench.compare())
    return file


@pytest.mark.parametrize("verdict", [Verdict.CANCELLED, Verdict.REFUSED, Verdict.EXPIRED])
def test_rows_that_were_not_applied_are_counted_without_their_evidence_and_sent_again(
    bench: Bench, verdict: Verdict
) -> None:
    file = sent(bench)
    Path(file.row_manifest).unlink()

    verdicts = bench.settle(file, verdict)

    assert verdicts.counts == RowCounts(rejected=2)
    rejects = [item for chunk in PolarsEngine().rejects(verdicts) for item in chunk]
    assert [(reject.key, reject.line, reject.retry) for reject in rejects] == [("", 1, True), ("", 2, True)]
    after = PolarsEngine().apply_verdicts(bench.baseline, [verdicts.path], bench.folder / "baselines")
    assert view(after) == {}


@pytest.mark.parametrize("verdict", [Verdict.DECLARED, Verdict.LOST, Verdict.PROCESSED])
def test_rows_that_the_target_may_hold_are_not_counted_without_their_evidence(bench: Bench, verdict: Verdict) -> None:
    file = sent(bench)
    Path(file.row_manifest).unlink()
    with pytest.raises(StateError, match="missing or damaged"):
        bench.settle(file, verdict)


@pytest.mark.parametrize(
    ("verdict", "books"),
    [
        (Verdict.CANCELLED, RowCounts(rejected=2)),
        (Verdict.DECLARED, RowCounts(accepted=2)),
        (Verdict.LOST, RowCounts(unknown=2)),
    ],
)
def test_no_rules_are_needed_where_there_is_no_log(bench: Bench, verdict: Verdict, books: RowCounts) -> None:
    verdicts = PolarsEngine().join_outcomes(batch(sent(bench), verdict), None, Downloads(), bench.folder / "collected")
    assert (verdicts.counts, verdicts.key) == (books, ("id",))


def test_a_log_is_not_read_without_rules(bench: Bench) -> None:
    file = sent(bench)
    with pytest.raises(ValueError, match="not to be read without rules"):
        PolarsEngine().join_outcomes(batch(file, Verdict.PROCESSED), None, Downloads(), bench.folder / "collected")


def test_evidence_is_looked_at_before_its_file_is_sent(bench: Bench) -> None:
    file = sent(bench)
    PolarsEngine().verify_row_manifest(file)
    evidence = Path(file.row_manifest)
    evidence.write_bytes(evidence.read_bytes() + b"x")
    with pytest.raises(StateError, match="missing or damaged"):
        PolarsEngine().verify_row_manifest(file)
    evidence.unlink()
    with pytest.raises(StateError, match="missing or damaged"):
        PolarsEngine().verify_row_manifest(file)
