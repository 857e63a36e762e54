"""Checks of a run with rows of the toy outcomes, from its plan to the mocks' check; run by `test_toy_outcome.py`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import report_samples
from data_kit import ENGINE, Bench, job, rules
from journal_samples import DELIVERED, EVENTS, LATER, NOW, ROWS, make_batch, record_all

from batchsync.cli.rejects import rejects as rejects_command
from batchsync.core.accounting import PlanCounts, UnbalancedError
from batchsync.core.events import Collected
from batchsync.core.guards import Budget, Limit, within_budget
from batchsync.core.plan import Plan, begin_run
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.run import Run, RunState, settlement_of
from batchsync.data.compare import classify_partition
from batchsync.data.frame import columns
from batchsync.data.outcome.join_outcomes import VERDICTS
from batchsync.errors import ExitCode
from batchsync.journal import Journal
from batchsync.observers.batch_text import describe_batch
from batchsync.ports import Reject, RowVerdicts
from batchsync.report.history import HistoryReport
from batchsync.report.outcome import JobReport, OutcomeReport
from batchsync.report.plan import PlanReport, PlansReport
from batchsync.report.settlement import RunReport
from batchsync.report.text_format import strip_ansi
from batchsync_mocks.ledger_check import assert_matches_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.batch import Batch

POSTPONED, TRIMMED = RowOutcome("postponed"), RowOutcome("trimmed")
#: 2 records were postponed by the comparison, and 1 of the rows that an earlier run sent was trimmed.
COUNTS = PlanCounts.from_dict(
    {"source_rows": 17, "selected": 17, "added": ROWS, "unchanged": 4, "postponed": 2, "still_trimmed": 1}
)
SENT = OutcomeCounts.of(accepted=6, rejected=1, trimmed=3)
EQUATION = {"selected": 17, "unchanged": 4, "accepted": 6, "invalid": 0, "rejected": 1, "unknown": 0, "deferred": 0}
EQUATION |= {"postponed": 2, "trimmed": 4}
TEXT = "selected 17 = " + " + ".join(f"{name} {count}" for name, count in EQUATION.items() if name != "selected")


@dataclass
class Ledger:
    """Ledger of a vendor: the rows of one batch."""

    batch: str
    name: str = "vendor"
    outcomes: list[str] = field(default_factory=lambda: ["accepted"] * 6 + ["rejected"] + ["trimmed"] * 3)

    def ledger(self) -> list[dict[str, Any]]:
        """Return the delivered rows."""
        return [{"batch": self.batch, "outcome": outcome} for outcome in self.outcomes]


@pytest.fixture
def plan() -> Plan:
    """Return a plan with rows of both outcomes."""
    return report_samples.plan(counts=COUNTS)


@pytest.fixture
def journaled(plan: Plan, tmp_path: Path) -> tuple[Path, Run, Batch]:
    """Return a state folder, and the settled run and delivered batch that are read back from it."""
    state = tmp_path / "state"
    rejects = [Reject(kind=TRIMMED, key=str(line), reason="too long", line=line) for line in (8, 9, 10)]
    with Journal.open(state) as journal:
        run = replace(begin_run(plan, serial=1, at=NOW, awaiting_approval=False), state=RunState.PREPARED)
        batch = make_batch(run)
        journal.start_run(run, [batch], ())
        batch = record_all(journal, batch, (*EVENTS[:-1], Collected(at=LATER, counts=SENT)))
        journal.deliver(batch, DELIVERED, baseline=None, rejects=[rejects])
    with Journal.open(state, read_only=True) as journal:
        assert journal.audit() == ()
        assert [row.reject.kind for row in journal.rejects(kind="trimmed")] == [TRIMMED] * 3
        [batch] = journal.batches(run.id)
        return state, journal.run(run.id), batch


def test_plan_balances_and_lists_the_outcomes(plan: Plan) -> None:
    plan.counts.assert_balanced()
    with pytest.raises(UnbalancedError):
        replace(plan.counts, outcomes=plan.counts.outcomes + OutcomeCounts({POSTPONED: 1})).assert_balanced()
    assert Plan.from_dict(plan.to_dict()) == plan
    report = PlanReport(plan=plan, approved=False)
    assert "+ postponed 2 + trimmed earlier 1" in report.text(strip_ansi)
    assert (report.data()["postponed"], report.data()["still_trimmed"]) == (2, 1)
    table = PlansReport(plans=(report,)).markdown().splitlines()
    assert table[4].split("|")[8:10] == [" deferred ", " postponed "]


def test_comparison_counts_what_it_classifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, job(tmp_path, {"id": "=id", "name": "=name"}), rules())
    original = classify_partition._classified

    def postponing(*args: Any) -> pl.DataFrame:
        state = pl.when(pl.col(columns.ROW) < 3).then(pl.lit("postponed")).otherwise("state")
        return original(*args).with_columns(state.alias("state"))

    monkeypatch.setattr(classify_partition, "_classified", postponing)
    bench.source("id,name,mail\n1,a,m\n2,b,m\n3,c,m\n")
    comparison = bench.compare()
    assert (comparison.plan.counts.selected, comparison.plan.counts.outcomes[POSTPONED]) == (3, 2)
    assert [file.rows for file in bench.stage(comparison)] == [1]


def test_journal_keeps_the_counts(journaled: tuple[Path, Run, Batch]) -> None:
    _, run, batch = journaled
    assert (run.counts, batch.counts) == (COUNTS, SENT)
    outcomes = settlement_of(run, [batch]).outcomes
    assert outcomes.by_name(outcomes.shown()) == {n: c for n, c in EQUATION.items() if n != "selected"}


def test_reports_show_the_outcomes(journaled: tuple[Path, Run, Batch]) -> None:
    _, run, batch = journaled
    report = RunReport(run=run, settlement=settlement_of(run, [batch]), batches=(batch,))
    assert TEXT in report.text(strip_ansi)
    assert EQUATION.items() <= report.data()["settlement"].items()
    assert report.data()["batches"][0]["counts"] == {"accepted": 6, "rejected": 1, "unknown": 0, "trimmed": 3}
    total = OutcomeReport(jobs=(JobReport(job=run.job, runs=(report, report), exit_code=ExitCode.DONE),))
    assert total.data()["total"] == {name: 2 * count for name, count in EQUATION.items()}
    for markdown in (total.markdown(), HistoryReport(runs=(report,)).markdown()):
        assert "| postponed | trimmed |" in markdown
    assert describe_batch(batch) == "delivered, accepted 6, rejected 1, unknown 0, trimmed 3"
    assert report.has_rejects


def test_budget_counts_the_outcome() -> None:
    budget = Budget(rejected=Limit(count=4))
    assert within_budget(SENT, budget, selected=17)
    assert not within_budget(SENT + OutcomeCounts({TRIMMED: 1}), budget, selected=17)


def test_rejects_list_the_outcome(tmp_path: Path) -> None:
    kinds = next(option for option in rejects_command.params if option.name == "kind")
    assert kinds.type.to_info_dict()["choices"] == ("invalid", "superseded", "rejected", "unknown", "trimmed")
    row = {"key": "1", "fingerprint": b"f", "op": "add", "state": "trimmed", "retry": False, "line": 1, "row": 1}
    rows = pl.DataFrame([row | {"code": "", "reason": "too long", "members": None}]).select(VERDICTS)
    rows.write_parquet(tmp_path / "verdicts.parquet")
    verdicts = RowVerdicts(counts=OutcomeCounts({TRIMMED: 1}), path=tmp_path / "verdicts.parquet")
    assert [reject.kind for chunk in ENGINE.rejects(verdicts) for reject in chunk] == [TRIMMED]


def test_mocks_balance_and_show_a_difference(journaled: tuple[Path, Run, Batch]) -> None:
    state, run, batch = journaled
    assert batch.allocation is not None
    ledger = Ledger(batch.allocation.id)
    shown = RunReport(run=run, settlement=settlement_of(run, [batch]), batches=(batch,)).data()
    for settled in (state, shown):
        assert_matches_ledger(settled, ledger)
    shown["settlement"]["postponed"] += 1
    with pytest.raises(AssertionError, match="selected 17, and 18 on its other side"):
        assert_matches_ledger(shown, ledger)
