"""Answers in an object of a storage: a copy of it is updated, and replaces the object unless another writer did.

Delivering the same answers again leaves the same object, so that a crash after the upload does no harm. An object that
another writer replaced meanwhile is read again.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from batchsync.errors import UnavailableError
from batchsync.util.files import sha256_of_file
from batchsync.util.object_client import ObjectChangedError, ObjectClient, ObjectMissingError, proxy_url
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from batchsync.core.job import Results
    from batchsync.core.object_storage import Storage
    from batchsync.ports import AccessOf
    from batchsync.util.object_client import StoredObject

Found = TypeVar("Found")
#: Bytes of the largest object, which one request writes.
OBJECT_BYTES = 1 << 30
#: How often an update is restarted because another writer replaced the object.
ATTEMPTS = 5


def update(results: Results, storage: Storage, access: AccessOf, change: Callable[[Results], Found]) -> Found:
    """Change the answers in an object.

    Args:
        results: The destination, in a storage.
        storage: That storage.
        access: Resolves its references.
        change: Changes the local file that it is given as the destination; it need not exist.

    Returns:
        What `change` returned.

    Raises:
        UnavailableError: If the object cannot be read or written. Nothing was changed then.
    """
    client = _client(storage, access)
    for _ in range(ATTEMPTS):
        with _copy(client, results) as (file, found):
            before = sha256_of_file(file) if found else ""
            with _named(file, f"{storage.name}: {results.path}"):
                answer = change(replace(results, path=str(file), storage=None, roots=()))
            if not file.exists() or sha256_of_file(file) == before:
                return answer
            if file.stat().st_size > OBJECT_BYTES:
                message = f"{storage.name}: {results.path}: the results are larger than {OBJECT_BYTES >> 20:,} MiB"
                raise UnavailableError(message, hint="write them to a file, then run `batchsync resume`")
            try:
                client.put(results.path, file.read_bytes(), found)
            except ObjectChangedError:
                continue
            return answer
    message = f"{storage.name}: {results.path}: another writer replaced the results {ATTEMPTS} times meanwhile"
    raise UnavailableError(message, hint="end the other writer, then run `batchsync resume`; the answers are kept")


def look(results: Results, storage: Storage, access: AccessOf, read: Callable[[Results], Found]) -> Found:
    """Return what `read` finds in a copy of the answers of an object.

    Args:
        results: The destination, in a storage.
        storage: That storage.
        access: Resolves its references.
        read: Reads the local file that it is given as the destination; it need not exist.

    Raises:
        UnavailableError: If the object cannot be read.
    """
    with _copy(_client(storage, access), results) as (file, _), _named(file, f"{storage.name}: {results.path}"):
        return read(replace(results, path=str(file), storage=None, roots=()))


def _client(storage: Storage, access: AccessOf) -> ObjectClient:
    found = access(storage)
    proxy = found.proxy
    url = proxy_url(proxy.host, proxy.port, proxy.user, proxy.password) if proxy else ""
    return ObjectClient(storage, found.credentials, url)


@contextmanager
def _copy(client: ObjectClient, results: Results) -> Iterator[tuple[Path, StoredObject | None]]:
    """Yield the path of a local copy of an object, and the object; None if there is none, and no copy.

    Raises:
        UnavailableError: If it cannot be read, or another writer replaces it each time.
    """
    with scratch_folder() as folder:
        # The sink locks the folder of its file, and the scratch folder is locked already.
        file = folder / "copy" / "results"
        file.parent.mkdir(mode=0o700)
        yield file, _download(client, results, file)


@contextmanager
def _named(file: Path, name: str) -> Iterator[None]:
    """Name the object instead of its copy in errors."""
    try:
        yield
    except UnavailableError as error:
        raise UnavailableError(error.message.replace(str(file), name), hint=error.hint) from None


def _download(client: ObjectClient, results: Results, file: Path) -> StoredObject | None:
    for _ in range(ATTEMPTS):
        try:
            found = client.look_at(results.path)
            with file.open("wb") as out:
                for data in client.read(found, 0, found.size):
                    out.write(data)
        except ObjectMissingError:
            return None
        except ObjectChangedError:
            continue
        return found
    message = f"{results.path}: another writer replaces the results while they are read"
    raise UnavailableError(message, hint="end the other writer, then run `batchsync resume`; the answers are kept")
