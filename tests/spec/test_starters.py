"""Every bundled vendor has a valid starter, and starters can be combined."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.errors import UsageError
from batchsync.spec import jobs_schema_text, load
from batchsync.spec.scaffold import scaffold_files
from batchsync.spec.starters import has_starter, starter_files, starter_vendors
from batchsync.spec.vendor_spec import available_vendors

if TYPE_CHECKING:
    from batchsync.core.deployment import Deployment


def write_starters(folder: Path, *vendors: str) -> Deployment:
    """Write the starters of these vendors, or of those that `init` includes, and load them without credentials."""
    for name, text in starter_files(vendors).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load(folder / "jobs.yaml", environ={})


def test_every_bundled_vendor_has_a_starter() -> None:
    assert starter_vendors() == available_vendors()


@pytest.mark.parametrize("vendor", available_vendors())
def test_starter_has_a_connection_and_a_job_with_sample_data(vendor: str, tmp_path: Path) -> None:
    deployment = write_starters(tmp_path, vendor)

    assert [connection.vendor for connection in deployment.connections.values()] == [vendor]
    (job,) = deployment.jobs
    assert (tmp_path / job.source.path).is_file()
    assert job.budget.invalid.count == job.budget.rejected.count == 0, "a sample needs no budget"


def test_starters_of_all_vendors_are_one_file(tmp_path: Path) -> None:
    deployment = write_starters(tmp_path, *available_vendors())

    starters = [files("batchsync_specs") / vendor / "starter" for vendor in available_vendors()]
    samples = [path.name for folder in starters for path in folder.iterdir() if path.name.endswith(".csv")]
    assert len(deployment.jobs) == len(deployment.connections) == len(available_vendors())
    assert len(samples) == len(set(samples)), "two vendors have a sample of the same name"


def test_init_without_a_vendor_writes_two_of_them() -> None:
    jobs = starter_files()["jobs.yaml"]
    assert [name for name in available_vendors() if f"vendor: {name}\n" in jobs] == ["motorweb-bdp", "sitecore-cdp"]


def test_starter_has_comments() -> None:
    jobs = starter_files(available_vendors())["jobs.yaml"]

    assert jobs.startswith("# yaml-language-server: $schema=jobs.schema.json\n")
    for vendor in available_vendors():
        assert jobs.count(f"vendor: {vendor}\n") == 1
    commented = [line for line in jobs.partition("\njobs:\n")[2].splitlines() if "#" in line]
    assert len(commented) >= 5 * len(available_vendors())


@pytest.mark.parametrize("place", ["acme", "a vendor's #1: folder/acme"])
def test_starter_of_a_folder_names_it_by_its_path(tmp_path: Path, place: str) -> None:
    folder, jobs = tmp_path / place, tmp_path / "jobs"
    for name, text in scaffold_files("acme").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    jobs.mkdir()
    assert has_starter(str(folder))
    written = starter_files([str(folder)], jobs)["jobs.yaml"]
    (jobs / "jobs.yaml").write_text(written, encoding="utf-8")

    (connection,) = load(jobs / "jobs.yaml", environ={}).connections.values()
    assert Path(connection.vendor).resolve() == folder
    (folder / "starter" / "job.yaml").unlink()
    assert not has_starter(str(folder))
    with pytest.raises(UsageError, match="no starter"):
        starter_files([str(folder)], jobs)


def test_schema_is_written_before_jobs_file() -> None:
    written = starter_files()

    assert written["jobs.schema.json"] == jobs_schema_text()
    assert list(written)[-1] == "jobs.yaml"


def test_unknown_vendor_is_refused_with_known_vendors() -> None:
    with pytest.raises(UsageError, match="no starter for vendor unknown") as caught:
        starter_files(["unknown"])

    assert all(vendor in caught.value.hint for vendor in available_vendors())
