"""Removal of files that no open batch and no baseline refers to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from harness import NO_WAIT, WAIT

from batchsync.core.naming import staging_prefix
from batchsync.data.batchfile.batch_writer import BatchFileWriter
from batchsync.data.batchfile.gzip_blocks import GzipBlock
from batchsync.ports import ObjectFolder
from batchsync.reconcile.sweep import sweep

if TYPE_CHECKING:
    import pytest
    from harness import Harness


def files(harness: Harness, job: str = "guests") -> dict[str, set[str]]:
    """Return the names of the files in the job's folders."""
    state, paths = harness.app.settings.state_folder, harness.services.paths
    by_kind = {
        "staging": state / "staging" / job,
        "baselines": state / "baselines" / job,
        "collected": paths.collected_of(job),
        "work": paths.work(job),
    }
    return {
        name: {path.name for path in folder.iterdir()} if folder.is_dir() else set() for name, folder in by_kind.items()
    }


def swept(harness: Harness, job: str = "guests") -> dict[str, set[str]]:
    with harness.services.lease(job):
        sweep(job, harness.services)
    return files(harness, job)


def test_sweep_of_new_state_folder_does_nothing(harness: Harness) -> None:
    assert swept(harness) == {"staging": set(), "baselines": set(), "collected": set(), "work": set()}


def test_sweep_keeps_files_of_open_batches_only(harness: Harness) -> None:
    harness.sync("guests")
    batch, paths = harness.batch("guests"), harness.services.paths
    needed = {Path(batch.file.path).name, Path(batch.file.row_manifest).name}
    state = harness.app.settings.state_folder
    for folder in (state / "staging" / "guests", state / "baselines" / "guests", paths.work("guests")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "left-by-a-killed-process").write_text("rows of persons")
    for name in (batch.id, "guests-of-a-batch-that-is-over"):
        (paths.collected_of("guests") / name).mkdir(parents=True)

    assert swept(harness) == {"staging": needed, "baselines": set(), "collected": {batch.id}, "work": set()}


def test_sweep_removes_unfinished_batch_files(harness: Harness) -> None:
    into = ObjectFolder(harness.services.objects, staging_prefix("guests"))
    with into.workspace() as workspace:
        writer = BatchFileWriter(workspace, harness.context("guests").rules.file, None, into.put)
        writer.add(GzipBlock(b"rows of persons", 1, 0, 15), pl.DataFrame({"key": ["G1"], "op": ["add"]}))
        assert files(harness)["staging"]

        assert swept(harness)["staging"] == set()
        writer.abandon()


def test_only_baseline_remains_after_delivery(harness: Harness) -> None:
    harness.sync("guests", WAIT)

    remaining = files(harness)

    assert (remaining["staging"], remaining["collected"], remaining["work"]) == (set(), set(), set())
    assert remaining["baselines"] == set(harness.app.journal.baseline_files("guests"))
    assert remaining["baselines"]


def test_sweep_keeps_files_of_other_jobs(harness: Harness) -> None:
    harness.sync("vehicles")
    before = files(harness, "vehicles")
    swept(harness, "guests")
    assert files(harness, "vehicles") == before


def test_unremovable_file_does_not_stop_sync(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.sync("guests")
    stray = harness.app.settings.state_folder / "staging" / "guests" / "not-removable"
    stray.write_text("x")
    with monkeypatch.context() as patched:
        unlink = Path.unlink

        def refused(path: Path, **options: bool) -> None:
            if path.name == stray.name:
                raise PermissionError(1, "Operation not permitted", str(path))
            unlink(path, **options)

        patched.setattr(Path, "unlink", refused)
        assert harness.sync("guests", NO_WAIT).error is None
        assert stray.exists()

    harness.sync("guests", NO_WAIT)
    assert not stray.exists()
