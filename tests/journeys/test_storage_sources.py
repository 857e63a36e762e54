"""Sources in object storage, from the command line to the ledger of the mocks."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from kit.deployment import CDP, Deployment
from kit.s3_server import KEY_ID, SECRET, S3Server, etag
from kit.scripted_server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.scripted_server import Request

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  lake:
    storage: s3
    bucket: exports
    endpoint: URL
    credentials: {access_key_id: "${LAKE_KEY_ID}", secret_access_key: "${LAKE_SECRET}"}
jobs:
  guests:
    source: {connection: lake, path: "daily/*/guests.csv", key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =id}]}
    on_removed: delete
"""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A bucket with two days of guests."""
    monkeypatch.setenv("LAKE_KEY_ID", KEY_ID)
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    with S3Server() as server:
        server.put("daily/2026-11-29/guests.csv", "id,name\n1,Ada\n2,Bo\n")
        server.put("daily/2026-11-30/guests.csv", "id,name\n3,Cy\n")
        server.put("daily/2026-11-30/other.csv", "nothing of interest")
        yield server


@pytest.fixture
def lake(deployment: Deployment, s3: S3Server) -> Deployment:
    """A deployment whose source is in the bucket."""
    write_jobs(deployment, s3)
    return deployment


def write_jobs(deployment: Deployment, s3: S3Server, *changes: tuple[str, str]) -> None:
    """Write jobs.yaml with replaced texts."""
    text = JOBS.replace("URL", s3.url)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (deployment.folder / "jobs.yaml").write_text(text, encoding="utf-8")


def names(deployment: Deployment) -> list[str]:
    """Return the names that the vendor holds."""
    return sorted(item["value"]["lastName"] for item in deployment.mocks.store(CDP))


def shown(deployment: Deployment) -> str:
    """Return what the last command wrote."""
    return (deployment.folder / "last.log").read_text(encoding="utf-8")


def landed(deployment: Deployment) -> list[Path]:
    """Return the landed files that are left."""
    return [*deployment.folder.glob(".batchsync/**/*guests.csv")]


def test_changes_of_objects_reach_the_vendor_once(lake: Deployment, s3: S3Server) -> None:
    assert lake.json("validate")["notes"] == ["guests: not checked: its source is read from storage by each run"]
    assert s3.requests == []
    lake.run("plan", "--detailed-exitcode", expect=10)
    lake.run("sync")
    assert names(lake) == ["Ada", "Bo", "Cy"]
    assert "unchanged 3" in lake.run("sync")
    s3.put("daily/2026-11-29/guests.csv", "id,name\n1,Ada\n2,Bob\n")
    s3.put("daily/2026-11-30/guests.csv", "id,name\n4,Di\n")
    assert "1 added, 1 changed, 1 removed" in lake.run("sync")
    assert names(lake) == ["Ada", "Bob", "Di"]
    assert all(count == 1 for count in lake.delivered(CDP).values())
    assert landed(lake) == []
    assert not any(item.method == "PUT" for item in s3.requests)


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_object_that_changes_during_the_read_sends_nothing(lake: Deployment, s3: S3Server, what: str) -> None:
    def fault(request: Request) -> None:
        if request.method == "GET" and request.path.endswith("2026-11-30/guests.csv"):
            s3.objects.pop("daily/2026-11-30/guests.csv", None)
            if what == "replaced":
                s3.put("daily/2026-11-30/guests.csv", "id,name\n9,Eve\n")

    s3.fault = fault
    lake.run("sync", expect=3)
    assert f"lake: daily/2026-11-30/guests.csv: the object was {what} since the run looked at it" in shown(lake)
    assert not lake.mocks.store(CDP)
    assert landed(lake) == []


def test_truncated_bodies_are_read_again_and_never_taken(lake: Deployment, s3: S3Server) -> None:
    cut: list[str] = []

    def fault(request: Request) -> Answer | None:
        if request.method == "GET" and request.path.endswith(".csv") and len(cut) < 2:
            cut.append(request.path)
            data = s3.objects[request.path.removeprefix("/exports/")]
            headers = {"ETag": '"x"', "Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
            return Answer(status=206, headers=headers | etag_of(data), body=data, cut=5)
        return None

    s3.fault = fault
    lake.run("sync")
    assert len(cut) == 2
    assert names(lake) == ["Ada", "Bo", "Cy"]


def etag_of(data: bytes) -> dict[str, str]:
    """Return the headers of an object."""
    return {"ETag": etag(data), "Last-Modified": "Mon, 30 Nov 2026 01:00:00 GMT"}


def test_service_that_breaks_in_the_middle_is_an_error_and_sends_nothing(lake: Deployment, s3: S3Server) -> None:
    s3.fault = lambda request: Answer(status=0) if request.path.endswith("30/guests.csv") else None
    lake.run("sync", expect=3)
    assert "lake: daily/2026-11-30/guests.csv: the service cannot be reached, or broke the connection" in shown(lake)
    assert "jobs.yaml:7:3" in shown(lake)
    assert not lake.mocks.store(CDP)
    assert landed(lake) == []


def test_service_that_is_down_is_an_error(lake: Deployment, s3: S3Server) -> None:
    s3.stop()
    lake.run("sync", expect=3)
    assert "lake: daily: the service cannot be reached" in shown(lake)


def test_busy_service_is_asked_again(lake: Deployment, s3: S3Server) -> None:
    busy = [Answer(status=503, body=b"<Error><Code>SlowDown</Code></Error>")] * 2
    s3.fault = lambda request: busy.pop() if busy and request.path.endswith(".csv") else None
    lake.run("sync")
    assert names(lake) == ["Ada", "Bo", "Cy"]


def test_wrong_credentials_are_named_and_not_shown(lake: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_KEY_ID", "AKIDWRONG")
    lake.run("sync", expect=3)
    assert "lake: daily: access denied (InvalidAccessKeyId)" in shown(lake)
    assert all(text not in shown(lake) for text in ("AKIDWRONG", SECRET, "quoted-by-the-service"))
    monkeypatch.delenv("LAKE_KEY_ID")
    lake.run("sync", expect=3)
    assert 'credential "access_key_id" of connection "lake": LAKE_KEY_ID is not set' in shown(lake)


def test_missing_bucket_and_missing_objects_are_named(lake: Deployment, s3: S3Server) -> None:
    write_jobs(lake, s3, ("bucket: exports", "bucket: export"))
    lake.run("sync", expect=3)
    assert 'connection "lake" (S3, bucket export): there is no such bucket' in shown(lake)
    write_jobs(lake, s3, ("daily/*/guests.csv", "daily/guests.csv"), ("bucket: exports", "bucket: export"))
    lake.run("sync", expect=3)
    assert "there is no such bucket" in shown(lake)
    write_jobs(lake, s3, ("daily/*/guests.csv", "daily/guests.csv"))
    lake.run("sync", expect=3)
    assert "there is no object daily/guests.csv" in shown(lake)
    write_jobs(lake, s3, ("daily/*/guests.csv", "weekly/*/guests.csv"))
    lake.run("sync", expect=3)
    assert "lake: weekly/*/guests.csv: no object matches" in shown(lake)


def test_pattern_finds_its_objects_among_ten_thousand(lake: Deployment, s3: S3Server) -> None:
    for number in range(10_000):
        s3.put(f"daily/x{number:05}/rows.bin", b"x")
    lake.run("sync")
    assert names(lake) == ["Ada", "Bo", "Cy"]
    assert len(s3.gets()) == 2


def test_names_of_objects_may_have_any_characters(lake: Deployment, s3: S3Server) -> None:
    s3.put("daily/a b+c%20d/guests.csv", "id,name\n7,Gil\n")
    s3.put("daily/é#?&=/guests.csv", "id,name\n8,Hal\n")
    lake.run("sync")
    assert names(lake) == ["Ada", "Bo", "Cy", "Gil", "Hal"]


def test_folders_name_columns(lake: Deployment, s3: S3Server) -> None:
    s3.put("by/city=Oslo/a.csv", "id,name\n1,Ada\n")
    s3.put("by/city=Bern/a.csv", "id,name\n2,Bo\n")
    write_jobs(lake, s3, ("daily/*/guests.csv", "by/*/a.csv"), ("=name", "=name || ' ' || city"))
    lake.run("sync")
    assert names(lake) == ["Ada Oslo", "Bo Bern"]


def test_compressed_objects_and_prefixes_are_read(lake: Deployment, s3: S3Server) -> None:
    s3.put("crm/out/guests.csv.gz", gzip.compress(b"id,name\n5,Flo\n"))
    write_jobs(
        lake, s3, ("bucket: exports\n", "bucket: exports\n    prefix: crm/out\n"), ("daily/*/guests.csv", "*.csv.gz")
    )
    lake.run("sync")
    assert names(lake) == ["Flo"]


@pytest.mark.parametrize("path", ["daily/2026-11-30/guests.csv", "daily/2026-11-30/guests.csv.gz"])
def test_damaged_object_is_named_by_its_path(lake: Deployment, s3: S3Server, path: str) -> None:
    write_jobs(lake, s3, ("daily/*/guests.csv", path))
    data = b"id,name\n3\n"
    s3.put(path, gzip.compress(data) if path.endswith(".gz") else data)
    lake.run("sync", expect=3)
    assert f"lake: {path}:2 (row 1): " in shown(lake)
    assert ".batchsync" not in shown(lake)
    assert not lake.mocks.store(CDP)


@pytest.mark.parametrize("rows", [1, 200_000])
def test_damaged_row_of_a_large_object_is_named_by_its_path(lake: Deployment, s3: S3Server, rows: int) -> None:
    text = "id,name\n" + "".join(f"{number},Ada\n" for number in range(rows)) + '7,"Ada\n'
    s3.put("daily/2026-11-30/guests.csv", text)
    lake.run("sync", expect=3)
    assert f"lake: daily/2026-11-30/guests.csv:{rows + 2} (row {rows + 1}" in shown(lake)
    assert ".batchsync" not in shown(lake)


def test_damaged_object_of_a_join_is_named_by_its_path(lake: Deployment, s3: S3Server) -> None:
    s3.put("names.csv", "id,name\n1,Ada\n2\n")
    s3.put("ids.csv", "id\n1\n")
    join = "{connection: lake, path: ids.csv, key: id, join: [{connection: lake, path: names.csv, on: {id: id}}]}"
    write_jobs(lake, s3, ('{connection: lake, path: "daily/*/guests.csv", key: id}', join))
    lake.run("sync", expect=3)
    assert "lake: names.csv:3 (row 2): " in shown(lake)
    assert ".batchsync" not in shown(lake)


def test_objects_that_differ_in_columns_are_named_by_their_paths(lake: Deployment, s3: S3Server) -> None:
    s3.put("daily/2026-11-30/guests.csv", "id,surname\n3,Cy\n")
    lake.run("sync", expect=3)
    named = "lake: daily/2026-11-30/guests.csv and lake: daily/2026-11-29/guests.csv differ in columns: name, surname"
    assert named in shown(lake)


def test_doctor_lists_the_bucket(lake: Deployment, s3: S3Server) -> None:
    checks = {item["check"]: item for item in lake.json("doctor")["checks"]}
    assert checks["lake"]["found"] == "bucket exports: can be listed, and has objects"
    write_jobs(lake, s3, ("bucket: exports", "bucket: export"))
    lake.run("doctor", expect=3)
    assert "there is no such bucket" in shown(lake)


def test_untrusted_file_reaches_no_bucket(lake: Deployment, s3: S3Server) -> None:
    lake.run("validate", "--untrusted")
    lake.run("plan", "--untrusted")
    assert "not planned: its source is elsewhere" in shown(lake)
    assert s3.requests == []


def test_environment_decides_neither_endpoint_nor_proxy(
    lake: Deployment, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-another-account")
    lake.run("sync")
    assert names(lake) == ["Ada", "Bo", "Cy"]
    assert not any("x-amz-security-token" in item.headers for item in s3.requests)


def test_keys_of_the_profile_are_used(
    lake: Deployment, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "aws"
    file.write_text(f"[lake]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n", encoding="utf-8")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lake")
    line = '    credentials: {access_key_id: "${LAKE_KEY_ID}", secret_access_key: "${LAKE_SECRET}"}\njobs'
    write_jobs(lake, s3, (line, "jobs"))
    lake.run("sync")
    assert names(lake) == ["Ada", "Bo", "Cy"]
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert "unchanged 3" in lake.run("sync")


def test_fewer_objects_are_guarded_like_fewer_files(lake: Deployment, s3: S3Server) -> None:
    lake.run("sync")
    del s3.objects["daily/2026-11-30/guests.csv"]
    lake.run("sync", expect=6)
    assert names(lake) == ["Ada", "Bo", "Cy"]


def test_source_is_joined_with_objects_of_the_storage(lake: Deployment, s3: S3Server) -> None:
    s3.put("levels.csv", "key,level\n1,Gold\n2,Silver\n3,Gold\n")
    join = "key: id, join: [{connection: lake, path: levels.csv, on: {id: key}}]}"
    write_jobs(lake, s3, ("key: id}", join), ("lastName: =name", "lastName: =name || ' ' || level"))
    lake.run("validate", "--online")
    lake.run("sync")
    assert "guests: land join 1 33 bytes\n" in shown(lake)
    assert names(lake) == ["Ada Gold", "Bo Silver", "Cy Gold"]
    s3.put("levels.csv", "key,level\n1,Silver\n2,Silver\n3,Gold\n")
    assert "0 added, 1 changed, 0 removed" in lake.run("sync")
    assert all(count == 1 for count in lake.delivered(CDP).values())
    assert not [*lake.folder.glob(".batchsync/**/*levels.csv")]


def test_file_is_joined_with_an_object_of_the_storage(lake: Deployment, s3: S3Server) -> None:
    s3.put("levels.csv", "key,level\n1,Gold\n")
    (lake.folder / "guests.csv").write_text("id,name\n1,Ada\n", encoding="utf-8")
    old = '{connection: lake, path: "daily/*/guests.csv", key: id}'
    new = "{path: guests.csv, key: id, join: [{connection: lake, path: levels.csv, on: {id: key}}]}"
    write_jobs(lake, s3, (old, new), ("lastName: =name", "lastName: =name || ' ' || level"))
    note = "guests: not checked: its join lake: levels.csv is read from storage by each run"
    assert lake.json("validate")["notes"] == [note]
    lake.run("sync")
    assert names(lake) == ["Ada Gold"]
    write_jobs(lake, s3, (old, new), ("lastName: =name", "lastName: =name || ' ' || lvl"))
    lake.run("validate")
    lake.run("validate", "--online", expect=2)
    assert "lvl" in shown(lake)
    write_jobs(lake, s3, (old, new.replace("levels.csv", "none.csv")))
    lake.run("sync", expect=3)
    assert "none.csv" in shown(lake)
