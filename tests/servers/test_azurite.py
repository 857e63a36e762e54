"""Azure Blob Storage against Azurite: listing, pinning, reading and conditional results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import polars as pl
import pytest
from obstore.store import AzureStore

from batchsync.core.job import Results, Source
from batchsync.core.object_storage import Storage, StoredFiles
from batchsync.errors import SourceError, UnavailableError
from batchsync.ports import StorageAccess
from batchsync.sinks import Sinks
from batchsync.source import check_storage, fetch
from batchsync.util.object_client import CHUNK_BYTES, ObjectChangedError, ObjectClient
from kit import storage_jobs
from kit.azurite import ACCOUNT, KEY, create_container

if TYPE_CHECKING:
    from kit.deployment import Deployment

ACCESS = StorageAccess(credentials={"account_key": KEY})


@pytest.fixture
def container(azurite: str, request: pytest.FixtureRequest) -> Container:
    """An empty container of its own."""
    name = "c-" + re.sub("[^a-z]+", "-", request.node.name.lower().removeprefix("test_"))[:50].strip("-")
    create_container(azurite, name)
    return Container(azurite, name)


class Container:
    """A container of Azurite."""

    def __init__(self, endpoint: str, name: str) -> None:
        """Keep its place."""
        self.storage = Storage(name="lake", kind="azure", bucket=name, account=ACCOUNT, endpoint=endpoint)
        options = {"allow_http": True}
        self.store = AzureStore(
            container_name=name, account_name=ACCOUNT, endpoint=endpoint, account_key=KEY, client_options=options
        )

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
        return ObjectClient(self.storage, ACCESS.credentials)


def test_objects_of_a_pattern_are_landed_whole(container: Container, tmp_path: Path) -> None:
    names = ["many/1/a b+c%20d.csv", "many/2/é#?&=.csv", "many/3/large.csv"]
    content = [b"", b"id\n1\n", bytes(range(256)) * (CHUNK_BYTES // 100)]
    for name, data in zip(names, content, strict=True):
        container.put(name, data)
    container.put("many/3/other.bin", b"x")
    source = container.fetch("many/*/*.csv", tmp_path / "into")
    assert [part.origin for part in source.parts] == names
    assert [Path(part.path).read_bytes() for part in source.parts] == content
    assert check_storage(container.storage, lambda _: ACCESS).endswith("can be listed, and has objects")


@pytest.mark.parametrize("listed", [True, False])
def test_replaced_and_deleted(container: Container, *, listed: bool) -> None:
    container.put("a.csv", "id\n1\n")
    client = container.client
    seen = next(client.objects("")) if listed else client.look_at("a.csv")
    assert b"".join(client.read(seen, 1, 4)) == b"d\n1"
    container.put("a.csv", "id\n2\n")
    with pytest.raises(ObjectChangedError, match=r"lake: a\.csv: the object was replaced"):
        next(client.read(seen, 0, 3))
    obstore.delete(container.store, "a.csv")
    # To a condition on an object that is not there, Azurite answers that the condition is not met.
    with pytest.raises(ObjectChangedError, match=r"lake: a\.csv: the object was (replaced|deleted)"):
        next(client.read(seen, 0, 3))


def test_missing_container_object_and_right_are_named(container: Container, tmp_path: Path, azurite: str) -> None:
    with pytest.raises(SourceError, match=r"there is no object none\.csv"):
        container.fetch("none.csv", tmp_path / "a")
    missing = Storage(name="lake", kind="azure", bucket="not-there", account=ACCOUNT, endpoint=azurite)
    with pytest.raises(UnavailableError, match="there is no such bucket"):
        check_storage(missing, lambda _: ACCESS)
    wrong = StorageAccess(credentials={"account_key": "d3Jvbmc="})
    with pytest.raises(UnavailableError, match=r"access denied \(AuthorizationFailure\)"):
        check_storage(container.storage, lambda _: wrong)


def test_results_are_written_conditionally(container: Container, tmp_path: Path) -> None:
    results = Results(path="out/checks.csv", format="csv", storage=container.storage)
    sinks = Sinks(lambda _: ACCESS)
    for number, found in enumerate(["no", "yes", "yes"]):
        file = tmp_path / f"{number}.parquet"
        pl.DataFrame({"vin": ["A", f"B{number}"], "found": [found, "no"]}).write_parquet(file)
        assert sinks.deliver(file, results, ("vin",)) == number + 2
    content = bytes(obstore.get(container.store, "out/checks.csv").bytes())
    assert content == b"vin,found\nA,yes\nB0,no\nB1,no\nB2,no\n"
    seen = container.client.look_at("out/checks.csv")
    container.put("out/checks.csv", "vin,found\n")
    with pytest.raises(ObjectChangedError, match="was replaced"):
        container.client.put("out/checks.csv", b"x", seen)
    with pytest.raises(ObjectChangedError, match="was replaced"):
        container.client.put("out/checks.csv", b"x", None)


def test_changes_reach_the_vendor_once(
    deployment: Deployment, container: Container, azurite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_KEY", KEY)
    references = f'account: {ACCOUNT}; credentials: {{account_key: "${{LAKE_KEY}}"}}'
    storage_jobs.write_jobs(deployment, "azure", container.storage.bucket, azurite, references)
    storage_jobs.sync_changes(deployment, lambda path, text: container.put(f"crm/{path}", text))
