"""The loop goes on with what can go on, and a job that our own side fails stands still as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from office import AT_ONCE, PATIENT, UPLOAD, VENDOR_OF, Office

from lading.core.batch import Phase
from lading.reconcile.sync import resume, sync

if TYPE_CHECKING:
    from lading.core.batch import Batch
    from lading.reconcile.context import JobContext


def in_files_of(context: JobContext, rows: int) -> JobContext:
    """Return the job as a vendor sees it that takes few rows in a file."""
    return replace(context, rules=replace(context.rules, file=replace(context.rules.file, rows_max=rows)))


def test_when_a_sink_refuses_one_batch_the_others_of_the_job_wait_with_their_answers(office: Office) -> None:
    context = in_files_of(office.context("vehicles"), 10)
    assert context.job.results is not None
    place = office.deployment.results("out")
    place.parent.mkdir()
    place.write_text("a file where a folder belongs", encoding="utf-8")

    (outcome,) = sync([context], office.world, PATIENT)

    assert outcome.error is not None
    batches: list[Batch] = list(office.world.memory.open_batches("vehicles"))
    assert [one.phase for one in batches] == [Phase.COLLECTED, Phase.COLLECTED]
    place.unlink()
    (after,) = resume([context], office.world, PATIENT)
    assert after.error is None
    assert not office.world.memory.open_batches("vehicles")
    assert office.delivered_once("vehicles")


def test_when_one_sealed_file_is_damaged_the_others_of_the_job_are_not_sent(office: Office) -> None:
    context = in_files_of(office.context("vehicles"), 10)
    office.arm("vehicles", kind="refuse", times=0, **UPLOAD)
    sync([context], office.world, AT_ONCE)
    office.calm()
    first, second = office.world.memory.open_batches("vehicles")
    assert (first.phase, second.phase) == (Phase.ALLOCATED, Phase.ALLOCATED)
    Path(first.file.path).write_bytes(b"spoilt")

    (outcome,) = resume([context], office.world, PATIENT)

    assert outcome.error is not None
    assert office.deployment.delivered(VENDOR_OF["vehicles"]) == {}
