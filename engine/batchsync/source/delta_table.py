"""Delta tables as a source: `deltalake` reads the log of a version, and the data files it names are landed.

The log of a table in storage is downloaded first, so that all requests are those of our own client. What the log may
ask of a reader and this one cannot do (deletion vectors, column mapping, unknown features) is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from batchsync.errors import SourceError, UnavailableError, install_hint
from batchsync.source.landing import Landing
from batchsync.source.stored_objects import client_of, download, require_space
from batchsync.util.files import make_private
from batchsync.util.path_fence import PathFence
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from batchsync.core.job import Source
    from batchsync.core.object_storage import StoredFiles
    from batchsync.ports import StorageAccess
    from batchsync.util.object_client import ObjectClient, StoredObject

#: Data files of a table, and files of its log that are needed for one version.
FILES_MAX, LOG_FILES_MAX = 20_000, 5_000
_LOG = "_delta_log"
_COMMIT = re.compile(r"([0-9]{20})\.json")
#: A checkpoint in one file, or a part of one in several.
_CHECKPOINT = re.compile(r"([0-9]{20})\.checkpoint(?:\.([0-9]{10})\.([0-9]{10}))?\.parquet")
#: Features of the protocol that change nothing for a reader, or that are checked here.
_KNOWN_FEATURES = {"timestampNtz", "vacuumProtocolCheck", "deletionVectors", "columnMapping", "v2Checkpoint"}
#: Newest version of the reader protocol that has no list of features, and the one that has.
_READER_MAX, _READER_FEATURES = 2, 3
_BATCH_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _DataFile:
    """A data file of a version: its path below the table, its size, and the values of the partition columns."""

    path: str
    size: int
    partition: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """A version of a table: its columns and its data files, sorted by path."""

    version: int
    schema: pa.Schema
    files: tuple[_DataFile, ...]


def fetch(
    source: Source,
    stored: StoredFiles,
    into: Path,
    *,
    access: StorageAccess,
    rows: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Source:
    """Land the rows of a version of a table.

    Args:
        source: The source.
        stored: Its table, in a storage or a local folder.
        into: Folder for the parts.
        access: Credentials and proxy of the storage.
        rows: Number of rows that suffice; None lands all.
        progress: Receives the number of bytes of data files read.

    Returns:
        The source with its parts, and the version of the table.

    Raises:
        SourceError: If there is no such table or version, it needs a feature that is not supported, or a file of it
            is missing or not as the log says.
        UnavailableError: If the storage cannot be read, the package that reads logs is not installed, or the disk is
            full.
    """
    if stored.storage is not None:
        client = client_of(stored.storage, access)
        with scratch_folder() as folder:
            _download_log(client, stored, folder)
            snapshot = _snapshot(folder, stored)
        files = _downloaded(client, stored, snapshot, into)
    else:
        snapshot = _snapshot(Path(stored.delta), stored)
        files = _local(stored, snapshot)
    parts = _land(files, snapshot, into, stored, (rows, progress))
    return replace(source, parts=parts, version=str(snapshot.version), format="parquet")


def _snapshot(folder: Path, stored: StoredFiles) -> _Snapshot:
    """Return a version of the table whose log is in a local folder.

    Raises:
        SourceError: If there is none, or it cannot be read exactly.
        UnavailableError: If the package that reads logs is not installed.
    """
    try:
        import deltalake  # noqa: PLC0415 - an extra, imported when it is used
    except ImportError:
        message = f"{stored.title} is a Delta table, and the package that reads its log is not installed"
        raise UnavailableError(message, hint=install_hint("delta")) from None
    if not (folder / _LOG).is_dir():
        hint = "Check delta: it is the folder that contains _delta_log."
        raise SourceError(f"{stored.title}: there is no Delta table", hint=hint)
    try:
        table = deltalake.DeltaTable(str(folder), version=stored.version)
        _refuse_features(table, stored)
        schema = pa.schema(table.schema().to_arrow())
        actions = pa.table(table.get_add_actions(flatten=False))
        version = int(table.version())
    except deltalake.exceptions.TableNotFoundError:
        raise SourceError(f"{stored.title}: there is no Delta table", hint="Check delta and version.") from None
    except (deltalake.exceptions.DeltaError, deltalake.exceptions.DeltaProtocolError, pa.ArrowException):
        # Messages of the library contain local paths and values of statistics.
        at = f"version {stored.version}" if stored.version is not None else "its newest version"
        hint = "Check that version: its log may have been cleaned up, or be damaged."
        raise SourceError(f"{stored.title}: {at} cannot be read from the log", hint=hint) from None
    if actions.num_rows > FILES_MAX:
        message = f"{stored.title}: the table has {actions.num_rows:,} files, of at most {FILES_MAX:,}"
        raise SourceError(message, hint="Compact the table: OPTIMIZE.")
    listed = actions.select([name for name in ("path", "size_bytes", "partition") if name in actions.column_names])
    files = [
        _DataFile(path=unquote(item["path"]), size=item["size_bytes"], partition=dict(item.get("partition") or {}))
        for item in listed.to_pylist()
    ]
    for file in files:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|/", file.path) or ".." in file.path.split("/"):
            message = f"{stored.title}: a data file is outside of the folder of the table"
            raise SourceError(message, hint="Shallow clones cannot be read: read the original table.")
    return _Snapshot(version=version, schema=schema, files=tuple(sorted(files, key=lambda item: item.path)))


def _refuse_features(table: Any, stored: StoredFiles) -> None:
    """Refuse a table that needs more of its reader than this one can do.

    Raises:
        SourceError: If it does.
    """
    protocol, options = table.protocol(), table.metadata().configuration
    features = set(protocol.reader_features or ())
    if protocol.min_reader_version not in {*range(_READER_MAX + 1), _READER_FEATURES} or features - _KNOWN_FEATURES:
        what = ", ".join(sorted(features - _KNOWN_FEATURES)) or f"reader version {protocol.min_reader_version}"
        raise SourceError(f"{stored.title}: the table needs {what}, which cannot be read", hint="Export its rows.")
    if options.get("delta.columnMapping.mode", "none") != "none":
        message = f"{stored.title}: the table maps its columns (delta.columnMapping.mode), which cannot be read"
        raise SourceError(message, hint="Copy it into a table without column mapping, or export its rows.")
    if "deletionVectors" in features and _has_deletion_vectors(table):
        message = f"{stored.title}: files of the table have deletion vectors, which cannot be read"
        raise SourceError(message, hint="Remove them: REORG TABLE ... APPLY (PURGE), then run the same command again.")


def _has_deletion_vectors(table: Any) -> bool:
    """Return whether a file of the table has one. One that cannot be read counts: its file was not downloaded."""
    try:
        return any(batch.num_rows for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()))
    except Exception:  # noqa: BLE001 - the library declares no type
        return True


def _download_log(client: ObjectClient, stored: StoredFiles, folder: Path) -> None:
    """Download the newest checkpoint at a version, and the commits from it to that version.

    Raises:
        SourceError: If there is no log, or the version is not in it.
    """
    at = f"{stored.delta}/{_LOG}"
    names: dict[str, StoredObject] = {}
    for item in client.objects(at):
        names[item.path.rpartition("/")[2]] = item
    if not any(_COMMIT.fullmatch(name) or _CHECKPOINT.fullmatch(name) for name in names):
        hint = "Check delta and prefix: it is the folder that contains _delta_log."
        raise SourceError(f"{stored.title}: there is no Delta table", hint=hint)
    needed = _needed(names, stored)
    if len(needed) > LOG_FILES_MAX:
        message = f"{stored.title}: {len(needed):,} files of the log are needed, of at most {LOG_FILES_MAX:,}"
        raise SourceError(message, hint="Write a checkpoint of the table.")
    log = folder / _LOG
    parts = download(client, [names[name] for name in needed], log, f"{stored.title}, log")
    for part, name in zip(parts, needed, strict=True):
        Path(part.path).rename(log / name)


def _needed(names: Iterable[str], stored: StoredFiles) -> list[str]:
    """Return the names of the files of a log that describe a version.

    Raises:
        SourceError: If they do not.
    """
    names = list(names)
    commits = {int(found[1]): name for name in names if (found := _COMMIT.fullmatch(name))}
    newest = max(commits, default=-1)
    wanted = newest if stored.version is None else stored.version
    checkpoints: dict[int, list[str]] = {}
    complete: dict[int, int] = {}
    for name in names:
        if found := _CHECKPOINT.fullmatch(name):
            checkpoints.setdefault(int(found[1]), []).append(name)
            complete[int(found[1])] = int(found[3] or 1)
    if stored.version is None:
        wanted = max(wanted, max(checkpoints, default=-1))
    usable = [key for key, parts in checkpoints.items() if key <= wanted and len(parts) >= complete[key]]
    first = max(usable, default=-1)
    missing = [key for key in range(first + 1, wanted + 1) if key not in commits]
    if missing or wanted > max(newest, first):
        known = f"; its log ends at version {newest}" if wanted > newest else "; its log was cleaned up"
        raise SourceError(f"{stored.title}: there is no version {wanted}{known}", hint="Check version.")
    later = [commits[key] for key in range(first + 1, wanted + 1)]
    # The commit of a checkpoint says when it was made.
    return sorted({*checkpoints.get(first, ()), *([commits[first]] if first in commits else []), *later})


def _downloaded(
    client: ObjectClient, stored: StoredFiles, snapshot: _Snapshot, into: Path
) -> Iterator[tuple[_DataFile, Path]]:
    """Yield each data file with the path that it was downloaded to, and delete it afterwards.

    Raises:
        SourceError: If a file is missing, or not of the size that the log says.
        UnavailableError: If the disk has no room.
    """
    make_private(into)
    # Landed parts and, one by one, the files.
    require_space(into, sum(file.size for file in snapshot.files), stored.title)
    for file in snapshot.files:
        found = client.look_at(f"{stored.delta}/{file.path}")
        if found.size != file.size:
            raise _unlike_log(stored, file)
        (part,) = download(client, [found], into / "download", stored.title)
        path = Path(part.path)
        yield file, path
        path.unlink()


def _local(stored: StoredFiles, snapshot: _Snapshot) -> Iterator[tuple[_DataFile, Path]]:
    """Yield each data file of a local table with its path.

    Raises:
        SourceError: If a file is missing, not of the size that the log says, or outside of the folders of sources.
    """
    fence = PathFence(stored.roots)
    for file in snapshot.files:
        path = Path(stored.delta) / file.path
        if objection := fence.file_objection(str(path)):
            raise SourceError(f"{stored.title}: {file.path} {objection}", hint="Check delta.")
        if not path.is_file() or path.stat().st_size != file.size:
            raise _unlike_log(stored, file)
        yield file, path


def _unlike_log(stored: StoredFiles, file: _DataFile) -> SourceError:
    message = f"{stored.title}: the data file {file.path} is missing, or not as the log says"
    return SourceError(message, hint="It may have been vacuumed: run the same command again, or name a newer version.")


def _land(
    files: Iterator[tuple[_DataFile, Path]],
    snapshot: _Snapshot,
    into: Path,
    stored: StoredFiles,
    limits: tuple[int | None, Callable[[int], None] | None],
) -> Any:
    """Land the rows of the data files with the columns of the table.

    Args:
        files: Data files with their local paths.
        snapshot: The version.
        into: Folder for the parts.
        stored: The table.
        limits: Number of rows that suffice, if not all, and what receives the number of bytes read.
    """
    limit, progress = limits
    done = 0
    with Landing(into, stored.title) as landing:
        for file, path in files:
            for table in _tables(file, path, snapshot.schema, stored):
                landing.add(table)
                if limit is not None and landing.rows >= limit:
                    return landing.seal(snapshot.schema)
            done += file.size
            if progress is not None:
                progress(done)
        return landing.seal(snapshot.schema)


def _tables(file: _DataFile, path: Path, schema: pa.Schema, stored: StoredFiles) -> Iterator[pa.Table]:
    """Yield the rows of a data file: columns that it has not are partition columns, or were added later.

    Raises:
        SourceError: If it is damaged, or a value does not fit the type of the table.
    """
    try:
        with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as opened:
            present = [
                name for name in schema.names if name in opened.schema_arrow.names and name not in file.partition
            ]
            for batch in opened.iter_batches(batch_size=_BATCH_ROWS, columns=present):
                columns = [
                    batch.column(field.name).cast(field.type)
                    if field.name in present
                    else _constant(file.partition.get(field.name), field.type, batch.num_rows)
                    for field in schema
                ]
                yield pa.Table.from_arrays(columns, schema=schema)
    except (pa.ArrowException, OSError):
        # Messages of the library quote values.
        message = f"{stored.title}: the data file {file.path} is damaged, or does not fit the columns of the table"
        raise SourceError(message, hint="Check the table; nothing was sent.") from None


def _constant(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    """Return a column with one value in the type of the table."""
    return pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, kind), count)
