"""Each vendor in the box brings a starter, which is whole, valid, and gets on with the others."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from batchsync.errors import UsageError
from batchsync.spec import jobs_schema_text, load
from batchsync.spec.starters import starter_files, starter_vendors
from batchsync.spec.vendor_spec import available_vendors

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Deployment


def written(folder: Path, *vendors: str) -> Deployment:
    """Write the starters of these vendors, or of all, and load them without any credential."""
    for name, text in starter_files(vendors).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load(folder / "jobs.yaml", environ={})


def test_every_vendor_in_the_box_brings_a_starter() -> None:
    assert starter_vendors() == available_vendors()


@pytest.mark.parametrize("vendor", available_vendors())
def test_a_starter_alone_is_one_valid_connection_and_one_valid_job_with_its_sample(vendor: str, tmp_path: Path) -> None:
    made = written(tmp_path, vendor)

    assert [connection.vendor for connection in made.connections.values()] == [vendor]
    (job,) = made.jobs
    assert (tmp_path / job.source.path).is_file()
    assert job.budget.invalid.count == job.budget.rejected.count == 0, "a sample needs no budget"


def test_the_starters_of_all_vendors_stand_in_one_file(tmp_path: Path) -> None:
    made = written(tmp_path)

    starters = [files("batchsync_specs") / vendor / "starter" for vendor in available_vendors()]
    samples = [path.name for folder in starters for path in folder.iterdir() if path.name.endswith(".csv")]
    assert len(made.jobs) == len(made.connections) == len(available_vendors())
    assert len(samples) == len(set(samples)), "two vendors bring a sample of the same name"


def test_a_starter_says_what_its_parts_are_for() -> None:
    jobs = starter_files()["jobs.yaml"]

    assert jobs.startswith("# yaml-language-server: $schema=jobs.schema.json\n")
    for vendor in available_vendors():
        assert jobs.count(f"vendor: {vendor}\n") == 1
    commented = [line for line in jobs.partition("\njobs:\n")[2].splitlines() if "#" in line]
    assert len(commented) >= 5 * len(available_vendors())


def test_the_schema_is_written_beside_the_file_and_before_it() -> None:
    made = starter_files()

    assert made["jobs.schema.json"] == jobs_schema_text()
    assert list(made)[-1] == "jobs.yaml"


def test_a_vendor_that_is_not_in_the_box_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="there is no vendor nobody") as told:
        starter_files(["nobody"])

    assert all(vendor in told.value.hint for vendor in available_vendors())
