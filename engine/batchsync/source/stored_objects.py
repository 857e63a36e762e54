"""Objects of a bucket as a source: listed, pinned by ETag or version, and downloaded into the folder of the run."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice
from threading import Event, Lock
from typing import TYPE_CHECKING

from batchsync.core.landed_part import LandedPart
from batchsync.core.object_storage import fixed_folder, matcher
from batchsync.errors import SourceError, UnavailableError
from batchsync.source.landing import RESERVE_BYTES
from batchsync.util.files import make_private, translate_os_errors
from batchsync.util.object_client import (
    CHUNK_BYTES,
    REQUEST_BYTES,
    ObjectClient,
    ObjectMissingError,
    StoredObject,
    proxy_url,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from batchsync.core.job import Source
    from batchsync.core.object_storage import Storage, StoredFiles
    from batchsync.ports import StorageAccess

#: Objects that a pattern may match, and objects that are looked at to find them.
OBJECTS_MAX, LISTED_MAX = 20_000, 500_000
#: Requests at the same time; each holds few of `CHUNK_BYTES`.
_REQUESTS = 4
#: Ranges that are requested or wait for it; each that is done waits on the disk for its digest.
_AHEAD = 2 * _REQUESTS
#: Seconds after which progress is reported during a request.
_REPORT_SECONDS = 0.5
#: Characters of the name of an object that the name of its landed file keeps, and what they are replaced by otherwise.
_NAME_CHARS = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_AGAIN = "Run the same command again; nothing was sent."


def client_of(storage: Storage, access: StorageAccess) -> ObjectClient:
    """Return the client of a bucket. No request is sent.

    Raises:
        UnavailableError: If the package that reads storage is not installed.
    """
    proxy = access.proxy
    url = proxy_url(proxy.host, proxy.port, proxy.user, proxy.password) if proxy else ""
    return ObjectClient(storage, access.credentials, url)


def check(storage: Storage, access: StorageAccess) -> str:
    """Check that a bucket can be listed.

    Args:
        storage: The bucket; no object is read.
        access: Its credentials and proxy.

    Returns:
        What was found, for `doctor`.

    Raises:
        UnavailableError: If it cannot be listed.
    """
    where = f"bucket {storage.bucket}{f', prefix {storage.prefix}' if storage.prefix else ''}"
    return f"{where}: can be listed, and has {'objects' if client_of(storage, access).check() else 'no objects'}"


def fetch(
    source: Source,
    stored: StoredFiles,
    into: Path,
    *,
    access: StorageAccess,
    rows: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Source:
    """Land the objects of a source.

    Args:
        source: The source.
        stored: Its storage and path.
        into: Folder for the parts.
        access: Credentials and proxy of the storage.
        rows: Number of rows that suffice: the first object is landed; None lands all.
        progress: Receives the number of bytes landed.

    Returns:
        The source with a part for each object, sorted by their names.

    Raises:
        SourceError: If no object matches, too many do, or an object changes while it is read.
        UnavailableError: If the storage cannot be read, or the disk has no room for the objects.
    """
    if stored.storage is None:
        raise SourceError(f"{stored.title} is in no storage", hint="report this defect; nothing was sent")
    client = client_of(stored.storage, access)
    found = find(client, stored)
    if rows is not None:
        found = found[:1]
    parts = download(client, found, into, stored.title, progress)
    version = hashlib.sha256("\n".join(f"{item.path}\0{item.etag or item.version}" for item in found).encode())
    return replace(source, parts=parts, version=found[0].etag if len(found) == 1 else version.hexdigest())


def find(client: ObjectClient, stored: StoredFiles) -> list[StoredObject]:
    """Return the objects that a path or pattern matches, sorted by their names.

    Raises:
        ObjectMissingError: If there is no object of a path that is no pattern.
        SourceError: If no object matches a pattern, or too many do.
        UnavailableError: If the bucket cannot be listed.
    """
    if not stored.is_pattern:
        try:
            return [client.look_at(stored.path)]
        except ObjectMissingError:
            client.check()  # says that the bucket is missing, which the answer to a look does not tell
            raise
    folder, pattern = fixed_folder(stored.path), matcher(stored.path)
    found: list[StoredObject] = []
    listed = 0
    for item in islice(client.objects(folder), LISTED_MAX + 1):
        listed += 1
        if pattern.fullmatch(item.path):
            found.append(item)
        if listed > LISTED_MAX or len(found) > OBJECTS_MAX:
            what = f"more than {LISTED_MAX:,} objects are below {folder or 'the bucket'}"
            what = f"it matches more than {OBJECTS_MAX:,} objects" if listed <= LISTED_MAX else what
            hint = "Write a path with a longer fixed folder before its first *, or set prefix."
            raise SourceError(f"{stored.title}: {what}", hint=hint)
    if not found:
        hint = f"Check path and prefix: {listed:,} objects are below {folder or 'the bucket'}."
        raise SourceError(f"{stored.title}: no object matches", hint=hint, name="source.missing")
    return sorted(found, key=lambda item: item.path)


def download(
    client: ObjectClient,
    objects: Sequence[StoredObject],
    into: Path,
    title: str,
    progress: Callable[[int], None] | None = None,
) -> tuple[LandedPart, ...]:
    """Download objects into a folder, all or none. Memory is bounded by the requests at the same time.

    Args:
        client: Client of their bucket.
        objects: The objects as first seen.
        into: Folder, created if it is missing.
        title: What is read, for messages.
        progress: Receives the number of bytes landed.

    Returns:
        A part for each object, in their order.

    Raises:
        SourceError: If an object changes while it is read.
        UnavailableError: If an object cannot be read, or the disk is full.
    """
    problem, hint = f"{title}: not landed", "Free some space, then run the same command again; nothing was sent."
    with translate_os_errors(problem, hint=hint):
        make_private(into)
        require_space(into, sum(item.size for item in objects), title)
    paths = [into / _landed_name(number, item) for number, item in enumerate(objects)]
    try:
        with translate_os_errors(problem, hint=hint):
            digests = _Download(client, objects, paths, progress).run()
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    found = zip(objects, paths, digests, strict=True)
    return tuple(LandedPart(path=str(path), sha256=digest, origin=item.path) for item, path, digest in found)


def _landed_name(number: int, item: StoredObject) -> str:
    """Return the name of an object's file: its number, and the harmless characters of its own name."""
    return f"{number:05}-{_UNSAFE.sub('_', item.path.rpartition('/')[2])[-_NAME_CHARS:]}"


def require_space(folder: Path, size: int, title: str) -> None:
    """Check that the disk has room for bytes.

    Args:
        folder: An existing folder.
        size: Number of bytes.
        title: What is read, for the message.

    Raises:
        UnavailableError: If it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE_BYTES:
        needed = (size + RESERVE_BYTES) >> 20
        message = f"{title}: not landed: {folder} has {free >> 20:,} MiB free, and {needed:,} MiB are needed"
        raise UnavailableError(message, hint="Free some space, then run the same command again; nothing was sent.")


class _Download:
    """Objects on their way to new files: several ranges at the same time, each written to its place.

    Digests are computed behind the requests, from pages of the files that are still in memory.
    """

    def __init__(
        self,
        client: ObjectClient,
        objects: Sequence[StoredObject],
        paths: Sequence[Path],
        progress: Callable[[int], None] | None,
    ) -> None:
        """Send no request yet. The arguments are those of `download`, with the file of each object."""
        self._client, self._objects, self._paths, self._progress = client, objects, paths, progress
        self._pool = ThreadPoolExecutor(max_workers=_REQUESTS, thread_name_prefix="batchsync-storage")
        self._stop, self._lock, self._written = Event(), Lock(), 0

    def run(self) -> list[str]:
        """Write the files, and return the hex SHA-256 of each."""
        found, ranges = [], self._submitted()
        ahead = deque(islice(ranges, _AHEAD))
        try:
            for item, path in zip(self._objects, self._paths, strict=True):
                digest, left = hashlib.sha256(), item.size
                while left:
                    length, running = ahead.popleft()
                    self._wait(running)
                    ahead.extend(islice(ranges, 1))
                    _update(digest, path, item.size - left, length)
                    left -= length
                found.append(digest.hexdigest())
        finally:
            # A running request ends at its next bytes, or by its time-outs; it is not waited for.
            self._stop.set()
            self._pool.shutdown(wait=False, cancel_futures=True)
        for _ in ranges:  # creates the files of empty objects at the end
            pass
        return found

    def _submitted(self) -> Iterator[tuple[int, Future[None]]]:
        """Create each file and submit its ranges; yield their lengths."""
        for item, path in zip(self._objects, self._paths, strict=True):
            path.open("xb").close()
            for start in range(0, item.size, REQUEST_BYTES):
                end = min(start + REQUEST_BYTES, item.size)
                yield end - start, self._pool.submit(self._write, item, path, start, end)

    def _write(self, item: StoredObject, path: Path, start: int, end: int) -> None:
        """Write bytes of an object to their place in its file."""
        with path.open("r+b") as file:
            file.seek(start)
            for data in self._client.read(item, start, end):
                if self._stop.is_set():
                    return
                file.write(data)
                with self._lock:
                    self._written += len(data)

    def _wait(self, running: Future[None]) -> None:
        """Wait for a range, and report the progress of all."""
        while not running.done():
            wait([running], timeout=_REPORT_SECONDS)
            if self._progress is not None and not running.done():
                self._progress(self._written)
        running.result()
        if self._progress is not None:
            self._progress(self._written)


def _update(digest: hashlib._Hash, path: Path, start: int, length: int) -> None:
    """Add bytes of a file to a digest."""
    with path.open("rb") as file:
        file.seek(start)
        while length:
            data = file.read(min(length, CHUNK_BYTES))
            if not data:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            digest.update(data)
            length -= len(data)
