"""A plan depends on what is sent to which target, and on nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from data_kit import HEAD, Bench, job, rules

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.plan import Plan

ROWS = HEAD + "1,a,m\n2,b,m\n3,c,m\n"


def a_plan(folder: Path, edited: str = ROWS, *, accepted: bool = True) -> Plan:
    """Return the plan for an edited source, in a folder of its own; the rows before are accepted."""
    folder.mkdir()
    bench = Bench(folder, job(folder, {"id": "=id", "name": "=name"}), rules())
    if accepted:
        bench.source(ROWS)
        bench.accept_all()
    bench.source(edited)
    return bench.compare().plan


def test_same_rows_give_the_same_plan_in_every_folder(tmp_path: Path) -> None:
    one, other = a_plan(tmp_path / "one"), a_plan(tmp_path / "other")
    assert (one, one.digest) == (other, other.digest)
    assert (one.counts.to_send, len(one.baseline), one.baseline_rows) == (0, 1, 3)


def test_other_rows_or_another_baseline_give_another_plan(tmp_path: Path) -> None:
    edits = ["1,x,m\n2,b,m\n3,c,m\n", "1,y,m\n2,b,m\n3,c,m\n", "1,a,m\n2,b,m\n3,c,m\n4,d,m\n", "1,a,m\n2,b,m\n"]
    plans = [a_plan(tmp_path / str(number), HEAD + rows) for number, rows in enumerate(edits)]
    plans += [a_plan(tmp_path / "same"), a_plan(tmp_path / "first", accepted=False)]
    assert len({plan.digest for plan in plans}) == len(plans)
    first, second = plans[:2]
    assert replace(first, changes_digest=second.changes_digest) == second, "only the changes differ"
