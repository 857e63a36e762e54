"""A death while the baseline moves leaves the old one whole, and the next life moves it once, merged or not."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from batchsync.core import compaction
from batchsync.data import PolarsEngine
from batchsync.journal import Journal
from batchsync.journal.journal import _set_baseline
from batchsync.ports import Baseline, BaselineEntry, SegmentEntry
from kit.matrix import Scenario
from simulation.life import Fuse
from simulation.many import folder
from simulation.wire import plugged

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB, ACCOUNT, GOOD = "guests", "simulated", "G2"
OLDER = {"OLD1", "OLD2"}


@pytest.fixture
def scenario() -> Iterator[Scenario]:
    """A prepared batch, and a baseline of two segments from before it."""
    place = Path(f"{folder()}-segments")
    made = Scenario(JOB, place)
    held = Baseline()
    for key in sorted(OLDER):
        said = {
            "key": [key],
            "fingerprint": [b"1" * 16],
            "op": ["add"],
            "state": ["accepted"],
            "retry": [False],
            "code": [""],
        }
        pl.DataFrame(said).write_parquet(place / "said.parquet")
        held = PolarsEngine().apply_verdicts(held, [place / "said.parquet"], made.state / "baselines" / JOB)
    segments = tuple(
        SegmentEntry(file=segment.path.name, digest=segment.path.stem, rows=segment.rows) for segment in held.segments
    )
    with Journal.open(made.state) as journal, journal._write("before") as db:
        _set_baseline(db, BaselineEntry(job=JOB, account_id=ACCOUNT, segments=segments))
    yield made
    shutil.rmtree(place)


def accepted(scenario: Scenario) -> tuple[set[str], set[str]]:
    """Return the keys that the target is known to hold, and the segments; each is there under its digest."""
    with Journal.open(scenario.state) as journal:
        entry = journal.baseline(JOB, ACCOUNT)
    assert entry is not None
    held: set[str] = set()
    for segment in entry.segments:
        path = scenario.state / "baselines" / JOB / segment.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == segment.digest == path.stem
        rows = pl.read_parquet(path)
        assert rows.height == segment.rows
        held |= set(rows.filter(pl.col("accepted").is_not_null())["key"])
    return held, {segment.file for segment in entry.segments}


@pytest.mark.parametrize("most", [12, 2])
@pytest.mark.parametrize(
    "at", ["data.apply_verdicts:before", "data.apply_verdicts:after", "deliver:baseline", "deliver:commit"]
)
def test_crash_before_commit_leaves_old_baseline(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, at: str, most: int
) -> None:
    monkeypatch.setattr(compaction, "SEGMENTS_MAX", most)
    before = accepted(scenario)
    assert before[0] == OLDER
    fuse = Fuse(f"^{at}$")
    with plugged(scenario.network):
        scenario._resume(fuse)
        assert fuse.died_at == at
        assert accepted(scenario) == before
        scenario._resume(Fuse())
        held, segments = accepted(scenario)
        assert held == {*OLDER, GOOD}
        assert len(segments) == (3 if most > 2 else 1)
        assert scenario._batch().phase.value == "delivered"


def test_crash_after_commit_leaves_new_baseline(scenario: Scenario) -> None:
    fuse = Fuse("^deliver:committed$")
    with plugged(scenario.network):
        scenario._resume(fuse)
    assert fuse.died_at
    assert accepted(scenario)[0] == {*OLDER, GOOD}


def test_only_unreferenced_segments_are_swept(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SEGMENTS_MAX", 2)
    stray = scenario.state / "baselines" / JOB / f"{'0' * 64}.parquet"
    stray.write_bytes(b"half a segment")
    with plugged(scenario.network):
        scenario._resume(Fuse())
    assert {path.name for path in stray.parent.iterdir()} == accepted(scenario)[1]
