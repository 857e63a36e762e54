"""Delta tables as sources, written by deltalake: locally and in a bucket, at a version, and what cannot be read."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import shutil
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from batchsync.core.job import Source
from batchsync.core.object_storage import Storage, StoredFiles
from batchsync.errors import SourceError
from batchsync.ports import StorageAccess
from batchsync.source import fetch
from kit.deployment import CDP, Deployment
from kit.s3_server import KEY_ID, SECRET, S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCESS = StorageAccess(credentials={"access_key_id": KEY_ID, "secret_access_key": SECRET})


@pytest.fixture
def s3() -> Iterator[S3Server]:
    """An empty bucket."""
    with S3Server() as server:
        yield server


def upload(s3: S3Server, folder: Path, prefix: str) -> None:
    """Copy a folder into the bucket."""
    for file in folder.rglob("*"):
        if file.is_file():
            s3.put(f"{prefix}/{file.relative_to(folder)}", file.read_bytes())


def local(table: Path, into: Path, **options: Any) -> Source:
    """Return a table as fetched from a folder."""
    stored = StoredFiles(delta=str(table), written=table.name, **options)
    source = Source(path=stored.title, folder=str(table.parent), key=("id",), stored=stored)
    return fetch(source, into)


def remote(s3: S3Server, into: Path, **options: Any) -> Source:
    """Return the table `lake/orders` as fetched from the bucket."""
    storage = Storage(name="lake", kind="s3", bucket="exports", endpoint=s3.url, prefix="lake")
    stored = StoredFiles(storage=storage, delta="orders", written="orders", **options)
    source = Source(path=stored.title, folder=str(into.parent), key=("id",), stored=stored)
    return fetch(source, into, access=lambda _: ACCESS)


def rows(source: Source) -> list[dict[str, Any]]:
    """Return the landed rows, sorted by id."""
    return pl.concat([pl.read_parquet(part.path) for part in source.parts]).sort("id").to_dicts()


@pytest.fixture(params=["local", "remote"])
def read(request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path) -> Callable[..., Source]:
    """A function that fetches a table, from its folder or uploaded to the bucket."""

    def fetched(table: Path, **options: Any) -> Source:
        into = tmp_path / f"into-{len(list(tmp_path.iterdir()))}"
        if request.param == "local":
            return local(table, into, **options)
        s3.objects.clear()
        upload(s3, table, "lake/orders")
        return remote(s3, into, **options)

    return fetched


def write(table: Path, content: dict[str, Any], **options: Any) -> None:
    """Append rows to a table."""
    write_deltalake(table, pa.table(content), mode="append", **options)


ALL_TYPES = {
    "id": pa.array([1, 2], pa.int64()),
    "i8": pa.array([-128, None], pa.int8()),
    "i16": pa.array([32767, None], pa.int16()),
    "i32": pa.array([-(2**31), None], pa.int32()),
    "i64": pa.array([2**63 - 1, None], pa.int64()),
    "f32": pa.array([1.5, None], pa.float32()),
    "f64": pa.array([0.1, None], pa.float64()),
    "dec": pa.array([decimal.Decimal("12345678901234567890.1234567890"), None], pa.decimal128(38, 10)),
    "text": pa.array(["é\n😀", None], pa.string()),
    "flag": pa.array([True, None], pa.bool_()),
    "day": pa.array([dt.date(1, 1, 1), None], pa.date32()),
    "at": pa.array([dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
    "local": pa.array([-(10**15) - 1, None], pa.timestamp("us")),
    "list": pa.array([["a", None], None], pa.list_(pa.string())),
    "part": pa.array([{"x": 1, "y": "z"}, None], pa.struct({"x": pa.int64(), "y": pa.string()})),
}


def test_every_type_arrives_exactly(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, ALL_TYPES)
    expected = pl.DataFrame(pl.from_arrow(pa.table(ALL_TYPES))).to_dicts()
    assert rows(read(table)) == expected


PARTITIONS = ("part", "day", "number", "flag", "dec")
PARTITIONED = {
    "id": [1, 2, 3],
    "part": ["a b", "é=/%25", None],
    "day": [dt.date(2026, 1, 1), dt.date(2026, 1, 2), None],
    "number": [5, -6, None],
    "flag": [True, False, None],
    "dec": pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.25"), None], pa.decimal128(10, 2)),
}


def test_partition_columns_have_their_types_and_values(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, PARTITIONED, partition_by=list(PARTITIONS))
    found = rows(read(table))
    assert found == pa.table(PARTITIONED).to_pylist()


def test_columns_added_later_are_null_before(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": [1]})
    write(table, {"id": [2], "name": ["Bo"]}, schema_mode="merge")
    assert rows(read(table)) == [{"id": 1, "name": None}, {"id": 2, "name": "Bo"}]


def test_versions_are_pinned(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": [1]})
    write(table, {"id": [2]})
    DeltaTable(table).delete("id = 1")
    assert [item["id"] for item in rows(read(table))] == [2]
    assert read(table).version == "2"
    assert [item["id"] for item in rows(read(table, version=1))] == [1, 2]
    assert [item["id"] for item in rows(read(table, version=0))] == [1]
    with pytest.raises(SourceError, match=r"orders: (there is no version 7|version 7 cannot be read)"):
        read(table, version=7)


def test_tables_with_checkpoints_need_no_older_commits(s3: S3Server, tmp_path: Path) -> None:
    table = tmp_path / "orders"
    for number in range(4):
        write(table, {"id": [number]})
    DeltaTable(table).create_checkpoint()
    write(table, {"id": [4]})
    upload(s3, table, "lake/orders")
    for number in range(3):
        del s3.objects[f"lake/orders/_delta_log/{number:020}.json"]
    assert [item["id"] for item in rows(remote(s3, tmp_path / "into"))] == [0, 1, 2, 3, 4]
    assert [item["id"] for item in rows(remote(s3, tmp_path / "at", version=3))] == [0, 1, 2, 3]
    with pytest.raises(SourceError, match="lake: orders: there is no version 2; its log was cleaned up"):
        remote(s3, tmp_path / "older", version=2)


def test_empty_tables_have_columns(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": pa.array([], pa.int64()), "name": pa.array([], pa.string())})
    assert rows(read(table)) == []


def test_missing_table_is_named(read: Callable[..., Source], tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    with pytest.raises(SourceError, match="orders: there is no Delta table"):
        read(tmp_path / "orders")


def test_vacuumed_file_is_named(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": [1]})
    next(table.glob("*.parquet")).unlink()
    with pytest.raises(SourceError, match=r"there is no object lake/orders/|is missing, or not as the log says"):
        read(table)


def test_damaged_file_is_refused(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": [1], "name": ["Hopper"]})
    file = next(table.glob("*.parquet"))
    file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(SourceError, match="is damaged, or does not fit"):
        read(table)


def edited_log(table: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the actions of the first commit."""
    file = table / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for action in actions:
        edit(action)
    file.write_text("\n".join(map(json.dumps, actions)) + "\n", encoding="utf-8")


def with_features(*features: str) -> Callable[[dict[str, Any]], None]:
    """Return an edit that makes the table need features of its reader."""

    def edit(action: dict[str, Any]) -> None:
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": list(features),
                "writerFeatures": list(features),
            }

    return edit


def test_deletion_vectors_are_refused(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": [1, 2, 3]})
    edited_log(table, with_features("deletionVectors"))
    assert len(rows(read(table))) == 3

    def edit(action: dict[str, Any]) -> None:
        if "add" in action:
            action["add"]["deletionVector"] = {
                "storageType": "u",
                "pathOrInlineDv": "vBn[lx{q8@P<9BNH/isA",
                "offset": 1,
                "sizeInBytes": 36,
                "cardinality": 2,
            }

    edited_log(table, edit)
    with pytest.raises(SourceError, match="files of the table have deletion vectors"):
        read(table)


def test_column_mapping_is_refused(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": [1]})
    edited_log(table, with_features("columnMapping"))

    def edit(action: dict[str, Any]) -> None:
        if "metaData" in action:
            action["metaData"]["configuration"] = {
                "delta.columnMapping.mode": "name",
                "delta.columnMapping.maxColumnId": "1",
            }
            schema = json.loads(action["metaData"]["schemaString"])
            for number, column in enumerate(schema["fields"], 1):
                column["metadata"] = {
                    "delta.columnMapping.id": number,
                    "delta.columnMapping.physicalName": f"col-{number}",
                }
            action["metaData"]["schemaString"] = json.dumps(schema)

    edited_log(table, edit)
    with pytest.raises(SourceError, match="the table maps its columns"):
        read(table)


def test_unknown_features_are_refused(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": [1]})
    edited_log(table, with_features("ofTheFuture"))
    with pytest.raises(SourceError, match=r"orders: (the table needs ofTheFuture|.* cannot be read from the log)"):
        read(table)


def test_data_files_outside_of_the_table_are_refused(read: Callable[..., Source], tmp_path: Path) -> None:
    table = tmp_path / "orders"
    write(table, {"id": [1]})
    shutil.copy(next(table.glob("*.parquet")), tmp_path / "other.parquet")

    def edit(action: dict[str, Any]) -> None:
        if "add" in action:
            action["add"]["path"] = "../other.parquet"

    edited_log(table, edit)
    with pytest.raises(SourceError, match="a data file is outside of the folder of the table"):
        read(table)


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
    source: {SOURCE, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =CAST(id AS TEXT)}]}
    on_removed: delete
"""


@pytest.mark.parametrize("where", ["connection: lake, delta: t/guests", "delta: guests"])
def test_changes_of_a_table_reach_the_vendor_once(
    deployment: Deployment, s3: S3Server, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv("LAKE_KEY_ID", KEY_ID)
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    text = JOBS.replace("URL", s3.url).replace("SOURCE", where)
    (deployment.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    table = deployment.folder / "guests"
    write(table, {"id": [1, 2], "name": ["Ada", "Bo"]})
    upload(s3, table, "t/guests")
    deployment.run("validate")
    deployment.run("sync")
    assert "unchanged 2" in deployment.run("sync")
    write(table, {"id": [3], "name": ["Cy"]})
    DeltaTable(table).delete("id = 1")
    upload(s3, table, "t/guests")
    assert "1 added, 0 changed, 1 removed" in deployment.run("sync")
    assert sorted(item["value"]["lastName"] for item in deployment.mocks.store(CDP)) == ["Bo", "Cy"]
    assert all(count == 1 for count in deployment.delivered(CDP).values())
    edited = text.replace("delta:", "version: 0, delta:")
    (deployment.folder / "jobs.yaml").write_text(edited, encoding="utf-8")
    deployment.run("sync", expect=6)
