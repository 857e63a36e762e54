"""Vendor specs as frozen values, compiled from `vendor.yaml` by `spec.vendor_spec`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.batch import Verdict
    from batchsync.core.policy import Policy
    from batchsync.core.record_schema import RecordSchema


class FileFormat(StrEnum):
    """Format of a batch file."""

    JSONL = "jsonl"
    CSV = "csv"


class DefaultOutcome(StrEnum):
    """Outcome of a sent row that the row log does not list."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules:
    """Requirements for batch files. `bytes_max` limits the bytes on disk (compressed, if `gzip`); None: no limit.

    `envelope`: each JSON record is wrapped in an object with members `ref`, `schema`, `mode`, `value`, in this order.
    """

    format: FileFormat
    gzip: bool
    suffix: str
    bytes_max: int | None = None
    rows_max: int | None = None
    envelope: bool = False


class LogFormat(StrEnum):
    """Format of a row log."""

    #: one JSON object per line, gzip or plain (detected by the first two bytes)
    JSONL = "jsonl"
    #: a JSON document that contains a list
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLayout:
    """Layout of the vendor's error file.

    JSONL: `ref`, `code`, `message` are member names. JSON: `items` is the member that contains the list; each item has
    `inputs` (an object: input column -> text) and `errors`, a list of objects with members `code` and `message`.
    CSV: the input columns, then columns `code` and `message`.

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
    ignored_codes: tuple[str, ...] = ()
    retry_codes: tuple[str, ...] = ()
    already_absent_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLogRules:
    """Reporting of row outcomes by the vendor.

    `joined_by` is "ref" (our reference in each record) or "inputs" (the input columns are returned). `results`:
    accepted rows are returned in a CSV file.
    """

    joined_by: str
    default_outcome: DefaultOutcome
    errors: ErrorLayout
    results: bool = False


#: `{idempotency_key}`, `{allocation.id}`, ...; a trailing `?` makes it optional (a JSON member is left out).
PLACEHOLDER = re.compile(r"\{([a-z_]+(?:\.[A-Za-z_][A-Za-z0-9_]*)?)(\?)?\}")


class Endpoint(StrEnum):
    """Destination of a request."""

    #: the vendor's API, with authentication
    API = "api"
    #: storage at signed URLs, without authentication
    STORAGE = "storage"


class ResponseClass(StrEnum):
    """Classification of a response: what it proves about its request."""

    #: applied; the response can be parsed
    OK = "ok"
    #: the vendor states that the object does not exist
    ABSENT = "absent"
    #: the signed URL has expired
    EXPIRED = "expired"
    #: surely not applied; retry later
    NOT_APPLIED = "not_applied"
    #: it may have been applied
    OUTCOME_UNKNOWN = "outcome_unknown"
    #: refused for good
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRule:
    """Rule that classifies a response by its status and, if given, a text that the body contains."""

    status: int
    means: ResponseClass
    body_contains: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Template of a request, and rules to read its response.

    `url` is a path on the API, or a placeholder for an absolute URL. `sends_file`: the batch file is the body.
    `intent`: journaled before the request is sent. `responses`, and the JSON pointers of `read`, are tried in order; a
    response that no rule matches is classified by its HTTP status.
    """

    method: str
    url: str
    endpoint: Endpoint = Endpoint.API
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    form: Mapping[str, str] | None = None
    sends_file: bool = False
    intent: bool = False
    responses: tuple[ResponseRule, ...] = ()
    read: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class AuthKind(StrEnum):
    """Kind of authentication."""

    BASIC = "basic"
    OAUTH2 = "oauth2_client_credentials"
    HEADER = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthRules:
    """Authentication of API requests.

    `headers` are templates over `{credentials.x}` and `{token}`; `user` and `password` name credentials (basic). The
    token is requested with `token` and renewed `renew_before` its expiry; `lifetime` applies if the response has none.
    """

    kind: AuthKind
    headers: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    password: str = ""
    token: Call | None = None
    renew_before: timedelta = timedelta(seconds=60)
    lifetime: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Lookup of the id for a key of `target`, by id or by name in the list that `call` returns."""

    call: Call
    target: str
    param: str
    ids: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRules:
    """Calls before preparation: `check` verifies the credentials, `template` may return the input columns.

    `params` are templates over `{target.x}` for the parameters of the allocation.
    """

    check: Call | None = None
    choice: Choice | None = None
    template: Call | None = None
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Document that is downloaded with `call` (at the URL that `locate` returns, if given) and saved as `save_as`."""

    save_as: str
    call: Call
    locate: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsRules:
    """Downloads of rejected rows: `downloads` are tried in order until one is not refused.

    They are fetched after `verdicts`, unless all `counters` (JSON pointers into the response of the poll) exist and are
    zero.
    """

    downloads: tuple[Download, ...]
    verdicts: frozenset[Verdict]
    counters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Timeouts, and maximum response sizes in bytes: `file_max` as received, `expanded_max` after gunzip."""

    connect: timedelta = timedelta(seconds=10)
    read: timedelta = timedelta(seconds=60)
    whole: timedelta = timedelta(minutes=30)
    answer_max: int = 4 * 2**20
    file_max: int = 2 * 2**30
    expanded_max: int = 8 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """HTTP calls of a vendor. A call that the vendor does not offer is None.

    `vendor_statuses` maps a vendor status in lower case to `running`, `empty` or a verdict; other statuses are running.
    A batch is lost after `lost_after` polls in a row with the response "no such batch". `results_retry_after` is the
    wait for results that are not ready. `results_counter` is a JSON pointer, in the response of the poll, to the number
    of rows with results: at zero, none are fetched.
    """

    auth: AuthRules
    describe: DescribeRules
    allocate: Call
    upload: Call
    poll: Call
    vendor_statuses: Mapping[str, str]
    find: Call | None = None
    cancel: Call | None = None
    results: Download | None = None
    errors: ErrorsRules | None = None
    lost_after: int = 2
    results_retry_after: timedelta = timedelta(minutes=1)
    results_counter: str | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorRules:
    """A compiled vendor spec.

    `api_hosts` and `storage_hosts` (of signed URLs) are the allowed hosts. A connection must set `credentials`, of
    which `account_credential` identifies the account. `target_keys` maps the keys of `target:` beside `connection` to
    whether they are required; `non_identity_keys` do not distinguish targets. `schemas` are the record schemas by name.
    `dialect` is None for vendors in Python packages.
    """

    name: str
    title: str
    default_base_url: str | None
    api_hosts: tuple[str, ...]
    storage_hosts: tuple[str, ...]
    credentials: tuple[str, ...]
    account_credential: str
    target_keys: Mapping[str, bool]
    modes: tuple[str, ...]
    removal_modes: tuple[str, ...]
    file: FileRules
    policy: Policy
    row_log: RowLogRules
    schemas: Mapping[str, RecordSchema]
    dialect: Dialect | None = field(repr=False, default=None)
    default_schema: str | None = None
    non_identity_keys: tuple[str, ...] = ()

    def schema_for(self, target: Mapping[str, str]) -> RecordSchema | None:
        """Return the record schema that a job's `target` names, else the vendor's default, else None."""
        name = target.get("schema") or self.default_schema
        return self.schemas.get(name) if name else None

    def identity_fields(self, target: Mapping[str, str]) -> dict[str, str]:
        """Return the entries of a job's `target` that identify it."""
        return {name: value for name, value in target.items() if name not in self.non_identity_keys}
