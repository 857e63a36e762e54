"""Files go when nobody needs them any more, and only these, and a file that cannot go stops nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from office import AT_ONCE, PATIENT

from lading.data.gz import Block
from lading.data.sealed import Sealer
from lading.reconcile.sweep import sweep

if TYPE_CHECKING:
    import pytest
    from office import Office


def files(office: Office, job: str = "guests") -> dict[str, set[str]]:
    """Return the names of what lies in the job's folders."""
    folders = office.world.folders
    places = {
        "staging": folders.staging(job),
        "baselines": folders.baselines(job),
        "collected": folders.collected_of(job),
        "work": folders.work(job),
    }
    return {name: {one.name for one in place.iterdir()} if place.is_dir() else set() for name, place in places.items()}


def swept(office: Office, job: str = "guests") -> dict[str, set[str]]:
    with office.world.lease(job):
        sweep(job, office.world)
    return files(office, job)


def test_there_is_nothing_to_sweep_before_anything_ran(office: Office) -> None:
    assert swept(office) == {"staging": set(), "baselines": set(), "collected": set(), "work": set()}


def test_what_an_open_batch_needs_stays_and_everything_else_goes(office: Office) -> None:
    office.sync("guests")
    batch, folders = office.batch("guests"), office.world.folders
    needed = {Path(batch.file.path).name, Path(batch.file.evidence).name}
    for folder in (folders.staging("guests"), folders.baselines("guests"), folders.work("guests")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "left-by-a-killed-process").write_text("somebody's rows")
    for name in (batch.id, "guests-of-a-batch-that-is-over"):
        (folders.collected_of("guests") / name).mkdir(parents=True)

    assert swept(office) == {"staging": needed, "baselines": set(), "collected": {batch.id}, "work": set()}


def test_a_file_that_was_half_sealed_when_a_process_was_killed_goes_too(office: Office) -> None:
    staging = office.world.folders.staging("guests")
    sealer = Sealer(staging, office.context("guests").rules.file, None)
    sealer.add(Block(b"somebody's rows", 1, 0, 15), pl.DataFrame({"key": ["G1"], "op": ["add"]}))
    assert files(office)["staging"]

    assert swept(office)["staging"] == set()
    sealer.abandon()


def test_when_all_is_delivered_only_the_baseline_is_left(office: Office) -> None:
    office.sync("guests", PATIENT)

    left = files(office)

    assert (left["staging"], left["collected"], left["work"]) == (set(), set(), set())
    assert left["baselines"] == set(office.app.journal.baseline_files("guests"))
    assert left["baselines"]


def test_one_jobs_sweep_leaves_the_files_of_another_alone(office: Office) -> None:
    office.sync("vehicles")
    before = files(office, "vehicles")
    swept(office, "guests")
    assert files(office, "vehicles") == before


def test_a_file_that_cannot_be_removed_stops_no_sync_and_goes_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.sync("guests")
    stray = office.world.folders.staging("guests") / "not-ours-to-remove"
    stray.write_text("x")
    with monkeypatch.context() as stubborn:
        unlink = Path.unlink

        def refused(path: Path, **given: bool) -> None:
            if path.name == stray.name:
                raise PermissionError(1, "Operation not permitted", str(path))
            unlink(path, **given)

        stubborn.setattr(Path, "unlink", refused)
        assert office.sync("guests", AT_ONCE).error is None
        assert stray.exists()

    office.sync("guests", AT_ONCE)
    assert not stray.exists()
