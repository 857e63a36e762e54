"""Answers reach their place as they were asked for, whatever the job says by the time that they come."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from office import PATIENT, Office

from lading.core.batch import Phase
from lading.reconcile.sync import resume

if TYPE_CHECKING:
    from pathlib import Path


def answers(office: Office) -> list[dict[str, str]]:
    with (office.deployment.results("out/vehicles.csv")).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_answers_are_delivered_by_the_key_that_their_rows_were_sent_with(office: Office) -> None:
    office.sync("vehicles")
    assert office.batch("vehicles").phase is Phase.SUBMITTED
    context = office.context("vehicles")
    renamed = replace(context, job=replace(context.job, source=replace(context.job.source, key=("vehicle",))))

    (outcome,) = resume([renamed], office.world, PATIENT)

    assert outcome.error is None
    assert {one["id"] for one in answers(office)} == {f"V{n}" for n in range(1, 20)}


def test_answers_have_no_place_when_the_job_wants_none_any_more(office: Office) -> None:
    office.sync("vehicles")

    (outcome,) = resume([office.context("vehicles", results=None)], office.world, PATIENT)

    assert outcome.error is None
    assert not office.deployment.results("out").exists()


def test_a_collection_that_does_not_say_its_key_is_fetched_anew(office: Office) -> None:
    """Older releases wrote such ones."""
    place = office.deployment.results("out")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file where a folder belongs", encoding="utf-8")
    office.sync("vehicles", PATIENT)
    batch = office.batch("vehicles")
    assert batch.phase is Phase.COLLECTED
    (said,) = office.world.folders.collected(batch).rglob("collected.json")
    _without_key(said)
    place.unlink()

    assert office.resume("vehicles").error is None

    assert len(answers(office)) == 19


def _without_key(manifest: Path) -> None:
    said = json.loads(manifest.read_text(encoding="utf-8"))
    del said["key"]
    manifest.write_text(json.dumps(said), encoding="utf-8")
