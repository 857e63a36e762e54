"""Hosts and buckets of signed URLs: the patterns that allow them, and the location that a URL leads to.

Some hosts serve the buckets of every customer of a cloud; there, the first part of the path is the bucket, and a
pattern names it as `host/bucket`. Elsewhere the host is the location.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Hosts that serve everybody's buckets by the first part of the path: Cloud Storage (XML API), S3 (path style).
_SHARED_HOST = re.compile(r"storage\.googleapis\.com|s3(?:[.-][a-z0-9-]+){0,3}\.amazonaws\.com(?:\.cn)?", re.ASCII)
_HOST = re.compile(r"(?:[a-z0-9-]+|[a-z0-9-]*\*[a-z0-9-]*)(?:\.(?:[a-z0-9-]+|\*))+")
_BUCKET_PATTERN = re.compile(r"(?=.)[a-z0-9._-]*(?:\*[a-z0-9._-]*){0,2}")
_BUCKET = re.compile(r"/([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?=/|$)")
#: Parts of a path that a server may resolve to another bucket.
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?=/|$)|//", re.IGNORECASE)
#: Paths of other APIs of Cloud Storage, which name the bucket elsewhere.
_OTHER_API = re.compile(r"/(?:upload/|download/|batch/)?storage/v1(?=/|$)")
#: Shortest name of a bucket at Cloud Storage and S3: with fewer letters, a pattern names none.
_BUCKET_MIN = 3

STORAGE_FORMS = "files.vendor.example, BUCKET.s3.eu-west-1.amazonaws.com or storage.googleapis.com/BUCKET"


def is_host_pattern(pattern: str) -> bool:
    """Return whether a text is a lower-case host name in which `*` is a part of one label, but not of the last two."""
    return bool(_HOST.fullmatch(pattern)) and "*" not in ".".join(pattern.split(".")[-2:])


def is_storage_pattern(pattern: str) -> bool:
    """Return whether a text is a host pattern, or one with a bucket: `host/bucket`, in which `*` is a part."""
    host, slash, bucket = pattern.partition("/")
    return is_host_pattern(host) and (not slash or bool(_BUCKET_PATTERN.fullmatch(bucket)))


def objection_to_declared(pattern: str) -> str:
    """Return why a connection cannot declare a storage host; empty if it can.

    A connection declares its own storage, so that a pattern which admits everybody's buckets is refused.
    """
    host, _, bucket = pattern.partition("/")
    if not is_storage_pattern(pattern):
        return "is no host, or host and bucket"
    if _SHARED_HOST.fullmatch(host) and not bucket:
        return f"names no bucket: {host} serves those of everybody"
    if len((bucket or host.partition(".")[0]).replace("*", "")) < (_BUCKET_MIN if bucket or "*" in host else 1):
        return "admits the buckets of everybody"
    return ""


def allowed_patterns(vendor: Iterable[str], declared: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of storage that a connection may use.

    Args:
        vendor: Patterns of the vendor spec.
        declared: Patterns that the connection declares.

    Returns:
        Both, or only the declared ones if one of them lies within the hosts of the vendor: it pins the storage.
    """
    vendor, declared = tuple(vendor), tuple(declared)
    pinned = any(host_matches(item.partition("/")[0].replace("*", "x"), vendor) for item in declared)
    return declared if pinned else (*declared, *vendor)


def host_matches(host: str, patterns: Iterable[str]) -> bool:
    """Return whether a host matches the host of a pattern, in which `*` is a part of a label."""
    return any(_matches(host, pattern.partition("/")[0], "[a-z0-9-]+") for pattern in patterns)


def storage_location(host: str, path: str, patterns: Iterable[str]) -> str | None:
    """Return where a URL leads: its host, or `host/bucket` where the path names the bucket.

    Args:
        host: Host of the URL, in lower case.
        path: Path of the URL as written.
        patterns: Allowed patterns; a host that one of them has with a bucket is read as a shared one.

    Returns:
        The location; None if it is at a shared host and the path does not name a bucket clearly.
    """
    with_bucket = (pattern.partition("/")[0] for pattern in patterns if "/" in pattern)
    if not _SHARED_HOST.fullmatch(host) and not host_matches(host, with_bucket):
        return host
    found = _BUCKET.match(path)
    if found is None or _DOTS.search(path) or _OTHER_API.match(path):
        return None
    return f"{host}/{found[1]}"


def location_matches(location: str, patterns: Iterable[str]) -> bool:
    """Return whether a pattern allows a location. Without a bucket, it allows every bucket of its host."""
    host, _, bucket = location.partition("/")
    for pattern in patterns:
        pattern_host, slash, pattern_bucket = pattern.partition("/")
        if host_matches(host, (pattern_host,)) and (not slash or _matches(bucket, pattern_bucket, "[a-z0-9._-]*")):
            return True
    return False


def _matches(text: str, pattern: str, part: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", part), text) is not None
