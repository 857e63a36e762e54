"""Objects of a bucket: landed whole by bounded requests, or not at all. Other services, missing packages."""

from __future__ import annotations

import builtins
import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.job import Source
from batchsync.core.object_storage import Storage, StoredFiles
from batchsync.errors import SourceError, UnavailableError
from batchsync.ports import StorageAccess
from batchsync.source import fetch, stored_objects
from batchsync.util.object_client import CHUNK_BYTES, RETRIES
from kit.s3_server import KEY_ID, SECRET, S3Server, etag
from kit.scripted_server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS = StorageAccess(credentials={"access_key_id": KEY_ID, "secret_access_key": SECRET})
DATE = "Mon, 30 Nov 2026 01:00:00 GMT"
LARGE = bytes(range(251)) * (3 * CHUNK_BYTES // 250)


@pytest.fixture
def small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of one chunk, so that an object of few megabytes needs several."""
    monkeypatch.setattr(stored_objects, "REQUEST_BYTES", CHUNK_BYTES)


@pytest.fixture
def s3() -> Iterator[S3Server]:
    """An empty bucket."""
    with S3Server() as server:
        yield server


def landed(
    s3: S3Server, into: Path, path: str, access: StorageAccess = ACCESS, progress: list[int] | None = None, **more: Any
) -> Source:
    """Return the objects of a path as fetched."""
    storage = Storage(**{"name": "lake", "kind": "s3", "bucket": "exports", "endpoint": s3.url, **more})
    stored = StoredFiles(storage=storage, path=path)
    source = Source(path=stored.title, folder=str(into.parent), key=("id",), stored=stored)
    seen = progress if progress is not None else []
    return fetch(source, into, access=lambda _: access, progress=seen.append)


@pytest.mark.usefixtures("small_requests")
def test_large_object_is_landed_by_pinned_ranges(s3: S3Server, tmp_path: Path) -> None:
    s3.put("a/large.csv", LARGE)
    s3.put("a/empty.csv", b"")
    progress: list[int] = []
    source = landed(s3, tmp_path / "into", "a/*.csv", progress=progress)
    assert [Path(part.path).name for part in source.parts] == ["00000-empty.csv", "00001-large.csv"]
    assert [Path(part.path).read_bytes() for part in source.parts] == [b"", LARGE]
    assert source.parts[1].sha256 == hashlib.sha256(LARGE).hexdigest()
    assert progress == sorted(progress)
    assert progress[-1] == len(LARGE)
    ranges = [item.headers["range"] for item in s3.gets()]
    assert len(ranges) == 4
    assert all("if-match" in item.headers for item in s3.gets())
    assert Path(source.parts[0].path).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("small_requests")
def test_many_objects_are_landed_with_their_own_bytes(s3: S3Server, tmp_path: Path) -> None:
    sizes = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 0, *range(20), 2 * CHUNK_BYTES, 0]
    content = [bytes([number]) * size for number, size in enumerate(sizes)]
    for number, data in enumerate(content):
        s3.put(f"a/{number:02}.csv", data)
    source = landed(s3, tmp_path / "into", "a/*.csv")
    assert [Path(part.path).read_bytes() for part in source.parts] == content
    assert [part.sha256 for part in source.parts] == [hashlib.sha256(data).hexdigest() for data in content]


@pytest.mark.parametrize("what", ["cut", "replaced"])
def test_broken_request_is_continued_and_pinned(s3: S3Server, tmp_path: Path, what: str) -> None:
    content = LARGE * 5
    s3.put("large.csv", content)
    starts: list[int] = []

    def fault(request: Any) -> Answer | None:
        if request.method == "HEAD":
            return None
        start = int(request.headers["range"].removeprefix("bytes=").partition("-")[0])
        starts.append(start)
        if what == "replaced" and start:
            s3.put("large.csv", content[::-1])
            return None
        headers = {"ETag": etag(content), "Last-Modified": DATE}
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Answer(status=206, headers=headers, body=content[start:], cut=len(content) // 8)

    s3.fault = fault
    if what == "replaced":
        with pytest.raises(SourceError, match=r"lake: large\.csv: the object was replaced"):
            landed(s3, tmp_path / "into", "large.csv")
        assert list((tmp_path / "into").iterdir()) == []
        return
    source = landed(s3, tmp_path / "into", "large.csv")
    assert Path(source.parts[0].path).read_bytes() == content
    # More requests than the library repeats, and none begins at the first byte again.
    assert len(starts) > RETRIES + 1
    assert starts[0] == 0
    assert all(start > 0 for start in starts[1:])


def test_answer_of_other_length_is_refused(s3: S3Server, tmp_path: Path) -> None:
    s3.put("a.csv", "id\n1\n")

    def fault(request: Any) -> Answer | None:
        if request.method == "HEAD":
            return None
        headers = {"ETag": etag(b"id\n1\n"), "Content-Range": "bytes 0-4/5", "Last-Modified": DATE}
        return Answer(status=206, headers=headers, body=b"id\n")

    s3.fault = fault
    with pytest.raises(UnavailableError, match=r"lake: a\.csv: 3 of 5 bytes arrived"):
        landed(s3, tmp_path / "into", "a.csv")
    assert list((tmp_path / "into").iterdir()) == []


def test_full_disk_is_an_error_and_leaves_nothing(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("a.csv", LARGE)

    def full(*_: Any) -> Iterator[memoryview]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stored_objects.ObjectClient, "read", full)
    with pytest.raises(UnavailableError, match=r"lake: a\.csv: not landed: .*[Nn]o space left"):
        landed(s3, tmp_path / "into", "a.csv")
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.usefixtures("small_requests")
def test_object_replaced_between_two_ranges_is_refused(s3: S3Server, tmp_path: Path) -> None:
    s3.put("large.csv", LARGE)

    def fault(request: Any) -> None:
        if request.headers.get("range", "").startswith(f"bytes={2 * CHUNK_BYTES}-"):
            s3.put("large.csv", LARGE[::-1])

    s3.fault = fault
    with pytest.raises(SourceError, match=r"lake: large\.csv: the object was replaced"):
        landed(s3, tmp_path / "into", "large.csv")
    assert list((tmp_path / "into").iterdir()) == []


def test_service_that_ignores_conditions_is_noticed(s3: S3Server, tmp_path: Path) -> None:
    s3.put("a.csv", "id\n1\n")

    def fault(request: Any) -> Answer | None:
        if request.method == "GET":
            headers = {
                "ETag": '"other"',
                "Content-Range": "bytes 0-4/5",
                "Last-Modified": "Mon, 30 Nov 2026 01:00:00 GMT",
            }
            return Answer(status=206, headers=headers, body=b"id\n2\n")
        return None

    s3.fault = fault
    with pytest.raises(SourceError, match="the object was replaced"):
        landed(s3, tmp_path / "into", "a.csv")


def test_limits_of_listing_are_errors(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        s3.put(f"a/{number}.csv", "id\n")
    monkeypatch.setattr(stored_objects, "OBJECTS_MAX", 29)
    with pytest.raises(SourceError, match=r"lake: a/\*\.csv: it matches more than 29 objects"):
        landed(s3, tmp_path / "into", "a/*.csv")
    monkeypatch.setattr(stored_objects, "LISTED_MAX", 20)
    with pytest.raises(SourceError, match="more than 20 objects are below a"):
        landed(s3, tmp_path / "into", "a/*.csv")
    assert s3.gets() == []


def test_disk_is_checked_before_the_first_byte(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("large.csv", LARGE)
    usage = type("Usage", (), {"free": len(LARGE)})
    monkeypatch.setattr(stored_objects.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UnavailableError, match=r"MiB free, and .* MiB are needed"):
        landed(s3, tmp_path / "into", "large.csv")
    assert s3.gets() == []


def test_names_with_empty_folders_are_named(s3: S3Server, tmp_path: Path) -> None:
    s3.put("a/b//c.csv", "id\n")
    with pytest.raises(SourceError, match="lake: a: an object has a name with empty or dotted folders"):
        landed(s3, tmp_path / "into", "a/**/*.csv")


@pytest.mark.parametrize("odd", ["a//b.csv", "a\nb.csv"])
def test_missing_object_is_named_in_a_bucket_with_odd_names(s3: S3Server, tmp_path: Path, odd: str) -> None:
    s3.put(odd, "id\n")
    with pytest.raises(SourceError, match=r"there is no object none\.csv"):
        landed(s3, tmp_path / "into", "none.csv")


def test_redirect_without_an_address_is_a_wrong_region(s3: S3Server, tmp_path: Path) -> None:
    s3.fault = lambda _: Answer(status=301)
    for path in ("a.csv", "a/*.csv"):
        with pytest.raises(UnavailableError, match="the bucket is in another region") as caught:
            landed(s3, tmp_path / "into", path)
        assert "set region" in caught.value.hint


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_public_buckets_are_read_without_credentials(s3: S3Server, tmp_path: Path, kind: str) -> None:
    s3.signed = False
    s3.put("daily/1/a.csv", "id\n1\n")
    source = landed(s3, tmp_path / "into", "daily/*/a.csv", StorageAccess(), kind=kind, anonymous=True)
    assert Path(source.parts[0].path).read_bytes() == b"id\n1\n"
    assert not any("authorization" in item.headers for item in s3.requests)


def test_missing_package_is_named_with_its_command(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name in {"obstore", "deltalake"}:
            raise ImportError(name)
        return usual(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnavailableError, match="the package that reads object storage is not installed") as raised:
        landed(s3, tmp_path / "into", "a.csv")
    assert raised.value.hint == "Install it: pip install 'batchsync[storage]'"
    stored = StoredFiles(delta=str(tmp_path), written="orders")
    source = Source(path="orders", folder=str(tmp_path), key=("id",), stored=stored)
    with pytest.raises(UnavailableError, match="the package that reads its log is not installed") as raised:
        fetch(source, tmp_path / "into")
    assert raised.value.hint == "Install it: pip install 'batchsync[delta]'"


def test_wrong_key_of_a_service_account_is_not_shown(s3: S3Server, tmp_path: Path) -> None:
    access = StorageAccess(credentials={"service_account_key": '{"private_key": "hunter2hunter2"}'})
    with pytest.raises(UnavailableError, match="cannot be opened") as raised:
        landed(s3, tmp_path / "into", "a.csv", access, kind="gcs")
    assert "hunter2" not in f"{raised.value.message} {raised.value.hint} {raised.value.__context__}"
