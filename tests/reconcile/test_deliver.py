"""Delivery of lookup results after the job was edited."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from harness import WAIT, Harness

from batchsync.core.batch import Phase
from batchsync.reconcile.sync import resume

if TYPE_CHECKING:
    from pathlib import Path


def read_results(harness: Harness) -> list[dict[str, str]]:
    with (harness.deployment.results("out/vehicles.csv")).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_results_are_delivered_by_the_key_of_their_batch(harness: Harness) -> None:
    harness.sync("vehicles")
    assert harness.batch("vehicles").phase is Phase.SUBMITTED
    context = harness.context("vehicles")
    renamed = replace(context, job=replace(context.job, source=replace(context.job.source, key=("vehicle",))))

    (outcome,) = resume([renamed], harness.services, WAIT)

    assert outcome.error is None
    assert {row["id"] for row in read_results(harness)} == {f"V{n}" for n in range(1, 20)}


def test_results_are_dropped_after_the_key_results_was_removed_from_the_job(harness: Harness) -> None:
    harness.sync("vehicles")

    (outcome,) = resume([harness.context("vehicles", results=None)], harness.services, WAIT)

    assert outcome.error is None
    assert not harness.deployment.results("out").exists()


def test_collection_without_key_is_collected_again(harness: Harness) -> None:
    """Older releases wrote no key."""
    blocked = harness.deployment.results("out")
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where a folder belongs", encoding="utf-8")
    harness.sync("vehicles", WAIT)
    batch = harness.batch("vehicles")
    assert batch.phase is Phase.COLLECTED
    (manifest,) = harness.services.paths.collected(batch).rglob("collected.json")
    _without_key(manifest)
    blocked.unlink()

    assert harness.resume("vehicles").error is None

    assert len(read_results(harness)) == 19


def _without_key(manifest: Path) -> None:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    del content["key"]
    manifest.write_text(json.dumps(content), encoding="utf-8")
