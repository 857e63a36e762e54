"""A job as the engine sees it: plain values, compiled from jobs.yaml by `spec`. It does not know YAML or files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.core.guards import Budget, Guards
from lading.core.mapping import Expression, Object, Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Columns of another file, looked up many-to-one: each `left` column of the source equals a `right` column.

    A source row without a match keeps its row, with nulls. A right key that stands there twice is an error.
    """

    path: str
    on: tuple[tuple[str, str], ...]
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where rows come from. `path` is a file or a glob, relative to `folder` (that of jobs.yaml).

    `format` is csv, parquet or jsonl (from the file's ending, `.gz` allowed for csv and jsonl, where None was given).
    `key` is one or more columns, or one Expression. CSV is read as text: every column is a string.
    `duplicates` is fail, first or last, or a column name prefixed `by:` (the greatest value wins).
    `job` names the job whose results are the source, instead of a path.
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
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Where the answers of a lookup go: csv, parquet, jsonl, or a SQLite `table`. `path` is absolute."""

    path: str
    format: str
    table: str | None = None
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a job runs by itself: a cron line in a time zone, or a fixed interval from midnight UTC."""

    cron: str | None = None
    every: timedelta | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Which rows a run sends: `all`, `changed`, or those whose column `since` is above the last run's greatest.

    `rejected` has rows sent again that the vendor refused as they are: it is asked for, never declared.
    """

    what: str = "changed"
    since: str | None = None
    rejected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What happens to keys that left the source: the vendor's mode word and the record built from the key alone.

    `mapping_hash` is to a removal what that of the job is to its records.
    """

    mode: str
    record: Object
    mapping_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A vendor account. Credentials are references until `app` resolves them; values never enter a spec hash.

    `credentials` maps a name to the text as written (`${VAR}`, `${VAR:-default}`, `${file:...}`).
    `policy` holds the user's overrides of the vendor's poll intervals and limits, as written.
    """

    name: str
    vendor: str
    base_url: str
    credentials: Mapping[str, str] = field(repr=False)
    ca_bundle: str | None = None
    poll_every: timedelta | None = None
    deadline: timedelta | None = None
    in_flight: int | None = None
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One entry of jobs.yaml. `target` holds what stands beside `connection` there (schema, service, ...).

    `spec_hash` is the hex SHA-256 of everything that shapes what is sent; a comment or a schedule does not change it.
    `mapping_hash` is that of what makes a record of a row's values, and is in the fingerprint of every row: reading the
    same values in another way, or removing what left the source, does not change it.
    `removal_hash` is that of what decides which keys are removed, and how: the source as written, its key, on_removed.
    """

    name: str
    source: Source
    connection: str
    target: Mapping[str, str]
    mode: str
    record: Object
    spec_hash: str
    mapping_hash: str
    send: Send = field(default_factory=Send)
    removal: Removal | None = None
    results: Results | None = None
    schedule: Schedule | None = None
    guards: Guards = field(default_factory=Guards)
    budget: Budget = field(default_factory=Budget)
    depends_on: tuple[str, ...] = ()
    compression: str = "fast"
    removal_hash: str = ""
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What preparing may take of the machine. It changes no byte of what is sent.

    `threads` None is one for each core, and one alone with little memory; `memory` is small or normal.
    """

    threads: int | None = None
    memory: str = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A whole jobs.yaml: its connections and its jobs, jobs in an order in which each follows what it depends on."""

    file: str
    connections: Mapping[str, Connection]
    jobs: tuple[Job, ...]
    resources: Resources = field(default_factory=Resources)
