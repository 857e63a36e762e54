"""Object storage against moto's server of S3: the journeys of tests/journeys/test_storage_sources.py, and versions."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import obstore
import polars as pl
import pytest
from obstore.store import S3Store

from batchsync.core.job import Results, Source
from batchsync.core.object_storage import Storage, StoredFiles
from batchsync.errors import SourceError, UnavailableError
from batchsync.ports import StorageAccess
from batchsync.sinks import Sinks
from batchsync.source import check_storage, fetch
from batchsync.util.object_client import REQUEST_BYTES, ObjectChangedError, ObjectClient
from kit.deployment import CDP, Deployment

CREDENTIALS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret-of-the-lake"}
ACCESS = StorageAccess(credentials=CREDENTIALS)


@pytest.fixture
def bucket(moto: str, request: pytest.FixtureRequest) -> Bucket:
    """An empty bucket of its own."""
    name = "b-" + request.node.name.lower().replace("_", "-").partition("[")[0][:50].rstrip("-")
    return Bucket(moto, name)


class Bucket:
    """A bucket of moto."""

    def __init__(self, url: str, name: str) -> None:
        """Create it."""
        self.storage = Storage(name="lake", kind="s3", bucket=name, endpoint=url)
        root = S3Store(name, endpoint=url, region="us-east-1", client_options={"allow_http": True}, **CREDENTIALS)
        self.store = root
        request = urllib.request.Request(f"{url}/{name}", method="PUT")  # noqa: S310 - loopback
        urllib.request.urlopen(request, timeout=20).close()  # noqa: S310 - loopback

    def put(self, path: str, data: bytes | str) -> None:
        """Write an object."""
        obstore.put(self.store, path, data.encode() if isinstance(data, str) else data)

    def fetch(self, path: str, into: Path) -> Source:
        """Return the objects of a path as fetched."""
        stored = StoredFiles(storage=self.storage, path=path)
        source = Source(path=stored.title, folder=str(into.parent), key=("id",), stored=stored)
        return fetch(source, into, access=lambda _: ACCESS)

    @property
    def client(self) -> ObjectClient:
        """A client of batchsync."""
        return ObjectClient(self.storage, CREDENTIALS)


@pytest.mark.timeout(400)
def test_objects_are_found_among_ten_thousand_and_landed_whole(bucket: Bucket, tmp_path: Path) -> None:
    for number in range(10_000):
        bucket.put(f"many/{number:05}/other.bin", b"x")
    large = bytes(range(256)) * (REQUEST_BYTES // 200)
    names = ["many/00007/a b+c%20d.csv", "many/00008/é#?&=.csv", "many/09999/large.csv"]
    for name in names[:2]:
        bucket.put(name, name)
    bucket.put(names[2], large)
    source = bucket.fetch("many/*/*.csv", tmp_path / "into")
    assert [part.origin for part in source.parts] == names
    assert [Path(part.path).read_bytes() for part in source.parts] == [names[0].encode(), names[1].encode(), large]
    assert check_storage(bucket.storage, lambda _: ACCESS).endswith("can be listed, and has objects")


def test_replaced_and_deleted_objects_are_refused(bucket: Bucket) -> None:
    bucket.put("a.csv", "id\n1\n")
    seen = bucket.client.look_at("a.csv")
    assert b"".join(bucket.client.read(seen, 0, 3)) == b"id\n"
    bucket.put("a.csv", "id\n2\n")
    with pytest.raises(ObjectChangedError, match=r"lake: a\.csv: the object was replaced"):
        next(bucket.client.read(seen, 0, 3))
    obstore.delete(bucket.store, "a.csv")
    with pytest.raises(ObjectChangedError, match=r"lake: a\.csv: the object was deleted"):
        next(bucket.client.read(seen, 0, 3))


def test_missing_bucket_and_objects_are_named(bucket: Bucket, tmp_path: Path, moto: str) -> None:
    with pytest.raises(SourceError, match=r"there is no object none\.csv"):
        bucket.fetch("none.csv", tmp_path / "a")
    with pytest.raises(SourceError, match=r"lake: none/\*\.csv: no object matches"):
        bucket.fetch("none/*.csv", tmp_path / "b")
    missing = Storage(name="lake", kind="s3", bucket="is-not-there", endpoint=moto)
    with pytest.raises(UnavailableError, match="there is no such bucket"):
        check_storage(missing, lambda _: ACCESS)


def test_results_are_written_conditionally(bucket: Bucket, tmp_path: Path) -> None:
    results = Results(path="out/checks.csv", format="csv", storage=bucket.storage)
    sinks = Sinks(lambda _: ACCESS)
    for number, found in enumerate(["no", "yes", "yes"]):
        file = tmp_path / f"{number}.parquet"
        pl.DataFrame({"vin": ["A", f"B{number}"], "found": [found, "no"]}).write_parquet(file)
        assert sinks.deliver(file, results, ("vin",)) == number + 2
    content = bytes(obstore.get(bucket.store, "out/checks.csv").bytes())
    assert content == b"vin,found\nA,yes\nB0,no\nB1,no\nB2,no\n"
    seen = bucket.client.look_at("out/checks.csv")
    bucket.put("out/checks.csv", "vin,found\n")
    with pytest.raises(ObjectChangedError, match="was replaced"):
        bucket.client.put("out/checks.csv", b"x", seen)
    with pytest.raises(ObjectChangedError, match="was replaced"):
        bucket.client.put("out/checks.csv", b"x", None)


JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  lake:
    storage: s3
    bucket: NAME
    endpoint: URL
    credentials: {access_key_id: "${LAKE_KEY_ID}", secret_access_key: "${LAKE_SECRET}"}
jobs:
  guests:
    source: {connection: lake, path: "daily/**/*.parquet", key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]}
    on_removed: delete
"""


def test_changes_of_a_bucket_reach_the_vendor_once(
    deployment: Deployment, bucket: Bucket, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_KEY_ID", CREDENTIALS["access_key_id"])
    monkeypatch.setenv("LAKE_SECRET", CREDENTIALS["secret_access_key"])
    text = JOBS.replace("URL", moto).replace("NAME", bucket.storage.bucket)
    (deployment.folder / "jobs.yaml").write_text(text, encoding="utf-8")

    def put(path: str, rows: dict[int, str]) -> None:
        file = deployment.folder / "rows.parquet"
        pl.DataFrame({"id": list(rows), "name": list(rows.values())}).write_parquet(file)
        bucket.put(path, file.read_bytes())

    put("daily/1/a.parquet", {1: "Ada", 2: "Bo"})
    put("daily/b.parquet", {3: "Cy"})
    deployment.run("sync")
    assert "unchanged 3" in deployment.run("sync")
    put("daily/b.parquet", {4: "Di"})
    assert "1 added, 0 changed, 1 removed" in deployment.run("sync")
    assert sorted(item["value"]["lastName"] for item in deployment.mocks.store(CDP)) == ["Ada", "Bo", "Di"]
    assert all(count == 1 for count in deployment.delivered(CDP).values())
