"""What people look at before something is sent: keys and records of a plan, and records of single rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.keep import Keep

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRef:
    """A key and its row of the source, from 1 (0 for a removal, which is in no source). A row may have no key.

    `hidden`: the key was left out, because rows of this source are not shown.
    """

    key: str
    row: int
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidGroup:
    """Number of rows that are invalid because of the same field and rule, and the first of them."""

    field: str
    code: str
    count: int
    first: tuple[KeyRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPreview:
    """The first changes of a comparison by kind: lowest source rows first, removals by key.

    `invalid` has a group for each reason, largest first.
    """

    added: tuple[KeyRef, ...] = ()
    changed: tuple[KeyRef, ...] = ()
    removed: tuple[KeyRef, ...] = ()
    invalid: tuple[InvalidGroup, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRecord:
    """A record that a plan would send.

    Attributes:
        key: Its key.
        row: Its row of the source, from 1; 0 for a removal.
        record: The record as JSON, as it would be sent. Contains values of rows.
        before: The record that the target holds, as JSON; None if the baseline does not keep it.
        members: Paths of the members that differ from what the target holds; None if they are not known.
    """

    key: str
    row: int
    record: str = field(repr=False)
    before: str | None = field(default=None, repr=False)
    members: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecords:
    """The first records of each kind of change, and the members that differ.

    Attributes:
        added: First records to add, lowest source rows first.
        changed: First records to change, in the same order.
        removed: First removal records, by key.
        keep: What the job keeps of the records in its baseline.
        members: Number of changed records by path of a member that differs, greatest number first.
        without_content: Number of changed records whose members are not known, because the baseline does not have them.
        constants: Paths of members with the same value in each record, which is no value of a row.
        bytes_per_record: Mean size of the shown records as JSON; None if none is shown.
    """

    added: tuple[ShownRecord, ...] = ()
    changed: tuple[ShownRecord, ...] = ()
    removed: tuple[ShownRecord, ...] = ()
    keep: Keep = Keep.FINGERPRINTS
    members: Mapping[str, int] = field(default_factory=dict)
    without_content: int = 0
    constants: frozenset[str] = frozenset()
    bytes_per_record: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that a row violates: the member or column, the code of the rule, and the reason without plain values."""

    field: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledRecord:
    """A record of the source, whether it would be sent or not.

    Attributes:
        key: Its key; empty if the row has none.
        rows: Its rows of the source, from 1; several where the rows of a key make one record.
        columns: The first of these rows, as text by column; None for a null.
        unused: Columns that the job does not use.
        record: The record as JSON; None if the row has no key, so that it is not mapped.
        violations: Why the record is invalid; empty if it is valid.
        version: Fingerprint of the record, hexadecimal.
    """

    key: str
    rows: tuple[int, ...]
    columns: Mapping[str, str | None] = field(repr=False)
    unused: frozenset[str] = frozenset()
    record: str | None = field(default=None, repr=False)
    violations: tuple[Violation, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some records of a source, and the paths of the members that are constants."""

    records: tuple[SampledRecord, ...] = ()
    constants: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """Row of a key in the row manifest of a batch.

    Attributes:
        line: Record of the batch file, from 1.
        row: Row of the source at that time, from 1; 0 for a removal.
        op: add, change or remove.
        version: Fingerprint of the record, hexadecimal.
    """

    line: int
    row: int
    op: str
    version: str
