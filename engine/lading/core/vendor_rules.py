"""A vendor spec as the engine sees it: plain values, compiled from `vendor.yaml` by `spec.vendor_spec`.

It knows no vendor by name, and not how a request is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.core.batch import Verdict
    from lading.core.policy import Policy
    from lading.core.record_schema import RecordSchema


class FileFormat(StrEnum):
    """How records stand in a batch file."""

    JSONL = "jsonl"
    CSV = "csv"


class Silence(StrEnum):
    """What it means when the row log does not speak of a row that was sent."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules:
    """How a batch file must look. `bytes_max` counts bytes on disk (compressed, if `gzip`); None is no limit.

    `envelope` wraps each JSON record: members `ref`, `schema`, `mode`, `value` in this order, where the vendor has it.
    """

    format: FileFormat
    gzip: bool
    suffix: str
    bytes_max: int | None = None
    rows_max: int | None = None
    envelope: bool = False


class LogFormat(StrEnum):
    """How a row log is written."""

    #: one JSON object a line, gzip or plain (sniffed by its first two bytes)
    JSONL = "jsonl"
    #: one JSON document with a list in it
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLayout:
    """Where the failed rows stand in the vendor's error file.

    JSONL: `ref`, `code`, `message` are member names. JSON: `items` is the member holding the list; each item has
    `inputs` (an object: input column -> text) and `errors`, a list of objects with members `code` and `message`.
    CSV: the input columns, then columns `code` and `message`. `ignored_codes` are prefixes of codes that are no
    errors; `retry_codes` are codes whose rows may be sent again unchanged.
    """

    format: LogFormat
    code: str
    message: str
    ref: str = ""
    items: str = ""
    inputs: str = ""
    errors: str = ""
    ignored_codes: tuple[str, ...] = ()
    retry_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLogRules:
    """How the vendor says what became of each row.

    `joined_by` is "ref" (our reference in each record) or "inputs" (the input columns come back).
    `results` says that accepted rows come back in a CSV file of answers.
    """

    joined_by: str
    silence: Silence
    errors: ErrorLayout
    results: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorRules:
    """Everything about a vendor that is data. `modes` maps each mode of jobs.yaml to the vendor's mode word.

    `target_keys` are the members that `target:` of a job must or may have beside `connection`:
    name -> required. `credentials` are the names a connection must give. `dialect` is the request part, which only
    `vendors.dialect` reads.
    """

    name: str
    title: str
    default_base_url: str | None
    api_hosts: tuple[str, ...]
    storage_hosts: tuple[str, ...]
    credentials: tuple[str, ...]
    account_credential: str
    target_keys: Mapping[str, bool]
    lookup: bool
    modes: tuple[str, ...]
    removal_modes: tuple[str, ...]
    file: FileRules
    policy: Policy
    row_log: RowLogRules
    words: Mapping[str, Verdict]
    schemas: Mapping[str, RecordSchema]
    dialect: object = field(repr=False, default=None)
