"""A crash while the baseline moves leaves the old one intact; the next process moves it once, compacted or not."""

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
from batchsync.journal.coordination import set_baseline
from batchsync.ports import BaselineEntry
from batchsync.storage.local_folder import LocalFolder
from kit.matrix import Scenario
from simulation.network import connected
from simulation.process_life import CrashPoint
from simulation.seeds import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB, ACCOUNT, GOOD = "guests", "simulated", "G2"
OLDER = {"OLD1", "OLD2"}


@pytest.fixture
def scenario() -> Iterator[Scenario]:
    """Yield a scenario with a prepared batch and an earlier baseline of two segments."""
    place = Path(f"{scratch_folder()}-segments")
    made = Scenario(JOB, place)
    baseline = BaselineEntry(job=JOB, account_id=ACCOUNT)
    for key in sorted(OLDER):
        verdict = {
            "key": [key],
            "fingerprint": [b"1" * 16],
            "op": ["add"],
            "state": ["accepted"],
            "retry": [False],
            "code": [""],
        }
        pl.DataFrame(verdict).write_parquet(place / "verdicts.parquet")
        baseline = PolarsEngine(LocalFolder(made.state)).apply_verdicts(baseline, [place / "verdicts.parquet"])
    with Journal.open(made.state) as journal, journal._write("before") as db:
        set_baseline(db, baseline)
    yield made
    shutil.rmtree(place)


def accepted(scenario: Scenario) -> tuple[set[str], set[str]]:
    """Return the accepted keys of the baseline, and its segment files after checking their digests."""
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


@pytest.mark.parametrize("segments_max", [12, 2])
@pytest.mark.parametrize(
    "at", ["data.apply_verdicts:before", "data.apply_verdicts:after", "deliver:baseline", "deliver:commit"]
)
def test_crash_before_commit_leaves_old_baseline(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, at: str, segments_max: int
) -> None:
    monkeypatch.setattr(compaction, "SEGMENTS_MAX", segments_max)
    before = accepted(scenario)
    assert before[0] == OLDER
    crash_point = CrashPoint(f"^{at}$")
    with connected(scenario.network):
        scenario._resume(crash_point)
        assert crash_point.died_at == at
        assert accepted(scenario) == before
        scenario._resume(CrashPoint())
        held, segments = accepted(scenario)
        assert held == {*OLDER, GOOD}
        assert len(segments) == (3 if segments_max > 2 else 1)
        assert scenario._batch().phase.value == "delivered"


def test_crash_after_commit_leaves_new_baseline(scenario: Scenario) -> None:
    crash_point = CrashPoint("^deliver:committed$")
    with connected(scenario.network):
        scenario._resume(crash_point)
    assert crash_point.died_at
    assert accepted(scenario)[0] == {*OLDER, GOOD}


def test_only_unreferenced_segments_are_swept(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SEGMENTS_MAX", 2)
    stray = scenario.state / "baselines" / JOB / f"{'0' * 64}.parquet"
    stray.write_bytes(b"partial segment")
    with connected(scenario.network):
        scenario._resume(CrashPoint())
    assert {path.name for path in stray.parent.iterdir()} == accepted(scenario)[1]
