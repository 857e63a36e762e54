"""Counters over a journal never decrease, and count each row once, whatever is deleted from the journal between."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.running_totals import JobSums, RunningTotal, advance


@dataclass
class ARun:
    """A run with its accepted rows; `settled` once it counts."""

    serial: int
    accepted: int
    settled: bool = False


def sums_of(runs: list[ARun], newest: int) -> JobSums:
    """Return the sums as a journal with these runs gives them."""
    parts = [
        {"accepted": sum(run.accepted for run in runs if run.settled and (run.serial > newest) is newer)}
        for newer in (False, True)
    ]
    return JobSums(newest=max((run.serial for run in runs), default=0), older=parts[0], newer=parts[1])


ACTIONS = st.lists(st.one_of(st.integers(0, 50), st.sampled_from(["settle", "delete", "take"])), max_size=40)


@given(ACTIONS)
def test_totals_are_those_of_all_runs_that_ever_settled(actions: list[int | str]) -> None:
    runs: list[ARun] = []
    total, serial, expected, taken = RunningTotal(), 0, 0, True
    for action in actions:
        before = dict(total.totals)
        match action:
            case int(accepted):
                serial += 1
                runs.append(ARun(serial, accepted))
            case "settle":
                for run in [run for run in runs if not run.settled][:1]:
                    run.settled, taken = True, False
                    expected += run.accepted
            case "delete" if taken:
                # Only settled runs are deleted, never the newest. Metrics were taken in between.
                old = [run for run in runs[:-1] if run.settled][:1]
                runs = [run for run in runs if run not in old]
                total = advance(total, sums_of(runs, total.newest))
            case _:
                total, taken = advance(total, sums_of(runs, total.newest)), True
        assert all(total.totals[name] >= value for name, value in before.items())
    total = advance(total, sums_of(runs, total.newest))
    assert total.totals.get("accepted", 0) == expected


def test_resolved_rows_are_not_taken_back() -> None:
    first = advance(RunningTotal(), JobSums(newest=1, older={}, newer={"unknown": 5, "accepted": 1}))
    then = advance(first, JobSums(newest=1, older={"unknown": 0, "accepted": 6}, newer={}))
    assert then.totals == {"unknown": 5, "accepted": 6}
    assert advance(then, JobSums(newest=1, older={"unknown": 0, "accepted": 6}, newer={})) == then
