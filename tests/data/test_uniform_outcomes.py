"""Where all rows of a batch ended the same no log is read, and where none was applied no evidence is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from data_kit import Bench, batch, view

from lading.core.batch import Books, Verdict
from lading.data import Columnar
from lading.errors import StateError
from lading.ports import Downloads

if TYPE_CHECKING:
    from lading.core.batch import BatchFile


def sent(bench: Bench) -> BatchFile:
    bench.source("id,name,mail\n1,a,m\n2,b,m\n")
    [file] = bench.stage(bench.compare())
    return file


@pytest.mark.parametrize("verdict", [Verdict.CANCELLED, Verdict.REFUSED, Verdict.EXPIRED])
def test_rows_that_were_not_applied_are_counted_without_their_evidence_and_sent_again(
    bench: Bench, verdict: Verdict
) -> None:
    file = sent(bench)
    Path(file.evidence).unlink()

    verdicts = bench.settle(file, verdict)

    assert verdicts.books == Books(rejected=2)
    rejects = [one for chunk in Columnar().rejects(verdicts) for one in chunk]
    assert [(one.key, one.line, one.retry) for one in rejects] == [("", 1, True), ("", 2, True)]
    after = Columnar().advance(bench.baseline, [verdicts.path], bench.folder / "baselines")
    assert view(after) == {}


@pytest.mark.parametrize("verdict", [Verdict.DECLARED, Verdict.LOST, Verdict.PROCESSED])
def test_rows_that_the_target_may_hold_are_not_counted_without_their_evidence(bench: Bench, verdict: Verdict) -> None:
    file = sent(bench)
    Path(file.evidence).unlink()
    with pytest.raises(StateError, match="missing or damaged"):
        bench.settle(file, verdict)


@pytest.mark.parametrize(
    ("verdict", "books"),
    [
        (Verdict.CANCELLED, Books(rejected=2)),
        (Verdict.DECLARED, Books(accepted=2)),
        (Verdict.LOST, Books(unknown=2)),
    ],
)
def test_no_rules_are_needed_where_there_is_no_log(bench: Bench, verdict: Verdict, books: Books) -> None:
    verdicts = Columnar().settle(batch(sent(bench), verdict), None, Downloads(), bench.folder / "collected")
    assert (verdicts.books, verdicts.key) == (books, ("id",))


def test_a_log_is_not_read_without_rules(bench: Bench) -> None:
    file = sent(bench)
    with pytest.raises(ValueError, match="not to be read without rules"):
        Columnar().settle(batch(file, Verdict.PROCESSED), None, Downloads(), bench.folder / "collected")


def test_evidence_is_looked_at_before_its_file_is_sent(bench: Bench) -> None:
    file = sent(bench)
    Columnar().check_evidence(file)
    evidence = Path(file.evidence)
    evidence.write_bytes(evidence.read_bytes() + b"x")
    with pytest.raises(StateError, match="missing or damaged"):
        Columnar().check_evidence(file)
    evidence.unlink()
    with pytest.raises(StateError, match="missing or damaged"):
        Columnar().check_evidence(file)
