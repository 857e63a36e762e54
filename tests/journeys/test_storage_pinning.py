"""Files go to the storage that the vendor named first, or that jobs.yaml declares, and to no other."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from kit.deployment import BDP, CDP
from kit.forward_proxy import BUCKETS, STORAGE

if TYPE_CHECKING:
    from kit.forward_proxy import NamedDeployment

GCS = "storage.googleapis.com"
OTHER = {BDP: f"https://{GCS}/another-customer", CDP: "https://sitecore-batch-service-other.s3.eu-west-1.amazonaws.com"}
JOB = {BDP: "vehicles", CDP: "guests"}
LOCATION = {BDP: f"{GCS}/motorweb-files", CDP: "sitecore-batch-service-test.s3.eu-west-1.amazonaws.com"}
OTHER_LOCATION = {BDP: f"{GCS}/another-customer", CDP: "sitecore-batch-service-other.s3.eu-west-1.amazonaws.com"}


def change_sources(named: NamedDeployment) -> None:
    """Add a row to each source."""
    for name, row in (("guests", "G99,guest 99,guest99@example.com\n"), ("vehicles", "V99,1HGCM82633A999999,,\n")):
        with (named.folder / f"{name}.csv").open("a", encoding="utf-8") as file:
            file.write(row)


def requests_to(named: NamedDeployment, location: str) -> list[str]:
    return [seen for seen in named.vendors.seen if f" {location}/" in f"{seen}/"]


@pytest.mark.parametrize("vendor", [BDP, CDP])
def test_other_bucket_is_refused_until_it_is_declared(named: NamedDeployment, vendor: str) -> None:
    named.connect()
    job = JOB[vendor]
    named.run("sync", job)
    assert requests_to(named, LOCATION[vendor])
    delivered = sum(named.delivered(vendor).values())

    named.vendors.storage[vendor] = OTHER[vendor]
    change_sources(named)
    named.run("sync", job, expect=8)
    refusal = f"the vendor names storage {OTHER_LOCATION[vendor]} (upload), and {LOCATION[vendor]} was used so far"
    assert refusal in named.log
    declare = f"storage_hosts: [{LOCATION[vendor]}, {OTHER_LOCATION[vendor]}]"
    assert declare in named.log
    assert f"batchsync resume {job}" in named.log
    assert requests_to(named, OTHER_LOCATION[vendor]) == [], "nothing was sent there"
    # Asking again changes nothing.
    named.run("resume", job, expect=8)
    assert requests_to(named, OTHER_LOCATION[vendor]) == []

    jobs = named.folder / "jobs.yaml"
    text = jobs.read_text(encoding="utf-8")
    jobs.write_text(text.replace(f"    vendor: {vendor}\n", f"    vendor: {vendor}\n    {declare}\n"), encoding="utf-8")
    named.run("resume", job)
    assert requests_to(named, OTHER_LOCATION[vendor])
    assert sum(named.delivered(vendor).values()) == delivered + 1


def test_other_bucket_for_results_is_refused(named: NamedDeployment) -> None:
    """Results may come from another bucket than uploads go to, but from the same one each time."""
    named.vendors.downloads = f"https://{GCS}/motorweb-results"
    named.connect()
    named.run("sync", "vehicles")
    assert requests_to(named, f"{GCS}/motorweb-results")
    named.vendors.downloads = OTHER[BDP]
    change_sources(named)
    refusal = f"storage {GCS}/another-customer (results.csv), and {GCS}/motorweb-results was used so far"
    # Asked again during the grace period: the results may not be ready.
    named.kill_when(lambda: refusal in (named.folder / "killed.log").read_text(), "sync", "vehicles", within=100)
    assert requests_to(named, f"{GCS}/another-customer") == []
    named.vendors.downloads = f"https://{GCS}/motorweb-results"
    named.run("resume", "vehicles")


@pytest.mark.parametrize("vendor", [BDP, CDP])
def test_declared_bucket_pins_storage_from_the_first_run(named: NamedDeployment, vendor: str) -> None:
    pinned = {BDP: f"{GCS}/motorweb-*", CDP: "sitecore-batch-service-test.s3.*.amazonaws.com"}[vendor]
    named.connect(storage_hosts=[pinned])
    named.vendors.storage[vendor] = OTHER[vendor]
    named.run("sync", JOB[vendor], expect=8)
    assert "storage_hosts" in named.log
    assert requests_to(named, OTHER_LOCATION[vendor]) == []
    named.vendors.storage[vendor] = STORAGE[vendor]
    named.run("resume", JOB[vendor])
    assert requests_to(named, LOCATION[vendor])
    assert not (named.folder / ".batchsync" / "storage").exists(), "what is declared needs no memory"


def test_declared_host_is_added_to_those_of_the_vendor(named: NamedDeployment) -> None:
    """A vendor that moves to a host which its spec does not have."""
    named.connect(storage_hosts=["storage.googleapis.com/sitecore-files"])
    named.vendors.storage[CDP] = f"https://{GCS}/sitecore-files"
    named.run("sync", "guests")
    assert requests_to(named, f"{GCS}/sitecore-files")
    named.vendors.storage[CDP] = STORAGE[CDP]
    change_sources(named)
    named.run("sync", "guests")
    assert requests_to(named, LOCATION[CDP])


def test_both_names_of_the_bucket_need_no_setting_and_storage_by_path_is_named_in_the_message(
    named: NamedDeployment,
) -> None:
    """Sitecore: `sitecore-batch-service-*` (D:allocate) and `boxever-batch-service-*` (C1), regional and global."""
    named.connect()
    for bucket in BUCKETS[0], BUCKETS[2]:
        for host in ("s3.eu-west-1.amazonaws.com", "s3.amazonaws.com"):
            location = f"{bucket}.{host}"
            named.vendors.storage[CDP] = f"https://{location}"
            shutil.rmtree(named.folder / ".batchsync" / "storage", ignore_errors=True)
            change_guests(named, location)
            named.run("sync", "guests")
            assert requests_to(named, location)
    jobs = named.folder / "jobs.yaml"
    plain = jobs.read_text(encoding="utf-8")
    declared: list[str] = []
    for host in ("s3.eu-west-1.amazonaws.com", "s3.amazonaws.com"):
        location = f"{host}/{BUCKETS[2]}"
        named.vendors.storage[CDP] = f"https://{location}"
        shutil.rmtree(named.folder / ".batchsync" / "storage", ignore_errors=True)
        change_guests(named, location)
        named.run("sync", "guests", expect=8)
        assert f"the vendor names storage {location}, which neither its spec nor the connection has" in named.log
        line = f"storage_hosts: [{', '.join([*declared, location])}]"
        assert f"add to the connection in jobs.yaml: {line}" in named.log
        assert requests_to(named, location) == []
        text = plain.replace(f"    vendor: {CDP}\n", f"    vendor: {CDP}\n    {line}\n")
        jobs.write_text(text, encoding="utf-8")
        named.run("resume", "guests")
        assert requests_to(named, location)
        declared.append(location)


def change_guests(named: NamedDeployment, name: str) -> None:
    """Add a guest whose key no other call uses."""
    with (named.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write(f"H{len(named.vendors.seen)},{name},h{len(named.vendors.seen)}@example.com\n")


def test_storage_of_mocks_is_not_remembered(named: NamedDeployment) -> None:
    """Mocks listen on another port each time."""
    named.connect()
    named.more.update(BATCHSYNC_MOCKS="1")
    named.run("sync")
    assert not list((named.folder / ".batchsync").rglob("storage"))
