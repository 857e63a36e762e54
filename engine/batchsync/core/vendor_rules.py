"""A vendor spec as the engine sees it: plain values, compiled from `vendor.yaml` by `spec.vendor_spec`.

It knows no vendor by name, and not how a request is sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
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
    errors; `retry_codes` are codes whose rows may be sent again unchanged; `gone_codes` say of a removal that there is
    nothing to remove, which is what was wanted.
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
    gone_codes: tuple[str, ...] = ()


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


#: `{ticket}`, `{slot.id}`, ...; a `?` behind the name: it may be absent (a JSON member is then left out).
PLACEHOLDER = re.compile(r"\{([a-z]+(?:\.[A-Za-z_][A-Za-z0-9_]*)?)(\?)?\}")


class Door(StrEnum):
    """Which of the two doors a request leaves by."""

    #: the vendor's API, with our authentication
    API = "api"
    #: the storage behind signed URLs, without it
    STORAGE = "storage"


class Means(StrEnum):
    """What an answer to one request says about that request."""

    #: done; the answer can be read
    OK = "ok"
    #: the vendor has no such thing, and says so as an answer
    ABSENT = "absent"
    #: the signed URL can no longer be used
    EXPIRED = "expired"
    #: surely not done; again later
    DID_NOT_HAPPEN = "did_not_happen"
    #: it may have been done
    UNCLEAR = "unclear"
    #: refused for good
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table by which an answer is judged: a status and, where given, a text that the body must hold."""

    status: int
    means: Means
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as a template, and how to read its answer.

    `url` is a path on the API or a placeholder that holds an absolute URL. `sends_file`: the sealed file is the body.
    `intent`: journaled before it is sent. `cases`, and the pointers of `read`, are tried in order; then HTTP's habits.
    """

    method: str
    url: str
    door: Door = Door.API
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    form: Mapping[str, str] | None = None
    sends_file: bool = False
    intent: bool = False
    cases: tuple[Case, ...] = ()
    read: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class AuthKind(StrEnum):
    """How a connection proves who it is."""

    BASIC = "basic"
    OAUTH2 = "oauth2_client_credentials"
    HEADER = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthRules:
    """`headers` are templates over `{credentials.x}` and `{token}`; `user` and `password` name credentials (basic).

    `token` is asked once and kept until `renew_before` its end; `lifetime` is taken when the answer names none.
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
    """How a word in `target` becomes an id: looked up in the list that `call` brings, by id or by name."""

    call: Call
    target: str
    param: str
    ids: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRules:
    """What to ask before anything is prepared: `check` proves the credentials, `template` may bring the input columns.

    `params` are templates over `{target.x}` for what allocation needs later.
    """

    check: Call | None = None
    choice: Choice | None = None
    template: Call | None = None
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A document that is kept on our disk as `save_as`: brought by `call`, after `locate` said where it is now."""

    save_as: str
    call: Call
    locate: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsRules:
    """When to ask for refused rows, and by which ways, tried in order while one is refused.

    `verdicts` name the verdicts after which rows may have been refused. `counters` are pointers into the answer of the
    poll: when every one of them is there and zero, there is nothing to ask for.
    """

    ways: tuple[Download, ...]
    verdicts: frozenset[Verdict]
    counters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long we wait and how much we take. Sizes in bytes; `file_max` as it comes, `expanded_max` after gunzip."""

    connect: timedelta = timedelta(seconds=10)
    read: timedelta = timedelta(seconds=60)
    whole: timedelta = timedelta(minutes=30)
    answer_max: int = 4 * 2**20
    file_max: int = 2 * 2**30
    expanded_max: int = 8 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a vendor speaks HTTP, verb by verb. A verb that the vendor does not offer is None.

    `words` maps a status word in lower case to `running`, `empty` or a verdict; any other word is running.
    `lost_after` counts answers "no such batch" in a row that a poll tolerates before the batch is lost.
    `results_again` is when to ask again for results that are not ready; `results_counter` points, in the answer of the
    poll, to how many rows have results: when that is zero, there are none to wait for.
    """

    auth: AuthRules
    describe: DescribeRules
    allocate: Call
    upload: Call
    poll: Call
    words: Mapping[str, str]
    find: Call | None = None
    cancel: Call | None = None
    results: Download | None = None
    errors: ErrorsRules | None = None
    lost_after: int = 2
    results_again: timedelta = timedelta(minutes=1)
    results_counter: str | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorRules:
    """Everything about a vendor that is data. `modes` maps each mode of jobs.yaml to the vendor's mode word.

    `target_keys` are the members that `target:` of a job must or may have beside `connection`: name -> required; those
    of `target_beside` do not tell targets apart. `credentials` are what a connection must give, `dialect` how to ask.
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
    dialect: Dialect | None = field(repr=False, default=None)
    default_schema: str | None = None
    target_beside: tuple[str, ...] = ()

    def schema_for(self, target: Mapping[str, str]) -> RecordSchema | None:
        """Return the record schema that a job's `target` names, else the vendor's default. None if there is none."""
        name = target.get("schema") or self.default_schema
        return self.schemas.get(name) if name else None

    def told_apart_by(self, target: Mapping[str, str]) -> dict[str, str]:
        """Return what of a job's `target` makes it that target."""
        return {name: text for name, text in target.items() if name not in self.target_beside}
