"""Jobs and connections as frozen values, compiled from jobs.yaml by `spec`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from batchsync.core.guards import Budget, Guards
from batchsync.core.mapping import Expression, Object, Place
from batchsync.core.source_path import scheme_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Many-to-one join with another file: `on` pairs a column of the source with a column of that file.

    A source row without a match is kept, with nulls. A duplicate key in the other file is an error.
    """

    path: str
    on: tuple[tuple[str, str], ...]
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedPart:
    """A file that a fetcher wrote into the folder of a run, with its hex SHA-256. `path` is absolute."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The source of a job: local files, or a source elsewhere until a fetcher has brought it to local files.

    Attributes:
        path: A file or glob, relative to `folder`; with a scheme (`s3://...`) a source elsewhere.
        folder: The folder of jobs.yaml.
        key: One or more columns, or an expression.
        format: csv, parquet, jsonl or that of an installed reader; None: by the suffix, which `.gz` may follow. CSV
            columns are strings.
        delimiter: Separator of CSV fields.
        encoding: Encoding of a CSV file.
        nulls: Strings of a CSV file that are read as null.
        joins: Joins with other files.
        duplicates: fail, first or last, or `by:` and a column name (the greatest value wins).
        job: Name of the job whose results are the source, instead of a path.
        parts: Files that a fetcher landed, read in this order instead of `path`.
        version: What a fetcher pinned: a snapshot, an ETag, a revision; empty for local files.
        place: Location in jobs.yaml.
    """

    path: str
    folder: str
    key: tuple[str, ...] | Expression
    format: str | None = None
    delimiter: str = ","
    encoding: str = "utf-8"
    nulls: tuple[str, ...] = ()
    joins: tuple[Join, ...] = ()
    duplicates: str = "fail"
    job: str | None = None
    parts: tuple[LandedPart, ...] = ()
    version: str = ""
    place: Place = field(default=Place(), compare=False)

    @property
    def is_local(self) -> bool:
        """Whether the source is read where it is, or was landed."""
        return bool(self.parts) or not scheme_of(self.path)


class OnRemovedAnswer(StrEnum):
    """Treatment of answers whose key left the source."""

    KEEP = "keep"
    #: remove them, guarded; a key that returns is looked up again
    REMOVE = "remove"
    #: set the column `removed_at`, and clear it when the key returns
    MARK = "mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Target of lookup results: a csv, parquet or jsonl file, or a SQLite `table`. `path` is absolute.

    `on_removed` says what becomes of the answers of keys that left the source.
    """

    path: str
    format: str
    table: str | None = None
    on_removed: OnRemovedAnswer = OnRemovedAnswer.KEEP
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Schedule of a job: a cron line in a time zone, or a fixed interval from midnight UTC."""

    cron: str | None = None
    every: timedelta | None = None
    timezone: str = "UTC"


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
class Connection:
    """A vendor account. Credentials are references until `app` resolves them; values never enter a spec hash.

    `credentials` maps a name to the reference as written (`${VAR}`, `${VAR:-default}`, `${file:...}`). `poll_every`,
    `deadline`, `retry_for` and `in_flight` override the vendor's policy. `renamed_from` are former names of the
    connection.
    """

    name: str
    vendor: str
    base_url: str
    credentials: Mapping[str, str] = field(repr=False)
    ca_bundle: str | None = None
    poll_every: timedelta | None = None
    deadline: timedelta | None = None
    retry_for: timedelta | None = None
    in_flight: int | None = None
    renamed_from: tuple[str, ...] = ()
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An entry of jobs.yaml. Hashes are hex SHA-256.

    Attributes:
        name: Name of the job.
        source: The source.
        connection: Name of the connection.
        target: The keys beside `connection` in `target:` (schema, service, ...).
        mode: Mode of the vendor.
        record: Mapping of a source row to a record.
        spec_hash: Hash of everything that affects what is sent; comments and the schedule do not.
        mapping_hash: Hash of the mapping of row values to a record, part of fingerprints of version 1. Reading the same
            values in another way, or removing keys that left the source, does not change it.
        target_hash: Hash of vendor, target and mode, part of every fingerprint.
        send: Selection of rows.
        removal: Treatment of keys that left the source; None keeps them.
        results: Target of lookup results.
        schedule: When `serve` runs the job.
        guards: The guards that the job sets.
        budget: Limits of invalid and rejected records.
        depends_on: Names of jobs that must have settled first.
        renamed_from: Former names of the job; None if jobs.yaml does not say whether it has any.
        compression: Compression of batch files: fast or smaller.
        removal_hash: Hash of what decides which keys are removed: source as written, its key, `on_removed`.
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
    results: Results | None = None
    schedule: Schedule | None = None
    guards: Guards = field(default_factory=Guards)
    budget: Budget = field(default_factory=Budget)
    depends_on: tuple[str, ...] = ()
    renamed_from: tuple[str, ...] | None = None
    compression: str = "fast"
    removal_hash: str = ""
    place: Place = field(default=Place(), compare=False)

    @property
    def all_names(self) -> frozenset[str]:
        """The name of the job and its former names."""
        return frozenset((self.name, *(self.renamed_from or ())))

    @property
    def removes(self) -> bool:
        """Whether the job removes what left its source, at the target or from its results."""
        removes_answers = self.results is not None and self.results.on_removed is OnRemovedAnswer.REMOVE
        return self.removal is not None or removes_answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Resource limits of preparation; they do not affect what is sent.

    `threads` None: one for each core, or a single thread with `memory` small. `memory` is small or normal.
    """

    threads: int | None = None
    memory: str = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The contents of jobs.yaml: connections by name, and jobs in dependency order.

    `state_required`: a missing state is an error.
    """

    file: str
    connections: Mapping[str, Connection]
    jobs: tuple[Job, ...]
    resources: Resources = field(default_factory=Resources)
    state_required: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The names of all jobs, former names included."""
        return frozenset(name for job in self.jobs for name in job.all_names)
