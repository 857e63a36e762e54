"""Storage among the connections, and sources and results that are kept there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.object_storage import fixed_folder, matcher
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from tests.spec.conftest import Workshop

    from batchsync.core.object_storage import StoredFiles

SOURCE = "source: {path: guests.csv, key: id}"
CARS = "  cars:\n"
LAKE = "{storage: s3, bucket: exports}"
SITE = "{storage: http, base_url: 'https://example.com/exports'}"


def _text(workshop: Workshop, source: str, lake: str = LAKE) -> str:
    """Return the valid file with a storage and a server of files, and a source that is kept there."""
    connections = f"  lake: {lake}\n  site: {SITE}\n{CARS}"
    return workshop.changed((CARS, connections), (SOURCE, f"source: {{{source}, key: id}}"))


def _stored(workshop: Workshop, source: str, **options: Any) -> StoredFiles:
    found = workshop.load(_text(workshop, source), **options)
    (job,) = (job for job in found.jobs if job.name == "guests")
    assert job.source.stored is not None
    assert not job.source.is_local
    return job.source.stored


def _problem(workshop: Workshop, source: str, lake: str = LAKE, **options: Any) -> str:
    (problem,) = workshop.problems(_text(workshop, source, lake), **options)
    return problem


def test_sources_are_objects_files_of_servers_and_tables(workshop: Workshop) -> None:
    found = _stored(workshop, "connection: lake, path: 'daily/*/guests.csv.gz'")
    assert found.storage is not None
    assert (found.title, found.storage.bucket) == ("lake: daily/*/guests.csv.gz", "exports")
    found = _stored(workshop, "connection: site, path: a b/guests.csv")
    assert found.storage is not None
    assert found.storage.url == "https://example.com/exports/"
    found = _stored(workshop, "connection: lake, delta: mart/orders/, version: 12")
    assert (found.title, found.version) == ("lake: mart/orders", 12)
    found = _stored(workshop, "delta: orders")
    assert (found.storage, found.delta) == (None, str(workshop.path.parent / "orders"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("connection: lake", '"source" has no "path"'),
        ("connection: lake, path: a.csv, delta: b", '"source" has both path and delta'),
        ("connection: lake, path: a.csv, version: 1", '"version" without delta'),
        ("connection: lake, query: SELECT 1", '"query" with files in storage'),
        ("connection: lake, path: /a.csv", '"path" is no path in a storage'),
        ("connection: lake, path: a/../b.csv", '"path" is no path in a storage'),
        ("connection: lake, path: a//b.csv", '"path" is no path in a storage'),
        ("connection: lake, path: s3://other/b.csv", '"path" is no path in a storage'),
        ("connection: lake, path: '-', format: csv", '"path" is no path in a storage'),
        ("connection: lake, path: a.pdf", "unknown file format"),
        ("connection: lake, path: a.xls", "whose cells with errors look like empty ones"),
        ("connection: lak, path: a.csv", 'unknown connection "lak"'),
        ("connection: cars, path: a.csv", "rows come from a database"),
        ("connection: site, path: '*.csv'", "a pattern of files of a server, which cannot list them"),
        ("connection: site, delta: orders", "a Delta table on a server of files"),
        ("delta: s3://bucket/orders", 'a Delta table at "s3://" without a connection'),
        ("delta: orders, format: csv", '"format" with a Delta table'),
    ],
)
def test_sources_that_cannot_be_read_are_refused(workshop: Workshop, source: str, words: str) -> None:
    assert any(words in problem for problem in workshop.problems(_text(workshop, source)))


@pytest.mark.parametrize(
    ("lake", "words"),
    [
        ("{storage: s3}", '"lake" has no "bucket"'),
        ("{storage: azure, bucket: exports}", '"lake" has no "account"'),
        ("{storage: http}", '"lake" has no "base_url"'),
        ("{storage: ftp, bucket: exports}", '"storage"'),
        ("{storage: gcs, bucket: exports, region: eu}", '"region" with storage: gcs'),
        ("{storage: s3, bucket: a/b}", '"bucket" is no bucket'),
        ("{storage: s3, bucket: exports, prefix: ../x}", '"prefix" is no folder of a bucket'),
        ("{storage: s3, bucket: exports, endpoint: 'http://minio.example.com'}", "http:// to a remote host"),
        ("{storage: s3, bucket: exports, endpoint: 'https://u:p@minio.example.com'}", "user info"),
        ("{storage: http, base_url: 'https://example.com/a?sig=x'}", "user info, query or fragment"),
        ("{storage: http, base_url: 'https://example.com/a/%2e%2e/'}", "invalid URL"),
        ("{storage: s3, bucket: exports, credentials: {access_key_id: '${A}'}}", "missing or contradictory"),
        ("{storage: s3, bucket: exports, credentials: {account_key: '${A}'}}", "unknown, missing"),
        ("{storage: s3, bucket: exports, proxy: 'http://u:p@proxy:3128'}", "user and password are no references"),
    ],
)
def test_invalid_storage_is_refused(workshop: Workshop, lake: str, words: str) -> None:
    problems = workshop.problems(_text(workshop, "connection: lake, path: a.csv", lake))
    assert any(words in problem for problem in problems), problems


def test_literal_credentials_are_refused_and_not_shown(workshop: Workshop) -> None:
    literal = "{storage: http, base_url: 'https://example.com/', credentials: {token: hunter2hunter2}}"
    problems = workshop.problems(_text(workshop, "connection: lake, path: a.csv", literal))
    assert any("a literal secret" in problem for problem in problems)
    assert not any("hunter2" in problem for problem in problems)


def test_http_is_allowed_on_this_machine(workshop: Workshop) -> None:
    for host in ("127.0.0.1:9000", "localhost", "[::1]:9000"):
        lake = f"{{storage: s3, bucket: exports, endpoint: 'http://{host}'}}"
        workshop.load(_text(workshop, "connection: lake, path: a.csv", lake))


def test_nothing_is_sent_to_storage(workshop: Workshop) -> None:
    text = _text(workshop, "connection: lake, path: a.csv").replace("connection: crm", "connection: lake")
    assert any('"lake" is storage, to which nothing is sent' in problem for problem in workshop.problems(text))


def test_local_tables_stay_within_the_fence(workshop: Workshop) -> None:
    fence = PathFence.below([workshop.path.parent, "/run/secrets"])
    assert _stored(workshop, "delta: orders", fence=fence).roots == fence.roots
    assert '"delta"' in _problem(workshop, "delta: ../orders", fence=fence)


def test_hash_of_a_job_names_the_kind_and_version_of_its_source(workshop: Workshop) -> None:
    hashes = set()
    for source in ("delta: t", "delta: t, version: 1", "connection: lake, delta: t", "connection: lake, path: t.csv"):
        found = workshop.load(_text(workshop, source))
        hashes |= {job.spec_hash for job in found.jobs if job.name == "guests"}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("pattern", "folder", "names", "others"),
    [
        ("daily/*/g.csv", "daily", ["daily/1/g.csv"], ["daily/g.csv", "daily/1/2/g.csv", "daily/.x/g.csv"]),
        ("a/**/g.csv", "a", ["a/g.csv", "a/1/g.csv", "a/1/2/g.csv"], ["g.csv", "a/.x/g.csv", "a/bg.csv"]),
        ("a/**", "a", ["a/g.csv", "a/1/g.csv"], ["a", "b/g.csv", "a/.x"]),
        ("g[0-9]?.csv", "", ["g12.csv"], ["gx2.csv", "g1.csv", "a/g12.csv"]),
        ("g[!0-9].csv", "", ["gx.csv"], ["g1.csv"]),
        ("g[.csv", "", ["g[.csv"], ["gx.csv"]),
        ("a.+(b)/*.csv", "a.+(b)", ["a.+(b)/x\ny.csv"], ["aa/x.csv"]),
        (".x/*", ".x", [".x/a"], [".x/.a"]),
    ],
)
def test_patterns_are_those_of_local_files(pattern: str, folder: str, names: list[str], others: list[str]) -> None:
    assert fixed_folder(pattern) == folder
    assert [name for name in (*names, *others) if matcher(pattern).fullmatch(name)] == names


def test_results_may_be_objects(workshop: Workshop) -> None:
    text = _text(workshop, "connection: lake, path: a.csv")
    assert "results: {path: " in text
    head, _, tail = text.partition("results: {path: ")
    found = workshop.load(f"{head}results: {{connection: lake, path: {tail}")
    (results,) = (job.results for job in found.jobs if job.results is not None)
    assert results.storage == found.storages["lake"]
    assert not results.path.startswith("/")
    for connection, words in (("site", "to which nothing is written"), ("cars", "is no storage"), ("x", "unknown")):
        problems = workshop.problems(f"{head}results: {{connection: {connection}, path: {tail}")
        assert any(words in problem for problem in problems)
