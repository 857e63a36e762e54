"""What the mock knows of a vendor: `vendor.yaml`, the record schemas and the exchanges of a folder.

The reader is lenient: it takes what it needs, because `batchsync validate` reports what is wrong with a folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ruamel.yaml

from batchsync_mocks.generic import settings
from batchsync_mocks.generic.templates import compiled

if TYPE_CHECKING:
    from pathlib import Path

_FILE_MAX = 1_000_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRule:
    """What a status means, if the body contains a text."""

    status: int
    means: str
    body_contains: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListItem:
    """The item of a list that is about a batch: pointers to the list and into an item, and the template to compare."""

    items: str
    at: str
    equals: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that a client may send. `name` is its path in `vendor.yaml`, or the name of a call about a batch."""

    name: str
    method: str
    url: str
    storage: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Any = None
    sends_file: bool = False
    responses: tuple[ResponseRule, ...] = ()
    read: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    item: ListItem | None = None
    parts: Sequence[Mapping[str, Any]] = ()

    def rule(self, *meanings: str) -> ResponseRule | None:
        """Return the first rule with one of the meanings, or None."""
        return next((rule for rule in self.responses if rule.means in meanings), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """How a client authenticates: `basic`, `header`, `oauth2_client_credentials` or `hmac`.

    `assertion` and `signature` are these blocks of the vendor spec; None without them.
    """

    kind: str
    headers: Mapping[str, str]
    user: str = ""
    password: str = ""
    token: Call | None = None
    assertion: Mapping[str, Any] | None = None
    signature: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A document about the rows of a batch: `kind` is errors, results or unprocessed.

    `pages` says how further pages are asked for; empty without pages.
    """

    kind: str
    save_as: str
    call: Call
    locate: tuple[Call, ...] = ()
    pages: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules:
    """Form of a batch file."""

    format: str
    gzip: bool
    envelope: Any
    document: Any
    numbered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLog:
    """Form of row logs. `errors` has the names of members, as `vendor.yaml` states them."""

    joined_by: str
    first_row: int
    lists_accepted: bool
    errors: Mapping[str, Any]
    tables: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Members of the list that a target selects from."""

    call: Call
    param: str
    ids: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A vendor.

    Attributes:
        name: Its name.
        credentials: Names of its credentials.
        auth: How clients authenticate; None if they do not.
        calls: Calls about a batch, by name.
        other_calls: Calls about a batch that accounts with other settings have instead.
        check: A call that verifies the credentials, or None.
        template: The call for the input template, or None.
        choice: The list that a target selects from, or None.
        downloads: Documents about the rows.
        counts: The call whose response has the row counts; None: the poll.
        counters: Pointers to the numbers of rejected rows in that response.
        results_counter: Pointer to the number of rows with results, or empty.
        file: Form of batch files.
        row_log: Form of row logs.
        statuses: Vendor statuses by meaning, in the order of the spec.
        modes: What each mode sends.
        params: Templates of the parameters of a target.
        schemas: Record schemas by name, as their files state them: without settings, and with each value of one.
        default_schema: Name of the schema of targets that name none, or empty.
        repeatable: Names of the calls that may be repeated.
        exchanges: Exchanges by the call that they are about, by file name.
    """

    name: str
    credentials: tuple[str, ...]
    auth: Auth | None
    calls: Mapping[str, Call]
    other_calls: tuple[Call, ...]
    check: Call | None
    template: Call | None
    choice: Choice | None
    downloads: tuple[Download, ...]
    counts: Call | None
    counters: tuple[str, ...]
    results_counter: str
    file: FileRules
    row_log: RowLog
    statuses: Mapping[str, Sequence[str]]
    modes: Mapping[str, str]
    params: Mapping[str, str]
    schemas: Mapping[str, Sequence[Mapping[str, Any]]]
    default_schema: str
    repeatable: frozenset[str]
    exchanges: Mapping[str, tuple[Mapping[str, Any], ...]]

    def exchanges_of(self, call: Call) -> list[Mapping[str, Any]]:
        """Return the exchanges of a call. Accounts with other settings may have another request for it."""
        return [item for item in self.exchanges.get(call.name, ()) if _is_of(item, call)]

    def every_call(self) -> list[Call]:
        """Return all calls with authentication, and those of the storage."""
        found = [call for call in (self.check, self.template, self.choice and self.choice.call, self.counts) if call]
        found += [*self.calls.values(), *(call for call in self.other_calls if call not in self.calls.values())]
        found += [call for download in self.downloads for call in (*download.locate, download.call)]
        return found


def read_spec(folder: Path, chosen: Mapping[str, str] | None = None) -> Spec:
    """Return the vendor of a folder.

    Args:
        folder: The folder.
        chosen: Values of settings of the account; the others are open.

    Raises:
        ValueError: If it contains no `vendor.yaml`, or one that is incomplete.
    """
    document = _mapping(_yaml(folder / "vendor.yaml"), folder)
    try:
        document, records = settings.with_chosen(document, chosen or {})
        others = [_call(item["call"], item) for item in settings.all_calls(document)]
        return _spec(settings.with_defaults(document), folder, others, records)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else "is incomplete"
        msg = f"{folder / 'vendor.yaml'} {reason}; check it with `batchsync vendors {folder}`."
        raise ValueError(msg) from None


def _spec(document: Mapping[str, Any], folder: Path, other_calls: Sequence[Call], records: Mapping[str, Any]) -> Spec:
    """Return the vendor that a `vendor.yaml` with the default values of its open settings describes."""
    connection, log, file, policy = (document[name] for name in ("connection", "row_log", "file", "policy"))
    describe, errors, results = (document.get(name) or {} for name in ("describe", "errors", "results"))
    choice = describe.get("choice")
    statuses: dict[str, list[str]] = {}
    for status, meaning in document["statuses"].items():
        if status != "source":
            statuses.setdefault(meaning, []).append(status)
    name = str(document["name"])
    if not _NAME.fullmatch(name):
        msg = f"{folder / 'vendor.yaml'}: the name {name[:60]!r} has other characters than a-z, 0-9, - and _."
        raise ValueError(msg)
    return Spec(
        name=name,
        credentials=tuple(connection["credentials"]),
        auth=_auth(connection["auth"]) if connection.get("auth") else None,
        calls={item["call"]: _call(item["call"], item) for item in document["calls"]},
        other_calls=tuple(call for call in other_calls if call.url.startswith("/")),
        check=_call("describe.check", describe["check"]) if describe.get("check") else None,
        template=_call("describe.template", describe["template"]) if describe.get("template") else None,
        choice=_choice(choice) if choice else None,
        downloads=_downloads(document),
        counts=_call("counts", document["counts"]) if document.get("counts") else None,
        counters=tuple(errors.get("counters", ())),
        results_counter=results.get("counter") or "",
        file=FileRules(
            format=file["format"],
            gzip=file["gzip"],
            envelope=file.get("envelope"),
            document=file.get("document"),
            numbered=file.get("reference") == "number",
        ),
        row_log=RowLog(
            joined_by=log["joined_by"],
            first_row=log.get("first_row", 1),
            lists_accepted=log["default_outcome"] == "unknown" and not log.get("results"),
            errors=log["errors"],
            tables=log.get("tables") or {},
        ),
        statuses=statuses,
        modes=document["modes"]["sends"],
        params=describe.get("params") or {},
        schemas=_schemas(folder / "records", document.get("settings") or {}, records),
        default_schema=document["target"].get("default_schema") or "",
        repeatable=frozenset(call for call in ("allocate", "commit") if policy.get(f"{call}_repeatable")),
        exchanges=_exchanges(folder / "exchanges"),
    )


def _auth(auth: Mapping[str, Any]) -> Auth:
    """Return how clients authenticate."""
    return Auth(
        kind=auth["kind"],
        headers=auth.get("headers") or {},
        user=auth.get("user", ""),
        password=auth.get("password", ""),
        token=_call("connection.auth.token", auth["token"]) if auth.get("token") else None,
        assertion=auth.get("assertion"),
        signature=auth.get("signature"),
    )


def _choice(choice: Mapping[str, Any]) -> Choice:
    """Return the list that a target selects from."""
    return Choice(
        call=_call("describe.choice.call", choice["call"]),
        param=choice["param"],
        ids=tuple(choice["ids"]),
        names=tuple(choice["names"]),
    )


def _downloads(document: Mapping[str, Any]) -> tuple[Download, ...]:
    """Return the documents about rows."""
    blocks = [
        (f"errors.downloads.{number}", "errors", item)
        for number, item in enumerate((document.get("errors") or {}).get("downloads", ()))
    ]
    blocks += [(name, name, document[name]) for name in ("results", "unprocessed") if document.get(name)]
    return tuple(_download(at, kind, item) for at, kind, item in blocks)


def _download(at: str, kind: str, item: Mapping[str, Any]) -> Download:
    """Return a document about rows; `at` is its path in `vendor.yaml`."""
    locate = item.get("locate") or []
    located = [
        _call(f"{at}.locate.{n}", call) for n, call in enumerate(locate if isinstance(locate, list) else [locate])
    ]
    return Download(
        kind=kind,
        save_as=item["save_as"],
        call=_call(f"{at}.call", item["call"]),
        locate=tuple(located),
        pages=item.get("pages") or {},
    )


def _call(name: str, call: Mapping[str, Any]) -> Call:
    """Return a call."""
    item = call.get("item")
    return Call(
        name=name,
        method=call["method"],
        url=call["url"],
        storage=call.get("endpoint") == "storage",
        headers=call.get("headers") or {},
        json=call.get("json"),
        form=call.get("form"),
        sends_file=bool(call.get("sends_file")),
        responses=tuple(
            ResponseRule(status=rule["status"], means=rule["means"], body_contains=rule.get("body_contains", ""))
            for rule in call.get("responses") or ()
        ),
        read={name: tuple(pointers) for name, pointers in (call.get("read") or {}).items()},
        item=ListItem(items=item["items"], at=item["at"], equals=item["equals"]) if item else None,
        parts=call.get("parts") or (),
    )


def _schemas(
    folder: Path, declared: Mapping[str, Any], records: Mapping[str, Any]
) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Return the record schemas of a folder by name, each in all forms that accounts of the vendor may have."""
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    return settings.schemas({file.stem: _mapping(_yaml(file), file) for file in files}, declared, records)


def _exchanges(folder: Path) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Return the exchanges of a folder by call, by file name; those that are replayed against mocks come first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else []:
        exchange = _mapping(_yaml(file), file)
        found.setdefault(str(exchange.get("call")), []).append(exchange)
    return {call: tuple(sorted(items, key=lambda item: "replay" not in item)) for call, items in found.items()}


def _is_of(exchange: Mapping[str, Any], call: Call) -> bool:
    """Return whether an exchange has the URL of a call, as far as that is a path."""
    url = exchange["request"]["url"]
    is_path = call.url.startswith("/") and url.startswith("/")
    return not is_path or compiled(call.url, "[^/]+").fullmatch(url) is not None


def _yaml(file: Path) -> Any:
    """Return the content of a YAML file."""
    try:
        text = file.read_text(encoding="utf-8")
        if len(text) > _FILE_MAX:
            msg = f"{file} has more than {_FILE_MAX:,} characters."
            raise ValueError(msg)
        return ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except (OSError, UnicodeDecodeError, ruamel.yaml.error.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not YAML"
        msg = f"{file} cannot be read: {reason}."
        raise ValueError(msg) from None


def _mapping(content: Any, place: Path) -> Mapping[str, Any]:
    """Return the content of a file if it is a mapping; raise ValueError if not."""
    if isinstance(content, Mapping):
        return content
    msg = f"{place} contains no mapping."
    raise ValueError(msg)
