"""Pydantic models of `vendor.yaml`, one per block. Each block names the source of its facts."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from batchsync.core.batch import Verdict
from batchsync.core.policy import OnUnknownOutcome
from batchsync.core.storage_location import is_host_pattern, is_storage_pattern
from batchsync.core.vendor_rules import (
    ENVELOPE_PLACEHOLDERS,
    SPLICE,
    DefaultOutcome,
    FileFormat,
    JoinedBy,
    LogFormat,
    Reference,
    Sends,
)
from batchsync.core.vendor_settings import Takes
from batchsync.spec.record_spec import Model, Text
from batchsync.spec.vendor_auth_models import AuthModel
from batchsync.spec.vendor_call_models import (
    BatchCallModel,
    CallModel,
    Count,
    Documented,
    DownloadModel,
    Duration,
    Pointer,
    Pointers,
)
from batchsync.spec.vendor_problems import BASE_URL, NAME, SETTING


def _check_host(pattern: str) -> str:
    """Validate a host pattern: a lower-case host name in which `*` is a part of one label, but not of the last two."""
    if not is_host_pattern(pattern):
        raise ValueError("a lower-case host name, in which * is (a part of) one label, but not of the last two")
    return pattern


def _check_storage(pattern: str) -> str:
    """Validate a host pattern, optionally with the pattern of a bucket."""
    if not is_storage_pattern(pattern):
        raise ValueError("a host as in api_hosts, or host/bucket, in which * is a part of the bucket")
    return pattern


def _check_envelope(template: dict[str, Any] | None) -> dict[str, Any] | None:
    """Validate the template of a JSON line: `"{record}"` once, as a whole value, and no unknown placeholder."""
    names = re.findall(r"\{(\w*)\}", json.dumps(template)) if template is not None else ["record"]
    if names.count("record") != 1 or '"{record}"' not in json.dumps(template or {"": "{record}"}):
        raise ValueError('an object with "{record}" once, as a whole value')
    if unknown := sorted(set(names) - ENVELOPE_PLACEHOLDERS):
        raise ValueError(f"placeholders {', '.join(sorted(ENVELOPE_PLACEHOLDERS))}, not {', '.join(unknown)}")
    if SPLICE in (template or {}) and (
        len(template or {}) == 1 or list((template or {}).items())[-1] != (SPLICE, "{record}")
    ):
        raise ValueError(f'{SPLICE}: "{{record}}" as the last of several members')
    return template


def _check_pattern(pattern: str) -> str:
    """Validate a regular expression with one group."""
    try:
        groups = re.compile(pattern).groups
    except re.error:
        groups = -1
    if pattern and groups != 1:
        raise ValueError("a regular expression with one group")
    return pattern


Host = Annotated[str, AfterValidator(_check_host)]
StorageHost = Annotated[str, AfterValidator(_check_storage)]


class LimitsModel(Documented):
    """Timeouts, and maximum sizes of responses in bytes. A call takes at most `answer`, with a file at most `whole`.

    The others limit what an account may use: calls of the API, and rows and bytes of batch files. A day is any 24 h.
    """

    connect: Duration = "10s"
    read: Duration = "60s"
    answer: Duration = "3m"
    whole: Duration = "30m"
    answer_max: Count = 4 * 2**20
    file_max: Count = 2 * 2**30
    expanded_max: Count = 8 * 2**30
    calls_per_minute: Count | None = None
    calls_per_day: Count | None = None
    rows_per_day: Count | None = None
    bytes_per_day: Count | None = None


class ConnectionModel(Documented):
    """Hosts and credentials of the vendor. `account` names the credential that identifies an account."""

    base_url: Annotated[str, Field(pattern=BASE_URL)] | None = None
    api_hosts: Annotated[list[Host], Field(min_length=1)]
    storage_hosts: list[StorageHost]
    credentials: Annotated[list[Text], Field(min_length=1)]
    account: Text
    auth: AuthModel | None = None
    limits: LimitsModel | None = None


class TargetModel(Documented):
    """Keys of a job's `target` besides `connection`; `non_identity_keys` are not part of the target's identity."""

    keys: dict[Text, Literal["required", "optional"]]
    non_identity_keys: list[Text] = Field(default_factory=list)
    default_schema: str | None = None


class ModesModel(Documented):
    """Modes of a job, and what each sends: records, removals, or lookups, to which the vendor returns results.

    In the modes of `keeps_absent` the target keeps the values of members that a record leaves out. The modes of
    `erases` erase a person for good; keys that were erased so are forgotten here, too. With `one_per_batch`, removals
    are in batch files of their own, for which `{mode}` of `describe.params` is the mode of the removals.
    """

    sends: Annotated[dict[Text, Sends], Field(min_length=1)]
    keeps_absent: list[Text] = Field(default_factory=list)
    erases: list[Text] = Field(default_factory=list)
    one_per_batch: bool = False


class FileModel(Documented):
    """Format and limits of a batch file.

    `envelope` is the template of a JSON line, with the placeholders `{record}`, `{ref}`, `{schema}` and `{mode}`.
    With `...: "{record}"` as its last member, the members of the record follow the others.
    `document` is that of a JSON document, with `"{records}"` once in place of a list, and placeholders `{target.NAME}`.
    `reference: number` makes `{ref}` the number of the record within its run.
    """

    format: FileFormat
    gzip: bool
    suffix: Text
    bytes_max: Count | None = None
    rows_max: Count | None = None
    envelope: Annotated[dict[Text, Any] | None, AfterValidator(_check_envelope)] = None
    document: dict[Text, Any] | None = None
    reference: Reference = Reference.UUID


class PolicyModel(Documented):
    """Timing of polls, and recovery from failures and unknown outcomes.

    `grace_polls`: number of intervals `poll_max` during which a batch that the vendor does not find, or a row log that
    is missing or incomplete, is asked for again.
    `retry_for` is how long transient failures in a row are retried, at most every `backoff_max`; default: `deadline`.
    An allocation that is reported as empty `empty_max` after its upload is asked about and may be filled again.
    `foreign_answers_max` is the number of answers of a proxy in a row after which a batch needs attention.
    `on_unknown_upload` and `on_unknown_commit`: whether the status of a batch shows if the request arrived (ask), a
    person decides (stop), or the upload is made again to another allocation, as nothing is processed before the commit.
    """

    on_unknown_allocation: OnUnknownOutcome = OnUnknownOutcome.STOP
    on_unknown_upload: OnUnknownOutcome = OnUnknownOutcome.ASK
    on_unknown_commit: Literal[OnUnknownOutcome.ASK, OnUnknownOutcome.STOP] = OnUnknownOutcome.ASK
    allocate_repeatable: bool = False
    commit_repeatable: bool = False
    ask_after: Duration
    empty_max: Duration = "6h"
    poll_first: Duration
    poll_max: Duration
    poll_growth: Annotated[float, Field(ge=1, le=10)]
    deadline: Duration
    grace_polls: Annotated[int, Field(ge=0, le=1000)] = 5
    retry_for: Duration | None = None
    backoff_max: Duration = "5m"
    foreign_answers_max: Count = 24
    processing_time: Duration | None = None
    in_flight_max: Count


class ErrorLayoutModel(Model):
    """Layout of the vendor's error file.

    Of CSV whose columns are not documented, `code` is empty and `message` is `*`: all columns besides those sent.
    """

    format: LogFormat
    code: str
    message: Text
    ref: str = ""
    items: str = ""
    inputs: str = ""
    errors: str = ""
    ref_pattern: Annotated[str, AfterValidator(_check_pattern)] = ""
    only: dict[Text, list[Text]] = Field(default_factory=dict)
    code_until: str = ""
    ignored_codes: list[Text] = Field(default_factory=list)
    retry_codes: list[Text] = Field(default_factory=list)
    already_absent_codes: list[Text] = Field(default_factory=list)


class TableFormModel(Model):
    """Form of the vendor's CSV files: results, and row logs in CSV."""

    encoding: Literal["utf-8", "utf-16", "latin-1"] = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    zip: bool = False


class RowLogModel(Documented):
    """How the vendor reports the outcome of each row."""

    joined_by: JoinedBy
    first_row: Literal[0, 1] = 1
    default_outcome: DefaultOutcome
    results: bool
    errors: ErrorLayoutModel
    tables: TableFormModel = Field(default_factory=TableFormModel)


class ChoiceModel(Documented):
    """Lookup of an id by the name that a target key holds; `descriptions` are shown to people."""

    call: CallModel
    target: Text
    param: Text
    ids: Pointers
    names: Pointers
    descriptions: list[Pointer] = Field(default_factory=list)


class DescribeModel(Documented):
    """Requests before a run is prepared."""

    check: CallModel | None = None
    choice: ChoiceModel | None = None
    template: CallModel | None = None
    params: dict[Text, Text] = Field(default_factory=dict)


class ResultsModel(DownloadModel, Documented):
    """The results. `again` is the interval of requests until they are ready; `counter` is where they are counted."""

    again: Duration = "60s"
    counter: Pointer | None = None


class ErrorsModel(Documented):
    """The rejected rows: the verdicts after which they are downloaded, and the alternative downloads."""

    verdicts: Annotated[list[Verdict], Field(min_length=1)]
    counters: list[Pointer] = Field(default_factory=list)
    downloads: Annotated[list[DownloadModel], Field(min_length=1)]


class UnprocessedModel(DownloadModel, Documented):
    """A CSV file that repeats the rows which the vendor did not process."""


class SettingValueModel(Model):
    """A value of a setting. `changes` has the form of `vendor.yaml`, and `records` with changes of record schemas.

    Mappings are merged key by key, and `calls` call by call; null removes a key. Other values are replaced.
    """

    means: Text
    changes: dict[Text, Any] = Field(default_factory=dict)


class SettingModel(Documented):
    """A key of connections by which accounts of the vendor differ. Without a default, it may be left open.

    `takes: value` lists `values`. `takes: member_sets` is a list of lists of members of the record schema `record`, of
    which one must be complete. `takes: attributes` is a file with the attributes of the tenant. `means` describes the
    last two. `needs` are values that other settings must have.
    """

    title: Text
    takes: Takes = Takes.VALUE
    default: str = ""
    values: dict[Text, SettingValueModel] = Field(default_factory=dict)
    record: str = ""
    needs: dict[Text, Text] = Field(default_factory=dict)
    means: str = ""


class VendorModel(Documented):
    """A complete `vendor.yaml`. The blocks of the HTTP dialect are either all present or all absent.

    `counts` is the call whose answer has the row counts that `results` and `errors` name; by default that of the poll.
    `in_init`: `batchsync init` without a vendor writes the starter of this one.
    """

    version: Literal[1]
    name: Annotated[str, Field(pattern=NAME)]
    title: Text
    in_init: bool = False
    connection: ConnectionModel
    settings: dict[Annotated[str, Field(pattern=SETTING)], SettingModel] = Field(default_factory=dict)
    target: TargetModel
    modes: ModesModel
    file: FileModel
    policy: PolicyModel
    row_log: RowLogModel
    statuses: dict[Text, Text]
    describe: DescribeModel | None = None
    calls: list[BatchCallModel] = Field(default_factory=list)
    counts: CallModel | None = None
    results: ResultsModel | None = None
    errors: ErrorsModel | None = None
    unprocessed: UnprocessedModel | None = None
