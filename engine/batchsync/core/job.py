"""Jobs as frozen values, compiled from jobs.yaml by `spec`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from batchsync.core.csv_dialect import CsvDialect
from batchsync.core.guards import Budget, Guards, Permission
from batchsync.core.keep import Keep
from batchsync.core.mapping import Expression, Object, Place
from batchsync.core.sheet import Sheet
from batchsync.core.source_path import STDIN, scheme_of
from batchsync.core.suppressed import OnSuppressed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchsync.core.contract import Contract
    from batchsync.core.landed_part import LandedPart
    from batchsync.core.object_storage import Storage, StoredFiles
    from batchsync.core.query import Query
    from batchsync.core.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Many-to-one join with other rows: `on` pairs a column of the source with a column of those rows.

    A source row without a match is kept, with nulls. A duplicate key in the other rows is an error.

    Attributes:
        path: A file, relative to the folder of the source; of rows elsewhere their title.
        on: Pairs of columns: of the source, and of the other rows.
        sheet: What is read of a workbook.
        source: The other rows if they are elsewhere, such as in a database; None for a local file. Its key is that of
            the join.
        place: Location in jobs.yaml.
    """

    path: str
    on: tuple[tuple[str, str], ...]
    sheet: Sheet = field(default=Sheet())
    source: Source | None = None
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The source of a job: local files, or a source elsewhere until a fetcher has brought it to local files.

    Attributes:
        path: A file or glob, relative to `folder`; with a scheme (`s3://...`) a source elsewhere; `-` is the standard
            input; of a query and of what is stored elsewhere its title.
        folder: The folder of jobs.yaml.
        key: One or more columns, or an expression.
        format: csv, parquet, jsonl, excel or that of an installed reader; None: by the suffix, which that of a
            compression may follow. CSV columns are strings.
        delimiter: Separator of CSV fields.
        encoding: Encoding of a CSV file.
        dialect: How a CSV file is written otherwise.
        sheet: What is read of a workbook.
        nulls: Strings of a CSV file that are read as null.
        joins: Joins with other files.
        where: Condition that rows must meet to be selected; None selects all rows.
        duplicates: fail, first or last, or `by:` and a column name (the greatest value wins).
        job: Name of the job whose results are the source, instead of a path.
        query: Query of a database whose rows are the source, instead of a path.
        stored: Objects of a storage, or the Delta table, that are the source, instead of a local path.
        parts: Files that a fetcher landed, read in this order instead of `path`.
        personal: Whether keys are personal data; None: those that look like e-mail addresses.
        contract: How old the source and how incomplete its columns may be; None promises nothing.
        version: What a fetcher pinned: a snapshot, an ETag, a revision; empty for local files.
        roots: Folders that local files must be below, without links; empty allows every folder.
        place: Location in jobs.yaml; `key_places` are those of the columns of the key.
    """

    path: str
    folder: str
    key: tuple[str, ...] | Expression
    format: str | None = None
    delimiter: str = ","
    encoding: str = "utf-8"
    dialect: CsvDialect = field(default=CsvDialect())
    sheet: Sheet = field(default=Sheet())
    nulls: tuple[str, ...] = ()
    joins: tuple[Join, ...] = ()
    where: Expression | None = None
    duplicates: str = "fail"
    job: str | None = None
    query: Query | None = None
    stored: StoredFiles | None = None
    parts: tuple[LandedPart, ...] = ()
    version: str = ""
    roots: tuple[str, ...] = ()
    personal: bool | None = None
    contract: Contract | None = None
    place: Place = field(default=Place(), compare=False)
    key_places: tuple[Place, ...] = field(default=(), compare=False)

    @property
    def is_local(self) -> bool:
        """Whether the source and its joins are read where they are, or were landed."""
        return self.has_local_rows and all(join.source is None or join.source.is_local for join in self.joins)

    @property
    def has_local_rows(self) -> bool:
        """Whether the source itself, without its joins, is read where it is, or was landed."""
        return bool(self.parts) or not (self.is_stdin or self.query or self.stored or scheme_of(self.path))

    @property
    def is_table(self) -> bool:
        """Whether the rows come from one table, whose landed parts are no files that could be lost."""
        return self.query is not None or (self.stored is not None and bool(self.stored.delta))

    @property
    def queries(self) -> tuple[Query, ...]:
        """The queries of the source and of its joins."""
        sources = (self, *(join.source for join in self.joins if join.source is not None))
        return tuple(item.query for item in sources if item.query is not None)

    @property
    def is_partial(self) -> bool:
        """Whether only rows from a lower bound on are or were read, so that a key that is absent means nothing."""
        return self.query is not None and bool(self.query.after)

    @property
    def is_stdin(self) -> bool:
        """Whether the source is the standard input, which is landed before it is read."""
        return self.path == STDIN


class OnRemovedAnswer(StrEnum):
    """Treatment of answers whose key left the source."""

    KEEP = "keep"
    #: remove them, guarded; a key that returns is looked up again
    REMOVE = "remove"
    #: set the column `removed_at`, and clear it when the key returns
    MARK = "mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Target of lookup results: a csv, parquet or jsonl file, or a SQLite `table`. `path` is absolute, or in `storage`.

    `on_removed` says what becomes of the answers of keys that left the source. `roots` are folders that the path must
    be below; empty allows every folder.
    """

    path: str
    format: str
    table: str | None = None
    on_removed: OnRemovedAnswer = OnRemovedAnswer.KEEP
    roots: tuple[str, ...] = ()
    storage: Storage | None = None
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Selection of the rows that a run sends.

    `rows` is `all`, `changed`, or `since`: those whose column `since` exceeds the watermark of the last run. `rejected`
    sends rows again that the vendor has rejected unchanged; set by the command line, never in jobs.yaml.
    """

    rows: str = "changed"
    since: str | None = None
    rejected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Treatment of keys that left the source: the vendor's mode, and the mapping of the key to a removal record.

    `mapping_hash` is the hash of that mapping, as in `Job`.
    """

    mode: str
    record: Object
    mapping_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppress:
    """Suppression list of a job: rows whose value is on it are not sent.

    Attributes:
        source: The list; its key is the column with the values.
        column: Column of the job's source, or of its joins, that is looked up in the list.
        then: Treatment of suppressed keys that the target holds.
        place: Location in jobs.yaml.
    """

    source: Source
    column: str
    then: OnSuppressed = OnSuppressed.KEEP
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An entry of jobs.yaml. Hashes are hex SHA-256.

    Attributes:
        name: Name of the job.
        source: The source.
        connection: Name of the connection.
        target: The keys besides `connection` in `target:` (schema, service, ...).
        mode: Mode of the vendor.
        record: Mapping of a source row to a record.
        spec_hash: Hash of everything that affects what is sent; comments and the schedule do not.
        mapping_hash: Hash of the mapping of row values to a record, part of fingerprints of version 1. Reading the same
            values in another way, or removing keys that left the source, does not change it.
        target_hash: Hash of vendor, target and mode, part of every fingerprint.
        send: Selection of rows.
        removal: Treatment of keys that left the source; None keeps them.
        suppress: Suppression list; None if the job has none.
        results: Target of lookup results.
        schedule: When `serve` runs the job.
        guards: The guards that the job sets.
        permission: Guards that one run may exceed; set by the command line, never in jobs.yaml.
        budget: Limits of invalid and rejected records.
        depends_on: Names of jobs that must have settled first.
        renamed_from: Former names of the job; None if jobs.yaml does not say whether it has any.
        compression: Compression of batch files: fast or smaller.
        tags: Names by which selectors select the job.
        suspend: Whether no run begins; open batches are followed to their end.
        removal_hash: Hash of what decides which keys are removed: source as written, its key, `on_removed`.
        keep: What the baseline keeps of each record; no part of any hash, because it changes nothing that is sent.
        place: Location in jobs.yaml.
    """

    name: str
    source: Source
    connection: str
    target: Mapping[str, str]
    mode: str
    record: Object
    spec_hash: str
    mapping_hash: str
    target_hash: str = ""
    send: Send = field(default_factory=Send)
    removal: Removal | None = None
    suppress: Suppress | None = None
    results: Results | None = None
    schedule: Schedule | None = None
    guards: Guards = field(default_factory=Guards)
    permission: Permission | None = None
    budget: Budget = field(default_factory=Budget)
    depends_on: tuple[str, ...] = ()
    renamed_from: tuple[str, ...] | None = None
    compression: str = "fast"
    tags: tuple[str, ...] = ()
    suspend: bool = False
    removal_hash: str = ""
    keep: Keep = Keep.FINGERPRINTS
    place: Place = field(default=Place(), compare=False)

    @property
    def all_names(self) -> frozenset[str]:
        """The name of the job and its former names."""
        return frozenset((self.name, *(self.renamed_from or ())))

    @property
    def effective_schedule(self) -> Schedule | None:
        """The schedule by which runs begin; None for a suspended job."""
        return None if self.suspend else self.schedule

    @property
    def removes(self) -> bool:
        """Whether the job removes what left its source, at the target or from its results."""
        removes_answers = self.results is not None and self.results.on_removed is OnRemovedAnswer.REMOVE
        return self.removal is not None or removes_answers

    def with_results(self, locate: Callable[[str], str]) -> Job:
        """Return the job with the path of its results, and of results that it reads, replaced by `locate(path)`."""
        results, source = self.results, self.source
        if results is not None and results.storage is not None:
            elsewhere = f"{source.folder}/{results.storage.name}/{results.path}"
            if (path := locate(elsewhere)) != elsewhere:
                results = replace(results, path=path, roots=(), storage=None)
        elif results is not None and (path := locate(results.path)) != results.path:
            results = replace(results, path=path, roots=())
        if source.job is not None and (path := locate(source.path)) != source.path:
            source = replace(source, path=path, roots=())
        return replace(self, results=results, source=source)
