"""Answers in an object of a bucket: each key once, whatever others write meanwhile, and nothing after a failure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from batchsync.core.job import Results
from batchsync.core.object_storage import Storage
from batchsync.errors import UnavailableError
from batchsync.ports import StorageAccess
from batchsync.sinks import Sinks
from kit.s3_server import KEY_ID, SECRET, S3Server
from kit.scripted_server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.scripted_server import Request

ACCESS = StorageAccess(credentials={"access_key_id": KEY_ID, "secret_access_key": SECRET})


class Bench:
    """Results in the object `crm/out/checks.<format>`."""

    def __init__(self, s3: S3Server, folder: Path) -> None:
        """Keep the bucket, and a folder for answers."""
        self.s3, self.folder = s3, folder
        self.sinks = Sinks(lambda _: ACCESS)

    def results(self, kind: str = "csv") -> Results:
        """Return the destination."""
        storage = Storage(name="lake", kind="s3", bucket="exports", prefix="crm", endpoint=self.s3.url)
        return Results(path=f"out/checks.{kind}", format=kind, storage=storage)

    def deliver(self, rows: list[dict[str, Any]], kind: str = "csv") -> int:
        """Deliver answers."""
        file = self.folder / "answers.parquet"
        pl.DataFrame(rows).write_parquet(file)
        return self.sinks.deliver(file, self.results(kind), ("vin",))

    def keys(self, *keys: str) -> Path:
        """Write keys, and return their file."""
        file = self.folder / "keys.parquet"
        pl.DataFrame({"vin": keys}, schema={"vin": pl.String}).write_parquet(file)
        return file

    @property
    def content(self) -> str:
        """Content of the object."""
        return self.s3.objects["crm/out/checks.csv"].decode()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty bucket."""
    with S3Server() as server:
        yield Bench(server, tmp_path)


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_answers_are_upserted(bench: Bench, kind: str) -> None:
    assert bench.deliver([{"vin": "A", "found": "no"}, {"vin": "B", "found": "no"}], kind) == 2
    assert bench.deliver([{"vin": "B", "found": "yes"}, {"vin": "C", "found": "no"}], kind) == 3
    copy = bench.folder / f"copy.{kind}"
    copy.write_bytes(bench.s3.objects[f"crm/out/checks.{kind}"])
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}[kind]
    assert read(copy).rows() == [("A", "no"), ("B", "yes"), ("C", "no")]


def test_same_answers_again_write_nothing(bench: Bench) -> None:
    bench.deliver([{"vin": "A", "found": "no"}])
    before = len([item for item in bench.s3.requests if item.method == "PUT"])
    bench.deliver([{"vin": "A", "found": "no"}])
    assert len([item for item in bench.s3.requests if item.method == "PUT"]) == before == 1
    assert bench.content == "vin,found\nA,no\n"


def test_first_write_does_not_replace_an_object_that_appeared(bench: Bench) -> None:
    def fault(request: Request) -> None:
        if request.method == "PUT" and "crm/out/checks.csv" not in bench.s3.objects:
            bench.s3.put("crm/out/checks.csv", "vin,found\nX,yes\n")

    bench.s3.fault = fault
    assert bench.deliver([{"vin": "A", "found": "no"}]) == 2
    assert bench.content == "vin,found\nX,yes\nA,no\n"


def test_other_writer_loses_nothing(bench: Bench) -> None:
    bench.deliver([{"vin": "A", "found": "no"}])
    others = ["vin,found\nA,no\nX,yes\n", "vin,found\nA,no\nX,yes\nY,yes\n"]

    def fault(request: Request) -> None:
        if request.method == "PUT" and others:
            bench.s3.put("crm/out/checks.csv", others.pop(0))

    bench.s3.fault = fault
    assert bench.deliver([{"vin": "B", "found": "no"}]) == 4
    assert bench.content == "vin,found\nA,no\nX,yes\nY,yes\nB,no\n"


def test_writer_without_end_is_an_error(bench: Bench) -> None:
    bench.deliver([{"vin": "A", "found": "no"}])

    def fault(request: Request) -> None:
        if request.method == "PUT":
            bench.s3.objects["crm/out/checks.csv"] += b"X%d,yes\n" % len(bench.s3.requests)

    bench.s3.fault = fault
    with pytest.raises(UnavailableError, match="another writer replaced the results 5 times"):
        bench.deliver([{"vin": "B", "found": "no"}])
    assert "B," not in bench.content


def test_answer_to_the_upload_that_is_lost_changes_nothing_twice(bench: Bench) -> None:
    lost = [True]

    def fault(request: Request) -> Answer | None:
        if request.method == "PUT" and lost:
            lost.clear()
            bench.s3.objects["crm/out/checks.csv"] = request.body
            return Answer(status=0)
        return None

    bench.s3.fault = fault
    # The library repeats the upload, and finds what it wrote; the answers are delivered again.
    assert bench.deliver([{"vin": "A", "found": "no"}]) == 1
    assert bench.content == "vin,found\nA,no\n"


def test_damaged_object_is_named_and_kept(bench: Bench) -> None:
    bench.s3.put("crm/out/checks.csv", "other,columns\n1,2\n")
    with pytest.raises(UnavailableError, match=r"lake: out/checks\.csv: cannot update the results") as raised:
        bench.deliver([{"vin": "A", "found": "no"}])
    assert "batchsync-tmp" not in f"{raised.value.message} {raised.value.hint}"
    assert bench.content == "other,columns\n1,2\n"


def test_failed_upload_is_an_error_and_writes_nothing(bench: Bench) -> None:
    bench.s3.fault = lambda request: Answer(status=403) if request.method == "PUT" else None
    with pytest.raises(UnavailableError, match=r"lake: crm/out/checks\.csv: access denied"):
        bench.deliver([{"vin": "A", "found": "no"}])
    assert bench.s3.objects == {}


def test_answers_of_absent_keys_are_found_removed_and_marked(bench: Bench) -> None:
    bench.deliver([{"vin": "A", "found": "no"}, {"vin": "B", "found": "no"}])
    absent = bench.folder / "absent.parquet"
    assert bench.sinks.find_absent(bench.results(), bench.keys("A"), absent).absent == 1
    assert bench.sinks.mark(bench.results(), bench.keys("A"), datetime(2026, 3, 1, tzinfo=UTC)) == 1
    assert bench.content == "vin,found,removed_at\nA,no,\nB,no,2026-03-01T00:00:00+00:00\n"
    assert bench.sinks.remove(bench.results(), absent) == 1
    assert bench.content == "vin,found,removed_at\nA,no,\n"
