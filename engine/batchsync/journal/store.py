"""An open journal file: verified before use, written in fenced, atomic transactions that wait for other writers.

Failpoints: every write transaction calls `failpoint(name)` at `<write>:begin` (before BEGIN IMMEDIATE),
`<write>:<group>` after each group of statements, `<write>:commit` (before COMMIT) and `<write>:committed` (after
COMMIT, before the commit watermark moves). Tests kill the process there and expect all of the transaction or none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from functools import cached_property
from typing import TYPE_CHECKING

from batchsync.errors import LockedError, StateError, UnavailableError
from batchsync.journal import files, schema
from batchsync.journal.sqlite_errors import BUSY_TIMEOUT, damaged, raise_readable, translate_sqlite_errors
from batchsync.journal.views import refresh_views
from batchsync.util.files import fsync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlite_utils import Database

    from batchsync.journal.codec import Row

    Failpoint = Callable[[str], None]

#: Files up to this many bytes get a `quick_check` at every opening; larger ones only after an unclean close.
QUICK_CHECK_MAX_BYTES = 32 * 2**20
#: Tables whose indexes are checked at every opening, because `quick_check` skips indexes: no batch may be overlooked.
_CRITICAL_TABLES = ("meta", "runs", "batches", "events", "segments", "ticks", "leases", "approvals")
#: Required pragmas of each connection, whatever the defaults of the SQLite library. With `recursive_triggers`, REPLACE
#: fires the delete trigger of append-only tables.
_PRAGMAS = {
    "busy_timeout": BUSY_TIMEOUT,
    "synchronous": 2,
    "foreign_keys": 1,
    "secure_delete": 1,
    "cell_size_check": 1,
    "trusted_schema": 0,
    "recursive_triggers": 1,
}


class Store:
    """Connection, write transaction and fencing; the base of `Journal`."""

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        watermark: files.CommitWatermark | None,
        journal_id: str,
        failpoint: Failpoint | None = None,
    ) -> None:
        """Take over an open, verified connection (see `open_store`).

        Args:
            path: The journal file.
            db: Connection in autocommit mode.
            watermark: The open commit watermark; None for read-only use.
            journal_id: Identifies the journal.
            failpoint: Called at named points of write transactions; for tests.
        """
        self.path = path
        self.journal_id = journal_id
        self._db = db
        self._commit_watermark = watermark
        self._failpoint = failpoint
        self._epochs: dict[str, int] = {}
        #: Called with the name of each committed write transaction.
        self.on_commit: Callable[[str], None] | None = None
        self._closed = False

    @property
    def read_only(self) -> bool:
        """Return whether writes are refused."""
        return self._commit_watermark is None

    @property
    def serial(self) -> int:
        """Return the number of write transactions committed to this journal."""
        return int(self._rows("SELECT serial FROM meta")[0]["serial"])

    def close(self) -> None:
        """Close the file; the last connection checkpoints the -wal file. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        if self._commit_watermark is not None:
            self._commit_watermark.close()

    def _rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        """Return the rows of a query as dicts by column name."""
        return list(self._stream(sql, parameters))

    def _stream(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> Iterator[Row]:
        """Yield the rows of a query as dicts by column name, as of its beginning."""
        with raise_readable(self.path):
            cursor = self._db.execute(sql, parameters)
            names = [column[0] for column in cursor.description or ()]
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    def _reached(self, name: str) -> None:
        """Call the failpoint, if there is one."""
        if self._failpoint is not None:
            self._failpoint(name)

    @cached_property
    def _writer(self) -> Database:
        """The connection with the writing methods of sqlite-utils, which commands that only read do not import."""
        return _database(self._db)

    @contextlib.contextmanager
    def _write(self, name: str, job: str | None = None, epoch: int | None = None) -> Iterator[Database]:
        """Run the block in one write transaction, fenced by the epoch of the job's lease.

        Args:
            name: Name of the write, the prefix of its failpoints.
            job: The job whose lease is checked; None for writes that need no lease.
            epoch: Epoch of the lease; None for the one that this journal holds, if any.

        Yields:
            The database, in the transaction.

        Raises:
            LockedError: If another process holds the file too long, or has taken over the job.
            UnavailableError: If the disk is full, fails, or is read-only.
        """
        if self._commit_watermark is None:
            raise UnavailableError(f"{self.path} is open for reading only", hint="Open it for writing.")
        self._reached(f"{name}:begin")
        with translate_sqlite_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._check_fence(job, epoch)
                yield self._writer
                self._db.execute("UPDATE meta SET serial = serial + 1")
                serial = self._rows("SELECT serial FROM meta")[0]["serial"]
                self._reached(f"{name}:commit")
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already; the first error is the one to report.
                with contextlib.suppress(sqlite3.Error):
                    self._db.rollback()
                raise
        self._reached(f"{name}:committed")
        self._commit_watermark.move(serial, self.journal_id)
        if self.on_commit is not None:
            self.on_commit(name)

    def _check_fence(self, job: str | None, epoch: int | None) -> None:
        """Refuse the write of a process whose lease was taken over.

        Raises:
            LockedError: If the epoch of the lease is not the given or held one.
        """
        if job is None:
            return
        expected = epoch if epoch is not None else self._epochs.get(job)
        if expected is None:
            return
        found = self._rows("SELECT epoch, owner FROM leases WHERE job = ?", [job])
        if found and found[0]["epoch"] == expected:
            return
        owner = found[0]["owner"] if found else ""
        holder = f"it is now run by {owner}" if owner else "it is not running now"
        raise LockedError(
            f"job {job} was taken away from this process ({holder}); nothing was written",
            hint=f"Let this process end; `batchsync status {job}` shows the state of the job.",
        )


def open_store(
    folder: Path, *, read_only: bool, journal_id: str
) -> tuple[Path, sqlite3.Connection, files.CommitWatermark | None, str]:
    """Open the journal in a folder; create it if it is missing and `read_only` is false.

    Args:
        folder: The state folder.
        read_only: Whether to open without the right to write; a missing journal is then an error.
        journal_id: Identifies a journal that is created; an existing one keeps its id.

    Returns:
        Path, connection, commit watermark (None if read-only) and journal id.

    Raises:
        StateError: If the file is damaged, foreign, of a newer version or rolled back, the folder is not private,
            or there is no journal and `read_only` is true.
        UnavailableError: If the disk, the folder or the file cannot be used.
        LockedError: If another process holds the file too long.
    """
    files.secure_folder(folder, create=not read_only)
    path = folder / files.NAME
    if not files.inspect(path):
        if read_only:
            missing = files.no_state_error(folder)
            raise missing
        _create(path, journal_id)
    if not read_only:
        for name in (path, path.with_suffix(".db-wal"), path.with_suffix(".db-shm"), path.with_suffix(".anchor")):
            files.restrict_permissions(name)
    unclean = files.was_not_closed(path)
    with raise_readable(path):
        db = _connect(path, read_only=read_only)
        try:
            _configure(db, path, read_only=read_only)
            found = _verify(db, path, unclean=unclean, read_only=read_only)
            if _read_pragma(db, "user_version") < schema.SCHEMA_VERSION:
                schema.migrate(_database(db), journal_id)
            if not read_only:
                refresh_views(db)
            watermark = None if read_only else files.CommitWatermark.open(path)
        except BaseException:
            db.close()
            raise
    return path, db, watermark, found


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return a connection in autocommit mode: transactions begin only explicitly."""
    mode = "mode=ro" if read_only else "mode=rw"
    if read_only and not os.access(path.parent, os.W_OK) and not path.with_suffix(".db-wal").exists():
        # SQLite cannot create its shared-memory file here, and without a -wal file there is no writer.
        mode = "mode=ro&immutable=1"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT / 1000
    )


def _database(connection: sqlite3.Connection) -> Database:
    """Return the connection with the methods of sqlite-utils for writing."""
    from sqlite_utils import Database  # noqa: PLC0415 - slow to import, and not needed for reading

    return Database(connection, recursive_triggers=False, execute_plugins=False)


def _configure(db: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    """Set the required pragmas and, for writing, WAL mode, in which readers do not wait for the writer."""
    _apply_pragmas(db)
    if read_only:
        return
    mode = db.execute("PRAGMA journal_mode = wal").fetchone()[0]
    if mode != "wal":
        raise UnavailableError(
            f"{path} cannot be put into WAL mode (it stays in {mode} mode)",
            hint="Put the state folder on a local disk; network file systems are not supported.",
        )


def _apply_pragmas(db: sqlite3.Connection) -> None:
    """Set the required pragmas and read each back: a SQLite library may ignore a pragma silently."""
    for name, required in _PRAGMAS.items():
        db.execute(f"PRAGMA {name} = {required}")
        if (actual := _read_pragma(db, name)) != required:
            message = f"SQLite ignores PRAGMA {name} = {required} (the value is {actual})"
            raise UnavailableError(message, hint="Use a Python with a standard build of the SQLite library.")


def _verify(db: sqlite3.Connection, path: Path, *, unclean: bool, read_only: bool) -> str:
    """Return the id of a journal that is batchsync's own, intact, of a known version, and not rolled back."""
    # Read the watermark first: other processes may commit meanwhile, which only raises the serial of the journal.
    watermark = files.CommitWatermark.read(path)
    if _read_pragma(db, "application_id") != schema.APPLICATION_ID:
        raise StateError(
            f"{path} is a SQLite file, but not a journal of batchsync",
            hint="Choose another state folder, or move the file.",
        )
    _check_version(db, path, read_only=read_only)
    checks = [f"integrity_check({table})" for table in _CRITICAL_TABLES]
    if unclean or path.stat().st_size <= QUICK_CHECK_MAX_BYTES:
        checks.insert(0, "quick_check(1)")
    for check in checks:
        result = db.execute(f"PRAGMA {check}").fetchone()[0]
        if result != "ok":
            raise damaged(path, f"{check} failed: {result}")
    found = db.execute("SELECT journal_id, serial FROM meta").fetchone()
    if found is None:
        raise damaged(path, "its table meta is empty")
    if watermark is not None and watermark[1] not in ("", found[0]):
        raise _rolled_back(path, "it is not the journal that was here before")
    if watermark is not None and watermark[0] > found[1]:
        raise _rolled_back(path, f"its last transaction is {found[1]}, but {watermark[0]} were committed here")
    return str(found[0])


def _check_version(db: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    """Refuse a journal of a newer version, of an older version that cannot be migrated now, or with other tables."""
    version = _read_pragma(db, "user_version")
    if version > schema.SCHEMA_VERSION:
        raise StateError(
            f"{path} was written by a newer batchsync (schema {version}; this version reads {schema.SCHEMA_VERSION})",
            hint="Upgrade batchsync.",
            name="state.version",
        )
    if read_only and version < schema.SCHEMA_VERSION:
        raise _older_schema(path, version)
    if version == schema.SCHEMA_VERSION and schema.shape(db, "table", "index") != schema.expected_shape(
        "table", "index"
    ):
        raise damaged(path, "its tables differ from those that batchsync creates")


def _older_schema(path: Path, version: int) -> StateError:
    return StateError(
        f"{path} was written by an older batchsync (schema {version}; this version reads {schema.SCHEMA_VERSION})",
        hint="Run `batchsync resume` once: it migrates the journal; this command only reads it.",
        name="state.version",
    )


def _rolled_back(path: Path, reason: str) -> StateError:
    return StateError(
        f"{path} was rolled back: {reason} (an old copy was restored, or the -wal file was deleted or truncated)",
        hint=(
            f"Restore the newest journal.db together with its -wal file. If there is none, delete "
            f"{path.with_suffix('.anchor')} to accept this one, and compare with the vendor: batches may be sent twice."
        ),
    )


def _create(path: Path, journal_id: str) -> None:
    """Create an empty journal under another name and rename it; concurrent creators wait for each other."""
    lock = -1
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(path.with_name("create.lock"), flags, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _build(path, path.with_name(f"{path.name}.new"), journal_id)
    except OSError as error:
        raise files.unreachable_error(path, error) from error
    finally:
        if lock >= 0:
            os.close(lock)


def _build(path: Path, new: Path, journal_id: str) -> None:
    """Write the empty journal and rename it. Leftovers of a killed process under the other name are deleted.

    It is built without a -wal file: on a full disk, SQLite silently leaves the content of the -wal file behind when it
    closes, and the rename would then put an incomplete journal in place.
    """
    for ending in ("", "-journal", "-wal", "-shm"):
        new.with_name(new.name + ending).unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    with translate_sqlite_errors(path):
        db = _connect(new, read_only=False)
        try:
            _apply_pragmas(db)
            schema.migrate(_database(db), journal_id)
        finally:
            db.close()
    new.rename(path)
    fsync_folder(path.parent)


def _read_pragma(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])
