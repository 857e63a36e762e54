"""A process that dies while it forgets keys leaves a state that `sync` continues and that `forget` completes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from harness import WAIT, Harness
from test_removed_answers import Crash, Crashing

from batchsync.core.retention import Retention
from batchsync.reconcile.forget import ForgetRequest, Forgotten, forget
from batchsync.reconcile.sync import sync
from kit.deployment import BDP, CDP
from kit.state_search import files_with

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.reconcile.sync import JobOutcome

KEY = "jane.roe.7781@people.example"
#: Calls of `forget`, in their order.
CALLS = ("data.erase", "store.erase", "objects.delete", "sinks.remove", "store.vacuum")
#: Calls that forget keys which a vendor erased, in their order.
IMPLIED = ("store.deliver", "data.erase", "store.erase", "store.vacuum", "store.finish_erasure")
#: Points of the transaction and of the file; see `journal/store.py`.
POINTS = ("erase:tombstones", "erase:texts", "erase:commit", "erase:committed", "vacuum:begin", "vacuum:done")


def state_of(harness: Harness) -> Path:
    return harness.deployment.folder / ".batchsync" / "mocks"


def add_row(harness: Harness, job: str) -> None:
    cells = {"guests": "some one,g@example.com", "vehicles": "1HGCM82633A099999,,"}
    with (harness.deployment.folder / f"{job}.csv").open("a", encoding="utf-8") as file:
        file.write(f"{KEY},{cells[job]}\n")


def remove_row(harness: Harness, job: str) -> None:
    source = harness.deployment.folder / f"{job}.csv"
    lines = source.read_text("utf-8").splitlines()
    source.write_text("\n".join([*(line for line in lines if KEY not in line), ""]), encoding="utf-8")


def run(harness: Harness, job: str, **changes: Any) -> JobOutcome:
    (outcome,) = sync([harness.context(job, **changes)], harness.services, WAIT)
    assert outcome.error is None
    return outcome


def forget_key(harness: Harness, job: str) -> Forgotten:
    request = ForgetRequest(job=job, keys=[KEY], names=[job], declared=harness.context(job).job)
    (done,) = forget([request], harness.services, by="ops", reason="request 114")
    return done


def crashing_at(harness: Harness, call: str, *, after: bool) -> Harness:
    port, method = call.split(".")
    return harness.with_services(**{port: Crashing(getattr(harness.services, port), method, after=after)})


def check_forgotten(harness: Harness, job: str) -> None:
    """Forget the key again, and check that nothing of it is left, and that a further run sends nothing."""
    sent = harness.deployment.delivered(CDP if job == "guests" else BDP)
    forget_key(harness, job)
    assert files_with(state_of(harness), KEY) == []
    outcome = run(harness, job)
    assert harness.deployment.delivered(CDP if job == "guests" else BDP) == sent
    assert set(sent.values()) == {1}
    assert files_with(state_of(harness), KEY) == []
    counts = outcome.runs[-1].settlement.outcomes.by_name()
    assert (counts["suppressed"], counts["unchanged"]) == (1, 29 if job == "guests" else 19)
    assert harness.app.journal.audit() == ()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("continued", ["forget", "sync"])
def test_crash_at_each_call_of_forget(harness: Harness, call: str, continued: str, *, after: bool) -> None:
    harness = harness.with_services(retention=Retention(batch_files=timedelta(days=7)))
    add_row(harness, "vehicles")
    run(harness, "vehicles")

    with pytest.raises(Crash):
        forget_key(crashing_at(harness, call, after=after), "vehicles")

    if continued == "sync":
        run(harness, "vehicles")
    check_forgotten(harness, "vehicles")


@pytest.mark.parametrize("point", POINTS)
def test_crash_at_each_point_of_the_journal(harness: Harness, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(name: str) -> None:
        if name == point:
            raise Crash(name)

    add_row(harness, "guests")
    run(harness, "guests")
    monkeypatch.setattr(harness.app.journal, "_failpoint", crash)
    with pytest.raises(Crash):
        forget_key(harness, "guests")
    monkeypatch.setattr(harness.app.journal, "_failpoint", None)

    run(harness, "guests")
    check_forgotten(harness, "guests")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", IMPLIED)
def test_crash_while_an_erased_key_is_forgotten_is_completed_by_sync(
    harness: Harness, call: str, *, after: bool
) -> None:
    jobs = harness.deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text("utf-8").replace("on_removed: delete", "on_removed: gdpr_delete"), encoding="utf-8")
    add_row(harness, "guests")
    with Harness.opened(harness.deployment) as opened:
        run(opened, "guests")
        remove_row(opened, "guests")
        with pytest.raises(Crash):
            run(crashing_at(opened, call, after=after), "guests")
        add_row(opened, "guests")

        run(opened, "guests")

        assert files_with(state_of(opened), KEY) == []
        sent = opened.deployment.delivered(CDP)
        assert sum(name.startswith("gdpr_delete") for name in sent) == 1
        assert set(sent.values()) == {1}
        counts = run(opened, "guests").runs[-1].settlement.outcomes.by_name()
        assert (counts["suppressed"], counts["unchanged"]) == (1, 29)
        assert opened.app.journal.audit() == ()
