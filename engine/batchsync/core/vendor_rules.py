"""Vendor specs as frozen values, compiled from `vendor.yaml` by `spec.vendor_spec`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from batchsync.core.account_limits import lower_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.account_limits import AccountLimits
    from batchsync.core.policy import Policy
    from batchsync.core.record_schema import RecordSchema
    from batchsync.core.vendor_calls import Dialect
    from batchsync.core.vendor_settings import Setting


class FileFormat(StrEnum):
    """Format of a batch file."""

    JSONL = "jsonl"
    #: one JSON document that contains the list of records
    JSON = "json"
    CSV = "csv"


class Reference(StrEnum):
    """Form of our reference in each record."""

    #: a UUID, the same for each version of a record
    UUID = "uuid"
    #: the number of the record within its run, from 1, written as a JSON number
    NUMBER = "number"


class DefaultOutcome(StrEnum):
    """Outcome of a sent row that the row log does not list."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules:
    """Requirements for batch files. `bytes_max` limits the bytes on disk (compressed, if `gzip`); None: no limit.

    `envelope`: template of a JSON line, an object in which `"{record}"` is replaced by the record, and `{ref}`,
    `{schema}` and `{mode}` by its reference, the name of its schema and the mode; None: a line is the record itself.
    The members of the record follow those of an envelope whose last key is `SPLICE`.
    `document`: template of a JSON document, in which `"{records}"` is replaced by the list of records, and `{target.x}`
    by a value of the job's target. `reference` is the form of `{ref}`.
    """

    format: FileFormat
    gzip: bool
    suffix: str
    bytes_max: int | None = None
    rows_max: int | None = None
    envelope: Mapping[str, object] | None = None
    document: Mapping[str, object] | None = None
    reference: Reference = Reference.UUID


#: Last key of an envelope whose value `"{record}"` stands for the members of the record.
SPLICE = "..."
#: Placeholders of `FileRules.envelope`.
ENVELOPE_PLACEHOLDERS = frozenset({"record", "ref", "schema", "mode"})


class LogFormat(StrEnum):
    """Format of a row log."""

    #: one JSON object per line, gzip or plain (detected by the first two bytes)
    JSONL = "jsonl"
    #: a JSON document that contains a list
    JSON = "json"
    CSV = "csv"


#: `ErrorLayout.message` of a CSV without documented columns: all columns besides the input columns, with their names.
REST = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLayout:
    """Layout of the vendor's error file.

    JSONL: `ref`, `code`, `message` are member names. JSON: `items` is the member that contains the list; each item has
    `inputs` (an object: input column -> text) and `errors`, a list of objects with members `code` and `message`.
    CSV: the input columns, then columns `code` and `message`; `message` may be `REST`.

    In logs that are not joined by inputs, the names of members that begin with `/` are JSON pointers. `ref_pattern` is
    a regular expression whose first group is the reference, or the number of the row. `only` maps members to the values
    that an error has in them: other items are notes. `code_until` ends the code in a text that contains more.

    `ignored_codes` are prefixes of codes that are no errors; `retry_codes` are codes of rows that may be sent again
    unchanged; `already_absent_codes` state that there was nothing to remove, which counts as accepted.
    """

    format: LogFormat
    code: str
    message: str
    ref: str = ""
    items: str = ""
    inputs: str = ""
    errors: str = ""
    ref_pattern: str = ""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    code_until: str = ""
    ignored_codes: tuple[str, ...] = ()
    retry_codes: tuple[str, ...] = ()
    already_absent_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableForm:
    """Form of the vendor's CSV files. `encoding` is utf-8 (with or without a byte-order mark), utf-16 or latin-1.

    `zip`: the table is the only file of a ZIP archive. gzip is recognized and needs no setting.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    zip: bool = False


class JoinedBy(StrEnum):
    """What a row log names rows by."""

    #: our reference in each record
    REF = "ref"
    #: the number of the record in its batch file
    ROW = "row"
    #: the key of the row
    KEY = "key"
    #: the input columns, which are returned
    INPUTS = "inputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLogRules:
    """Reporting of row outcomes by the vendor.

    `joined_by` is what the log names rows by; the number of the first row is `first_row`. `results`:
    accepted rows are returned in a CSV file. `tables` is the form of that file, and of row logs in CSV.
    """

    joined_by: JoinedBy
    default_outcome: DefaultOutcome
    errors: ErrorLayout
    results: bool = False
    first_row: int = 1
    tables: TableForm = field(default_factory=TableForm)


class Sends(StrEnum):
    """What a mode sends."""

    #: records to be created or changed
    RECORDS = "records"
    #: records to be removed
    REMOVALS = "removals"
    #: rows to which the vendor returns results
    LOOKUPS = "lookups"


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorRules:
    """A compiled vendor spec.

    `api_hosts` and `storage_hosts` (of signed URLs) are the allowed hosts. A connection must set `credentials`, of
    which `account_credential` identifies the account. `target_keys` maps the keys of `target:` besides `connection` to
    whether they are required; `non_identity_keys` do not distinguish targets. `modes` maps each mode to what it sends.
    `schemas` are the record schemas by name. `keeps_absent` are the modes in which a target keeps the values of members
    that a record leaves out. `erases` are the modes that erase a person at the target for good. With
    `one_mode_per_batch`, the removals of a run are in batch files of their own, after the others.
    `settings` are the keys by which connections of the vendor differ, and `chosen` the values that these rules are for.
    `dialect` is None for vendors in Python packages. `in_init`: `batchsync init` without a vendor writes its starter.
    `loosest_schemas` take every record that the schemas of any values of settings take.
    """

    name: str
    title: str
    default_base_url: str | None
    api_hosts: tuple[str, ...]
    storage_hosts: tuple[str, ...]
    credentials: tuple[str, ...]
    account_credential: str
    target_keys: Mapping[str, bool]
    modes: Mapping[str, Sends]
    file: FileRules
    policy: Policy
    row_log: RowLogRules
    schemas: Mapping[str, RecordSchema]
    dialect: Dialect | None = field(repr=False, default=None)
    default_schema: str | None = None
    non_identity_keys: tuple[str, ...] = ()
    keeps_absent: frozenset[str] = frozenset()
    erases: frozenset[str] = frozenset()
    one_mode_per_batch: bool = False
    in_init: bool = False
    settings: tuple[Setting, ...] = ()
    chosen: Mapping[str, str] = field(default_factory=dict)
    loosest_schemas: Mapping[str, RecordSchema] = field(repr=False, default_factory=dict)

    @property
    def removal_modes(self) -> tuple[str, ...]:
        """Modes that send removals."""
        return tuple(mode for mode, sends in self.modes.items() if sends is Sends.REMOVALS)

    def within(self, lower: AccountLimits | None) -> VendorRules:
        """Return the rules with batch files that are no larger than what an account may send in a day.

        Args:
            lower: Limits of a connection; None if it has none.
        """
        limits = self.policy.account if lower is None else self.policy.account.lowered(lower)
        if not limits.limits_batches:
            return self
        rows = lower_of(self.file.rows_max, limits.rows_per_day)
        size = lower_of(self.file.bytes_max, limits.bytes_per_day)
        return replace(self, file=replace(self.file, rows_max=rows, bytes_max=size))

    def schema_for(self, target: Mapping[str, str]) -> RecordSchema | None:
        """Return the record schema that a job's `target` names, else the vendor's default, else None."""
        name = target.get("schema") or self.default_schema
        return self.schemas.get(name) if name else None

    def identity_fields(self, target: Mapping[str, str]) -> dict[str, str]:
        """Return the entries of a job's `target` that identify it."""
        return {name: value for name, value in target.items() if name not in self.non_identity_keys}
