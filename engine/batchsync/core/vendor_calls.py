"""HTTP calls of a vendor as frozen values: request templates, and the rules to read and classify responses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.batch import Verdict
    from batchsync.core.vendor_auth import Assertion, AuthKind, RequestSignature


#: `{idempotency_key}`, `{allocation.id}`, ...; a trailing `?` makes it optional (a JSON member is left out).
PLACEHOLDER = re.compile(r"\{([a-z_]+(?:\.[A-Za-z_][A-Za-z0-9_]*)?)(\?)?\}")


class CallName(StrEnum):
    """Calls about a batch, in the order in which a delivery makes them."""

    ALLOCATE = "allocate"
    FIND = "find"
    UPLOAD = "upload"
    COMMIT = "commit"
    POLL = "poll"
    CANCEL = "cancel"


class Endpoint(StrEnum):
    """Destination of a request."""

    #: the vendor's API, with authentication
    API = "api"
    #: storage at signed URLs, without authentication
    STORAGE = "storage"


class AnswerForm(StrEnum):
    """Form of the body of a successful response."""

    #: a JSON document
    JSON = "json"
    #: nothing, or a document in JSON or XML
    DOCUMENT = "document"
    #: anything but a page for people
    ANY = "any"


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
class ListItem:
    """The item of a list in a response that is about the batch: the only one whose value at a pointer is a given one.

    `items` is the JSON pointer to the list, `at` the pointer in an item, `equals` a template such as `{allocation.id}`.
    """

    items: str
    at: str
    equals: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a multipart/form-data body: a JSON document, a text, or the batch file if it has neither.

    `filename` and `type` are templates of its file name and content type; empty for none. With `fields` it stands for a
    part of text per field of the allocation.
    """

    name: str
    json: Mapping[str, object] | None = None
    text: str | None = None
    filename: str = ""
    type: str = ""
    fields: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Template of a request, and rules to read its response.

    `url` is a path on the API, or a placeholder for a URL, which may be relative to the API. `sends_file`: the batch
    file is the body. `intent`: journaled before the request is sent. `responses`, and the JSON pointers of `read`, are
    tried in order; a response that no rule matches is classified by its HTTP status. `item` selects the object that the
    pointers of `read` apply to, in a response about several batches. `parts` make the body multipart/form-data.
    `answer` is the form of a successful response; one of another form does not come from the vendor.
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
    item: ListItem | None = None
    parts: tuple[Part, ...] = ()
    answer: AnswerForm = AnswerForm.ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthRules:
    """Authentication of API requests.

    `headers` are templates over `{credentials.x}`, `{token}` and, with a `signature`, `{signature}` and what it may
    sign; `user` and `password` name credentials (basic). The token is requested with `token`, at `base_url` if it is
    not the API's, and renewed `renew_before` its expiry; `lifetime` applies if the response has none. The token call
    may send an `assertion`.
    """

    kind: AuthKind
    base_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    password: str = ""
    token: Call | None = None
    renew_before: timedelta = timedelta(seconds=60)
    lifetime: timedelta = timedelta(minutes=5)
    assertion: Assertion | None = None
    signature: RequestSignature | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Lookup of the id for a key of `target`, by id or by name in the list that `call` returns.

    `ids`, `names` and `descriptions` are JSON pointers into an item of the list.
    """

    call: Call
    target: str
    param: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    descriptions: tuple[str, ...] = ()


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
class Pages:
    """Further pages of a document. `next` is the JSON pointer to the URL of the next page, or to its cursor.

    A cursor is sent as the query parameter `param`. The last page has no such value. Without `next`, each request has
    the number of its first item as the parameter `offset`, or that of its page as `page`, both counted from `first`;
    and `size` items are asked for with the parameter `limit`, if there is one. `items` is the pointer to the list; the
    page after the last one is empty or does not exist, and needs no request if `total` leads to the number of items.
    """

    next: str = ""
    param: str = ""
    offset: str = ""
    page: str = ""
    limit: str = ""
    size: int = 0
    first: int = 0
    items: str = ""
    total: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Document that is downloaded with `call` and saved as `save_as`; with `pages`, one JSON document per line.

    The calls of `locate` precede it, each of which may use what those before it have read: `{found.NAME}`.
    """

    save_as: str
    call: Call
    locate: tuple[Call, ...] = ()
    pages: Pages | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsRules:
    """Downloads of rejected rows: `downloads` are tried in order until one is not refused.

    They are fetched after `verdicts`, unless all `counters` (JSON pointers into the response with the row counts) exist
    and are zero.
    """

    downloads: tuple[Download, ...]
    verdicts: frozenset[Verdict]
    counters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Timeouts, and maximum response sizes in bytes: `file_max` as received, `expanded_max` after gunzip.

    `connect` and `read` limit single operations of a socket; a whole call, from the connection to the last byte, takes
    at most `answer`, or `whole` if a file is sent or downloaded.
    """

    connect: timedelta = timedelta(seconds=10)
    read: timedelta = timedelta(seconds=60)
    answer: timedelta = timedelta(minutes=3)
    whole: timedelta = timedelta(minutes=30)
    answer_max: int = 4 * 2**20
    file_max: int = 2 * 2**30
    expanded_max: int = 8 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """HTTP calls of a vendor. `calls` has those about a batch that the vendor offers.

    Without an allocate call the upload is the only request of a delivery, and its response names the batch.
    `unprocessed` is a document that repeats the rows which the vendor did not process.

    `vendor_statuses` maps a vendor status in lower case to `running`, `empty` or a verdict; other statuses are running.
    `results_retry_after` is the wait for results that are not ready. `results_counter` is a JSON pointer, in the
    response of `counts`, to the number of rows with results: at zero, none are fetched. `counts` is the call whose
    response has the row counts; None: the poll.
    """

    auth: AuthRules
    describe: DescribeRules
    calls: Mapping[CallName, Call]
    vendor_statuses: Mapping[str, str]
    counts: Call | None = None
    results: Download | None = None
    errors: ErrorsRules | None = None
    unprocessed: Download | None = None
    results_retry_after: timedelta = timedelta(minutes=1)
    results_counter: str | None = None
    limits: Limits = field(default_factory=Limits)


def call_at(dialect: Dialect, path: str) -> Call | None:
    """Return the call at a path of `vendor.yaml`, or None if there is none.

    Args:
        dialect: The calls of the vendor.
        path: Name of a call about a batch, or a path such as `connection.auth.token` or `errors.downloads.0.call`.
    """
    if path in set(CallName):
        return dialect.calls.get(CallName(path))
    node: object = dialect
    for part in path.removeprefix("connection.").split("."):
        if isinstance(node, tuple):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = getattr(node, part, None)
    # A call that is the only one of its kind may be named without its number.
    if isinstance(node, tuple) and len(node) == 1:
        node = node[0]
    return node if isinstance(node, Call) else None
