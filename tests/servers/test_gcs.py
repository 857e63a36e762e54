"""Google Cloud Storage against fake-gcs-server: listing, reading, and objects that change.

The server ignores the header If-Match: it answers with the object that is there now, whose other ETag batchsync notices
itself. It answers HTTP 500 about a missing bucket, and of writes in XML takes signed URLs alone, so that results in
Google Cloud Storage are not tested with a server; conditional writes are, with those of S3 and Azure. It checks no
credentials: the key here asks for no token of Google.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.core.job import Source
from batchsync.core.object_storage import Storage, StoredFiles
from batchsync.errors import SourceError
from batchsync.ports import StorageAccess
from batchsync.source import check_storage, fetch
from batchsync.util.object_client import CHUNK_BYTES, ObjectChangedError, ObjectClient
from kit import gcs_server, storage_jobs

if TYPE_CHECKING:
    from kit.deployment import Deployment

NAMES = ("client_email", "private_key", "private_key_id")


@pytest.fixture
def bucket(gcs: str, request: pytest.FixtureRequest) -> Bucket:
    """An empty bucket of its own."""
    name = "b-" + re.sub("[^a-z]+", "-", request.node.name.lower().removeprefix("test_"))[:50].strip("-")
    gcs_server.create_bucket(gcs, name)
    return Bucket(gcs, name)


class Bucket:
    """A bucket of fake-gcs-server."""

    def __init__(self, url: str, name: str) -> None:
        """Keep its place."""
        self.url, self.name = url, name
        self.storage = Storage(name="lake", kind="gcs", bucket=name, endpoint=url)
        key = {"gcs_base_url": url, "disable_oauth": True} | dict.fromkeys(NAMES, "")
        self.key = json.dumps(key)

    def put(self, path: str, data: bytes) -> None:
        """Write an object."""
        gcs_server.put(self.url, self.name, path, data)

    def delete(self, path: str) -> None:
        """Delete an object."""
        gcs_server.delete(self.url, self.name, path)

    def access(self, _: Storage) -> StorageAccess:
        """Return the credentials."""
        return StorageAccess(credentials={"service_account_key": self.key})

    def fetch(self, path: str, into: Path) -> Source:
        """Return the objects of a path as fetched."""
        stored = StoredFiles(storage=self.storage, path=path)
        source = Source(path=stored.title, folder=str(into.parent), key=("id",), stored=stored)
        return fetch(source, into, access=self.access)


@pytest.mark.timeout(200)
def test_objects_are_found_in_several_pages_and_landed_whole(bucket: Bucket, tmp_path: Path) -> None:
    for number in range(2500):
        bucket.put(f"many/{number:04}/other.bin", b"x")
    names = ["many/0007/a b+c%20d.csv", "many/0008/é#?&=.csv", "many/2499/large.csv"]
    content = [b"id\n1\n", b"id\n2\n", bytes(range(256)) * (CHUNK_BYTES // 100)]
    for name, data in zip(names, content, strict=True):
        bucket.put(name, data)
    source = bucket.fetch("many/*/*.csv", tmp_path / "into")
    assert [part.origin for part in source.parts] == names
    assert [Path(part.path).read_bytes() for part in source.parts] == content
    assert check_storage(bucket.storage, bucket.access).endswith("can be listed, and has objects")


@pytest.mark.parametrize("listed", [True, False])
def test_replaced_and_deleted(bucket: Bucket, *, listed: bool) -> None:
    bucket.put("a.csv", b"id\n1\n")
    client = ObjectClient(bucket.storage, bucket.access(bucket.storage).credentials)
    seen = next(client.objects("")) if listed else client.look_at("a.csv")
    assert b"".join(client.read(seen, 1, 4)) == b"d\n1"
    for data in (b"id\n2\n", b"id\n2222\n"):
        bucket.put("a.csv", data)
        with pytest.raises(ObjectChangedError, match=r"lake: a\.csv: the object was replaced"):
            next(client.read(seen, 0, 3))
    bucket.delete("a.csv")
    with pytest.raises(ObjectChangedError, match=r"lake: a\.csv: the object was deleted"):
        next(client.read(seen, 0, 3))


def test_missing_objects_are_named(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no object none\.csv"):
        bucket.fetch("none.csv", tmp_path / "a")
    with pytest.raises(SourceError, match=r"lake: none/\*\.csv: no object matches"):
        bucket.fetch("none/*.csv", tmp_path / "b")


def test_changes_reach_the_vendor_once(deployment: Deployment, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_KEY", bucket.key)
    references = 'credentials: {service_account_key: "${LAKE_KEY}"}'
    storage_jobs.write_jobs(deployment, "gcs", bucket.name, bucket.url, references)
    storage_jobs.sync_changes(deployment, lambda path, text: bucket.put(f"crm/{path}", text.encode()))
