"""No log is read if all rows of a batch have the same outcome, and no manifest if none was applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from data_kit import ENGINE, Bench, batch, view

from batchsync.core.batch import Verdict
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.errors import StateError
from batchsync.ports import Downloads

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile


def sent(bench: Bench) -> BatchFile:
    bench.source("id,name,mail\n1,a,m\n2,b,m\n")
    [file] = bench.stage(bench.compare())
    return file


@pytest.mark.parametrize("verdict", [Verdict.CANCELLED, Verdict.REFUSED, Verdict.EXPIRED])
def test_unapplied_rows_are_rejected_without_manifest(bench: Bench, verdict: Verdict) -> None:
    file = sent(bench)
    Path(file.row_manifest).unlink()

    verdicts = bench.join_outcomes(file, verdict)

    assert verdicts.counts == OutcomeCounts.of(rejected=2)
    rejects = [item for chunk in ENGINE.rejects(verdicts) for item in chunk]
    assert [(reject.key, reject.line, reject.retry) for reject in rejects] == [("", 1, True), ("", 2, True)]
    after = bench.engine.apply_verdicts(bench.baseline, [verdicts.path])
    assert view(bench.folder, after) == {}


@pytest.mark.parametrize("verdict", [Verdict.DECLARED, Verdict.LOST, Verdict.PROCESSED])
def test_possibly_applied_rows_require_manifest(bench: Bench, verdict: Verdict) -> None:
    file = sent(bench)
    Path(file.row_manifest).unlink()
    with pytest.raises(StateError, match="missing or damaged"):
        bench.join_outcomes(file, verdict)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.CANCELLED, OutcomeCounts.of(rejected=2)),
        (Verdict.DECLARED, OutcomeCounts.of(accepted=2)),
        (Verdict.LOST, OutcomeCounts.of(unknown=2)),
    ],
)
def test_rules_are_not_required_without_log(bench: Bench, verdict: Verdict, expected: OutcomeCounts) -> None:
    verdicts = bench.engine.join_outcomes(batch(sent(bench), verdict), None, Downloads(), bench.folder / "collected")
    assert (verdicts.counts, verdicts.key) == (expected, ("id",))


def test_reading_log_without_rules_is_an_error(bench: Bench) -> None:
    file = sent(bench)
    with pytest.raises(ValueError, match="requires vendor rules"):
        bench.engine.join_outcomes(batch(file, Verdict.PROCESSED), None, Downloads(), bench.folder / "collected")


def test_damaged_manifest_is_detected_by_verification(bench: Bench) -> None:
    file = sent(bench)
    bench.engine.verify_row_manifest(batch(file, None))
    manifest = Path(file.row_manifest)
    manifest.write_bytes(manifest.read_bytes() + b"x")
    with pytest.raises(StateError, match="missing or damaged"):
        bench.engine.verify_row_manifest(batch(file, None))
    manifest.unlink()
    with pytest.raises(StateError, match="missing or damaged"):
        bench.engine.verify_row_manifest(batch(file, None))
