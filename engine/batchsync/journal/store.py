"""One open journal file: trusted before use, and written to in transactions that wait, are fenced, and happen whole.

It does not know what the rows mean.

The trip: every write transaction calls `trip(name)` at `<write>:begin` (before BEGIN IMMEDIATE), `<write>:<group>`
after each group of statements, `<write>:commit` (before COMMIT) and `<write>:committed` (after it, before the anchor
moves). A test kills the process there and finds all of the transaction or nothing of it. Without a trip nothing is
called.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from typing import TYPE_CHECKING

from lading.errors import EnvironmentProblem, LockedError, StateError
from lading.journal import files, schema
from lading.journal.faults import BUSY_TIMEOUT, damaged, explained, legible
from lading.journal.library import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lading.journal.codec import Row

    Trip = Callable[[str], None]

#: A file up to this many bytes is checked at every opening; a larger one after an unclean end only.
ALWAYS_CHECKED = 32 * 2**20
#: Tables whose indexes are checked at every opening too (quick_check leaves them out): a batch must not be overlooked.
_VITAL = ("meta", "runs", "batches", "events", "slots", "leases", "approvals")
#: What each connection must answer to its pragmas, whatever the SQLite library was compiled with.
_PRAGMAS = {
    "busy_timeout": BUSY_TIMEOUT,
    "synchronous": 2,
    "foreign_keys": 1,
    "secure_delete": 1,
    "cell_size_check": 1,
    "trusted_schema": 0,
}


class Store:
    """The connection, the write transaction and the fence. `Journal` builds on it."""

    def __init__(
        self, path: Path, db: Database, anchor: files.Anchor | None, lineage: str, trip: Trip | None = None
    ) -> None:
        """Take over an open, checked connection. A store without anchor is for reading only."""
        self.path = path
        self.lineage = lineage
        self._db = db
        self._anchor = anchor
        self._trip = trip
        self._held: dict[str, int] = {}
        self._closed = False

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self._anchor is None

    @property
    def serial(self) -> int:
        """How many write transactions this journal has seen."""
        return int(self._rows("SELECT serial FROM meta")[0]["serial"])

    def close(self) -> None:
        """Close the file; the last one to close it folds the -wal file into it. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        if self._anchor is not None:
            self._anchor.close()

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a question."""
        with legible(self.path):
            return list(self._db.query(sql, list(parameters)))

    def _tripped(self, name: str) -> None:
        if self._trip is not None:
            self._trip(name)

    @contextlib.contextmanager
    def _write(self, name: str, job: str | None = None, epoch: int | None = None) -> Iterator[Database]:
        """Run the body in one write transaction, fenced by the epoch of the job's lease: all of it, or nothing.

        Raises:
            LockedError: when another process holds the file too long, or has taken the job over.
            EnvironmentProblem: when the disk is full, fails, or is read-only.
        """
        if self._anchor is None:
            raise EnvironmentProblem(f"{self.path} is open for reading only", hint="Open it for writing.")
        self._tripped(f"{name}:begin")
        with explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._check_fence(job, epoch)
                yield self._db
                self._db.execute("UPDATE meta SET serial = serial + 1")
                serial = self._rows("SELECT serial FROM meta")[0]["serial"]
                self._tripped(f"{name}:commit")
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already; the first error is the one to tell.
                with contextlib.suppress(sqlite3.Error):
                    self._db.rollback()
                raise
        self._tripped(f"{name}:committed")
        self._anchor.move(serial, self.lineage)

    def _check_fence(self, job: str | None, epoch: int | None) -> None:
        """Refuse the write of a process whose lease somebody else has taken."""
        if job is None:
            return
        mine = epoch if epoch is not None else self._held.get(job)
        if mine is None:
            return
        found = self._rows("SELECT epoch, owner FROM leases WHERE job = ?", [job])
        if found and found[0]["epoch"] == mine:
            return
        owner = (found[0]["owner"] if found else "") or "nobody now"
        raise LockedError(
            f"job {job} was taken away from this process (it is now run by {owner}); nothing was written",
            hint=f"Let this process end; `lading status {job}` shows how the job stands.",
        )


def open_store(folder: Path, *, read_only: bool, lineage: str) -> tuple[Path, Database, files.Anchor | None, str]:
    """Open the journal in a folder, make it if need be, and return path, connection, anchor and lineage.

    Raises:
        StateError: when the file is damaged, foreign, newer, or older than it was, or the folder is not private.
        EnvironmentProblem: when the disk, the folder or the file cannot be used.
    """
    files.secure_folder(folder, create=not read_only)
    path = folder / files.NAME
    if not files.look_at(path):
        if read_only:
            raise files.nothing_yet(folder)
        _create(path, lineage)
    if not read_only:
        for name in (path, path.with_suffix(".db-wal"), path.with_suffix(".db-shm"), path.with_suffix(".anchor")):
            files.tighten(name)
    unclean = files.left_open(path)
    with legible(path):
        db = _connect(path, read_only=read_only)
        try:
            _set_pragmas(db, path, read_only=read_only)
            found = _trust(db, path, unclean=unclean)
            if _number(db, "user_version") < schema.SCHEMA_VERSION:
                schema.migrate(db, lineage) if not read_only else schema.lend(db)
            anchor = None if read_only else files.Anchor.open(path)
        except BaseException:
            db.close()
            raise
    return path, db, anchor, found


def _connect(path: Path, *, read_only: bool) -> Database:
    """Return a connection whose transactions are ours alone to begin."""
    mode = "mode=ro" if read_only else "mode=rw"
    if read_only and not os.access(path.parent, os.W_OK) and not path.with_suffix(".db-wal").exists():
        # SQLite cannot make its shared memory here; nobody can be writing without a -wal file.
        mode = "mode=ro&immutable=1"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT / 1000
    )
    return Database(connection)


def _set_pragmas(db: Database, path: Path, *, read_only: bool) -> None:
    """Set what durability and privacy need, and the -wal file that lets others read while one writes."""
    _set_safe(db)
    if read_only:
        return
    mode = db.execute("PRAGMA journal_mode = wal").fetchone()[0]
    if mode != "wal":
        raise EnvironmentProblem(
            f"{path} cannot be put into WAL mode (it stays in {mode} mode)",
            hint="Put the state folder on a local disk; network file systems do not work.",
        )


def _set_safe(db: Database) -> None:
    """Set what durability and privacy need, and read each back: a library may ignore a pragma without a word."""
    for name, wanted in _PRAGMAS.items():
        db.execute(f"PRAGMA {name} = {wanted}")
        if (got := _number(db, name)) != wanted:
            message = f"SQLite does not keep to PRAGMA {name} = {wanted} (it says {got})"
            raise EnvironmentProblem(message, hint="Use a Python whose SQLite library is a common build.")


def _trust(db: Database, path: Path, *, unclean: bool) -> str:
    """Return the lineage of a journal that is ours, whole, not newer than this lading and not older than it was."""
    # The anchor is read first: others may commit meanwhile, and the journal can only move ahead.
    anchor = files.Anchor.read(path)
    if _number(db, "application_id") != schema.APPLICATION_ID:
        raise StateError(
            f"{path} is a SQLite file, but no journal of lading", hint="Name another state folder, or move the file."
        )
    version = _number(db, "user_version")
    if version > schema.SCHEMA_VERSION:
        raise StateError(
            f"{path} was written by a newer lading (schema {version}; this one knows {schema.SCHEMA_VERSION})",
            hint="Install a newer lading from its repository.",
        )
    if version == schema.SCHEMA_VERSION and schema.shape(db, "table", "index") != schema.right_shape("table", "index"):
        raise damaged(path, "its tables are not those that lading made")
    pointers = "segments" if version >= schema.SEGMENTS_SINCE else "baselines"
    checks = [f"integrity_check({table})" for table in (*_VITAL, pointers)]
    if unclean or path.stat().st_size <= ALWAYS_CHECKED:
        checks.insert(0, "quick_check(1)")
    for check in checks:
        verdict = db.execute(f"PRAGMA {check}").fetchone()[0]
        if verdict != "ok":
            raise damaged(path, f"{check} says: {verdict}")
    found = db.execute("SELECT lineage, serial FROM meta").fetchone()
    if found is None:
        raise damaged(path, "its table meta is empty")
    if anchor is not None and anchor[1] != found[0]:
        raise _set_back(path, "it is another journal than the one that was here")
    if anchor is not None and anchor[0] > found[1]:
        raise _set_back(path, f"it stands at transaction {found[1]}, but {anchor[0]} were committed here")
    return str(found[0])


def _set_back(path: Path, why: str) -> StateError:
    return StateError(
        f"{path} was set back: {why} (an old copy was restored, or the -wal file was deleted or cut)",
        hint=(
            f"Put back the newest journal.db together with its -wal file. If there is none, delete "
            f"{path.with_suffix('.anchor')} to accept this one, and compare with the vendor: batches may be sent twice."
        ),
    )


def _create(path: Path, lineage: str) -> None:
    """Make an empty journal under another name and put it in place whole, whoever else is trying to."""
    lock = -1
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(path.with_name("create.lock"), flags, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _build(path, path.with_name(f"{path.name}.new"), lineage)
    except OSError as error:
        raise files.unreachable(path, error) from error
    finally:
        if lock >= 0:
            os.close(lock)


def _build(path: Path, new: Path, lineage: str) -> None:
    """Write the empty journal and rename it. What a killed builder left under the other name is thrown away.

    It is built without a -wal file: on a full disk the closing of a -wal leaves its content behind without a word, and
    the rename would then put half a journal in place.
    """
    for ending in ("", "-journal", "-wal", "-shm"):
        new.with_name(new.name + ending).unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    with explained(path):
        db = _connect(new, read_only=False)
        try:
            _set_safe(db)
            schema.migrate(db, lineage)
        finally:
            db.close()
    new.rename(path)
    files.sync_folder(path.parent)


def _number(db: Database, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])
