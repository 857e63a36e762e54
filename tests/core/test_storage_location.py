"""Which storage a URL leads to, and which a connection may use."""

from __future__ import annotations

import pytest

from batchsync.core.storage_location import (
    allowed_patterns,
    is_storage_pattern,
    location_matches,
    objection_to_declared,
    storage_location,
)

GCS = "storage.googleapis.com"


@pytest.mark.parametrize(
    ("host", "path", "location"),
    [
        (GCS, "/acme-files/a/b.csv", f"{GCS}/acme-files"),
        (GCS, "/acme-files", f"{GCS}/acme-files"),
        (GCS, "/acme_files.example.com/x%2F..%2Fy", f"{GCS}/acme_files.example.com"),
        ("s3.eu-west-1.amazonaws.com", "/acme-files/x", "s3.eu-west-1.amazonaws.com/acme-files"),
        ("s3.amazonaws.com", "/acme-files/x", "s3.amazonaws.com/acme-files"),
        ("s3-eu-west-1.amazonaws.com", "/acme-files/x", "s3-eu-west-1.amazonaws.com/acme-files"),
        ("s3.dualstack.eu-west-1.amazonaws.com", "/acme-files/x", "s3.dualstack.eu-west-1.amazonaws.com/acme-files"),
        ("s3.cn-north-1.amazonaws.com.cn", "/acme-files/x", "s3.cn-north-1.amazonaws.com.cn/acme-files"),
        ("acme.s3.eu-west-1.amazonaws.com", "/any/path", "acme.s3.eu-west-1.amazonaws.com"),
        ("acme.storage.googleapis.com", "/any/path", "acme.storage.googleapis.com"),
        ("files.vendor.example", "/any/../path", "files.vendor.example"),
        ("files.vendor.example", "", "files.vendor.example"),
        (GCS, "", None),
        (GCS, "/", None),
        (GCS, "//acme-files/x", None),
        (GCS, "/acme-files/../evil-files/x", None),
        (GCS, "/acme-files/%2E%2e/evil-files/x", None),
        (GCS, "/acme-files/./x", None),
        (GCS, "/acme-files//x", None),
        (GCS, "/acme%2Dfiles/x", None),
        (GCS, "/ACME-files/x", None),
        (GCS, "/-/x", None),
        (GCS, "/storage/v1/b/evil-files/o/x", None),
        (GCS, "/upload/storage/v1/b/evil-files/o", None),
        (GCS, "/download/storage/v1/b/evil-files/o/x", None),
        (GCS, "/upload/x", f"{GCS}/upload"),
    ],
)
def test_location_of_url(host: str, path: str, location: str | None) -> None:
    assert storage_location(host, path, (host,)) == location


def test_host_with_bucket_in_a_pattern_is_read_as_shared() -> None:
    assert storage_location("minio.example", "/acme/x", ("minio.example",)) == "minio.example"
    assert storage_location("minio.example", "/acme/x", ("minio.example/acme*",)) == "minio.example/acme"


@pytest.mark.parametrize(
    ("location", "pattern", "allowed"),
    [
        (f"{GCS}/acme-files", GCS, True),
        (f"{GCS}/acme-files", f"{GCS}/acme-files", True),
        (f"{GCS}/acme-files", f"{GCS}/acme-*", True),
        (f"{GCS}/acme-files", f"{GCS}/*-files", True),
        (f"{GCS}/acme-files-2", f"{GCS}/acme-files", False),
        (f"{GCS}/evil-acme-files", f"{GCS}/acme-files", False),
        (f"{GCS}/evil.acme-files", f"{GCS}/acme-*", False),
        ("acme.s3.eu-west-1.amazonaws.com", "acme.s3.*.amazonaws.com", True),
        ("evil.s3.eu-west-1.amazonaws.com", "acme.s3.*.amazonaws.com", False),
        ("acme.s3.eu-west-1.amazonaws.com", "acme.s3.*.amazonaws.com/files", False),
    ],
)
def test_pattern_allows_location(location: str, pattern: str, *, allowed: bool) -> None:
    assert location_matches(location, (pattern,)) is allowed


VENDOR = ("sitecore-batch-service-*.s3.*.amazonaws.com", "sitecore-batch-service-*.s3.amazonaws.com")


@pytest.mark.parametrize(
    ("vendor", "declared", "allowed"),
    [
        (VENDOR, (), VENDOR),
        (VENDOR, ("files.vendor.example",), ("files.vendor.example", *VENDOR)),
        (VENDOR, ("sitecore-batch-service-a.s3.eu-west-1.amazonaws.com",), None),
        (VENDOR, ("sitecore-batch-service-a*.s3.*.amazonaws.com",), None),
        (VENDOR, ("files.vendor.example", "sitecore-batch-service-a.s3.amazonaws.com"), None),
        ((GCS,), (f"{GCS}/acme-*",), None),
        ((f"{GCS}/vendor-*",), (f"{GCS}/acme-*",), None),
    ],
)
def test_declared_storage_is_added_and_pins_hosts_of_vendor(
    vendor: tuple[str, ...], declared: tuple[str, ...], allowed: tuple[str, ...] | None
) -> None:
    assert allowed_patterns(vendor, declared) == (declared if allowed is None else allowed)


@pytest.mark.parametrize(
    "pattern",
    [
        *(GCS, f"{GCS}/", f"{GCS}/*", f"{GCS}/**", f"{GCS}/a*", f"{GCS}/a/b", f"{GCS}/a*b*c*d", f"{GCS}/Acme"),
        *("s3.amazonaws.com", "s3.eu-west-1.amazonaws.com", "*.s3.eu-west-1.amazonaws.com", "a*.s3.amazonaws.com"),
        *("https://files.vendor.example", "files.vendor.example:8443", "files", "*.example", "*.*.example", "a.*", ""),
        *("user@files.vendor.example", "files.vendor.example?x", "Files.vendor.example", "127.0.0.1/../x"),
    ],
)
def test_storage_of_everybody_cannot_be_declared(pattern: str) -> None:
    assert objection_to_declared(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *(f"{GCS}/acme-files", f"{GCS}/acme-*", f"{GCS}/*acme*", "files.vendor.example", "f.vendor.example/acme"),
        *("acme.s3.eu-west-1.amazonaws.com", "acme-*.s3.*.amazonaws.com", "s3.eu-west-1.amazonaws.com/acme"),
    ],
)
def test_storage_can_be_declared(pattern: str) -> None:
    assert objection_to_declared(pattern) == ""
    assert is_storage_pattern(pattern)
