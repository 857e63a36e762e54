"""A process that dies while it removes or marks answers leaves nothing that the next run does not complete."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from harness import WAIT, Harness

from batchsync.core.job import OnRemovedAnswer
from batchsync.reconcile.sync import sync
from kit.deployment import BDP

if TYPE_CHECKING:
    from batchsync.reconcile.services import JobContext

#: Calls of a run that removes answers, in their order.
REMOVAL = ("data.forget", "store.set_baseline", "sinks.remove")


class Crash(BaseException):
    """End of a process."""


class Crashing:
    """A port whose process ends before or after the first call of a method."""

    def __init__(self, inner: Any, method: str, *, after: bool) -> None:
        self._inner, self._method, self._after = inner, method, after

    def __getattr__(self, name: str) -> Any:
        """Return the attribute of the port, or the method that ends the process."""
        found = getattr(self._inner, name)
        if name != self._method:
            return found

        def crashing(*args: Any, **kwargs: Any) -> Any:
            if self._after:
                found(*args, **kwargs)
            raise Crash(name)

        return crashing


def crash(harness: Harness, on_removed: OnRemovedAnswer, call: str, *, after: bool) -> None:
    """Sync in a process that dies at this call."""
    port, method = call.split(".")
    crashing = harness.with_services(**{port: Crashing(getattr(harness.services, port), method, after=after)})
    with pytest.raises(Crash):
        run(crashing, on_removed)


def vehicles(harness: Harness, on_removed: OnRemovedAnswer) -> JobContext:
    results = harness.context("vehicles").job.results
    assert results is not None
    return harness.context("vehicles", results=replace(results, on_removed=on_removed))


def run(harness: Harness, on_removed: OnRemovedAnswer) -> None:
    (outcome,) = sync([vehicles(harness, on_removed)], harness.services, WAIT)
    assert outcome.error is None


def marks(harness: Harness) -> dict[str, str]:
    with harness.deployment.results("out/vehicles.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row.get("removed_at", "") for row in csv.DictReader(file)}


def requested(harness: Harness) -> int:
    return len(harness.deployment.mocks.ledger(BDP))


def without(harness: Harness, *keys: str) -> str:
    """Remove rows from the source; return its former text."""
    source = harness.deployment.folder / "vehicles.csv"
    before = source.read_text(encoding="utf-8")
    rows = [line for line in before.splitlines() if line.split(",")[0] not in keys]
    source.write_text("\n".join([*rows, ""]), encoding="utf-8")
    return before


@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", REMOVAL)
def test_death_during_removal(harness: Harness, call: str, *, after: bool, returns: bool) -> None:
    """Whether the key returns before the next run or not: the results hold exactly the keys of the source."""
    run(harness, OnRemovedAnswer.REMOVE)
    everything = without(harness, "V0", "V1", "V2")
    crash(harness, OnRemovedAnswer.REMOVE, call, after=after)
    if returns:
        (harness.deployment.folder / "vehicles.csv").write_text(everything, encoding="utf-8")

    run(harness, OnRemovedAnswer.REMOVE)

    expected = {f"V{number}" for number in range(1 if returns else 3, 20)}
    assert set(marks(harness)) == expected
    before = requested(harness)
    run(harness, OnRemovedAnswer.REMOVE)
    assert (set(marks(harness)), requested(harness)) == (expected, before)


@pytest.mark.parametrize("after", [False, True])
def test_death_during_marking(harness: Harness, *, after: bool) -> None:
    run(harness, OnRemovedAnswer.MARK)
    without(harness, "V1")
    crash(harness, OnRemovedAnswer.MARK, "sinks.mark", after=after)

    run(harness, OnRemovedAnswer.MARK)

    assert {key for key, at in marks(harness).items() if at} == {"V1"}
    assert len(marks(harness)) == 19


def test_results_that_cannot_be_written_fail_the_job_and_are_repeated(harness: Harness) -> None:
    run(harness, OnRemovedAnswer.REMOVE)
    without(harness, "V1")
    results = harness.deployment.results("out/vehicles.csv")
    content = results.read_bytes()
    results.write_bytes(b"\xff\n" + content)

    (outcome,) = sync([vehicles(harness, OnRemovedAnswer.REMOVE)], harness.services, WAIT)
    assert outcome.error is not None
    assert str(results) in outcome.error.message

    results.write_bytes(content)
    run(harness, OnRemovedAnswer.REMOVE)
    assert "V1" not in marks(harness)
