"""Every documented exchange, checked against the dialect offline, and replayed against the bundled mock over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import json
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from ruamel.yaml import YAML

import batchsync_mocks
from batchsync.core.batch import BatchFile, IdempotencyKey
from batchsync.core.vendor_calls import Call, CallName, Dialect, Endpoint, ResponseClass
from batchsync.errors import AllocationExpiredError, AmbiguousOutcomeError, PermanentError, RetryableError, VendorError
from batchsync.ports import Finished
from batchsync.spec.vendor_spec import available_vendors, load_vendor
from batchsync.vendors import response_parsing
from batchsync.vendors.auth import Auth
from batchsync.vendors.choices import read_choice
from batchsync.vendors.connect import connect
from batchsync.vendors.dialect import (
    Exchange,
    build,
    ensure_ok,
    read,
    read_allocation,
    read_status,
    values,
)
from batchsync.vendors.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.vendors.client import HttpVendor

BASE = {"motorweb-bdp": "https://api.tst.motorweb.app", "sitecore-cdp": "https://api-engage-eu.sitecorecloud.io"}
NOW = datetime(2025, 3, 7, 16, tzinfo=UTC)
KINDS = {
    RetryableError: "did_not_happen",
    AmbiguousOutcomeError: "unclear",
    AllocationExpiredError: "slot_gone",
    PermanentError: "permanent",
}
TICKET = IdempotencyKey("3ee694e5-0b77-5d1e-af19-1aa78f500785")
MEANINGS = {"slot", "status", "token", "id", "columns", "url", "absent", "accepted", "failure"}


class StillClock:
    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def sleep(self, duration: timedelta) -> None:
        self.at += duration


@dataclass(frozen=True)
class RecordedExchange:
    vendor: str
    name: str
    content: dict[str, Any]

    @property
    def dialect(self) -> Dialect:
        dialect = load_vendor(self.vendor, self.content.get("settings", {})).dialect
        assert dialect is not None
        return dialect

    @property
    def call(self) -> Call:
        return called(self.dialect, self.content["call"])

    @property
    def meaning(self) -> str:
        (only,) = MEANINGS & set(self.content["meaning"])
        return only

    def to_exchange(self, known: dict[str, Any], file: BatchFile | None = None) -> Exchange:
        documented = self.content["response"]
        body = json.dumps(documented["json"]) if "json" in documented else documented["text"]
        headers = {name.lower(): value for name, value in documented.get("headers", {}).items()}
        now = datetime.fromisoformat(self.content["now"]) if "now" in self.content else NOW
        response = Response(status=documented["status"], headers=headers, body=body.encode())
        return Exchange(
            call=self.call, request=build(self.call, known, BASE[self.vendor], file), response=response, now=now
        )


def called(dialect: Dialect, path: str) -> Call:
    """Return the call at a path of vendor.yaml."""
    if path in set(CallName):
        return dialect.calls[CallName(path)]
    node: Any = dialect
    for part in path.removeprefix("connection.").split("."):
        node = node[int(part)] if part.isdigit() else getattr(node, part)
    assert isinstance(node, Call)
    return node


def all_exchanges() -> Iterator[RecordedExchange]:
    for vendor in available_vendors():
        folder = files("batchsync_specs") / vendor / "exchanges"
        for file in sorted(folder.iterdir() if folder.is_dir() else (), key=lambda path: path.name):
            content = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
            yield RecordedExchange(vendor, file.name.removesuffix(".yaml"), content)


EXCHANGES = {(exchange.vendor, exchange.name): exchange for exchange in all_exchanges()}
REPLAYED = {name: item for name, item in EXCHANGES.items() if "replay" in item.content}
IDS = ["/".join(name) for name in EXCHANGES]


def write_batch_file(folder: Path, vendor: str, text: str) -> BatchFile:
    data = text.encode()
    if load_vendor(vendor).file.gzip:
        data = gzip.compress(data, mtime=0)
    path = folder / f"batch{load_vendor(vendor).file.suffix}"
    path.write_bytes(data)
    digests = {"digest": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data, usedforsecurity=False).hexdigest()}
    return BatchFile(path=str(path), row_manifest="", size=len(data), rows=text.count("\n"), **digests)


def interpreted(recorded: RecordedExchange, exchange: Exchange) -> dict[str, Any]:
    """Return the dialect's interpretation of a response, in the form of `meaning` of the exchanges."""
    try:
        if ensure_ok(exchange) is ResponseClass.ABSENT:
            return {"absent": True}
        kind = {"allocate": "slot", "describe.choice.call": "id"}.get(recorded.content["call"], recorded.meaning)
        return {"accepted": True} if kind in {"accepted", "failure"} else {kind: _read(recorded, kind, exchange)}
    except VendorError as failure:
        found = {"failure": KINDS[type(failure)], "says": failure.reason}
        return (
            found | {"retry_at": failure.retry_at}
            if isinstance(failure, RetryableError | AmbiguousOutcomeError)
            else found
        )


def _read(recorded: RecordedExchange, kind: str, exchange: Exchange) -> Any:
    match kind:
        case "slot":
            if until := expected(recorded)["slot"].get("until"):
                # Documented responses are older than now, and were received before their URLs expired.
                received = min(exchange.now, datetime.fromisoformat(until) - timedelta(minutes=1))
                exchange = replace(exchange, now=received)
            allocation = read_allocation(exchange, TICKET, granted=recorded.content["call"] == "allocate")
            return {
                "id": allocation.id,
                "url": allocation.url,
                "until": allocation.expires_at.isoformat() if allocation.expires_at else None,
            }
        case "status":
            status = read_status(exchange, recorded.dialect.vendor_statuses)
            found = {"status": type(status).__name__.lower(), "word": status.vendor_status}
            return found | {"verdict": status.verdict} if isinstance(status, Finished) else found
        case "token":
            return response_parsing.text(read(exchange), exchange.call.read["token"])
        case "columns":
            return list(response_parsing.columns(exchange.response.body) or ())
        case "url":
            return response_parsing.text(read(exchange), exchange.call.read["url"])
        case "id":
            choice = recorded.dialect.describe.choice
            assert choice is not None
            return read_choice(exchange, choice, recorded.content["given"]["target.service"])
        case other:
            raise AssertionError(other)


def expected(recorded: RecordedExchange) -> dict[str, Any]:
    """Return the meaning that the exchange states, with the members of a status in recorded value."""
    stated = dict(recorded.content["meaning"])
    return {"status": stated} if recorded.meaning == "status" else stated


@pytest.mark.parametrize("recorded", EXCHANGES.values(), ids=IDS)
def test_every_exchange_is_complete_and_names_its_source(recorded: RecordedExchange) -> None:
    known = {"about", "source", "call", "settings", "now", "given", "request", "response", "meaning", "replay"}
    assert set(recorded.content) <= known
    assert recorded.content["about"]
    assert recorded.content["source"]
    assert recorded.call.method


@pytest.mark.parametrize("recorded", EXCHANGES.values(), ids=IDS)
def test_request_matches_the_documentation(recorded: RecordedExchange, tmp_path: Path) -> None:
    given, expected_values = dict(recorded.content["given"]), recorded.content["request"]
    file = write_batch_file(tmp_path, recorded.vendor, "some text\n")
    request = build(recorded.call, given, BASE[recorded.vendor], file)
    absolute = (
        expected_values["url"]
        if expected_values["url"].startswith("https:")
        else BASE[recorded.vendor] + expected_values["url"]
    )
    assert (request.method, request.url) == (expected_values["method"], absolute)
    assert expected_values.get("headers", {}).items() <= dict(request.headers).items()
    if "json" in expected_values:
        assert json.loads(request.body or b"") == expected_values["json"]
    elif "form" in expected_values:
        assert dict(parse_qsl((request.body or b"").decode())) == expected_values["form"]
    else:
        assert request.body is None
    assert (request.file == file.path) is expected_values.get("file", False)
    assert (request.endpoint is Endpoint.STORAGE) is expected_values["url"].startswith("https:")
    assert "authorization" not in {name.lower() for name in request.headers}


@pytest.mark.parametrize("recorded", EXCHANGES.values(), ids=IDS)
def test_documented_response_is_understood(recorded: RecordedExchange) -> None:
    expected_values = expected(recorded)
    if recorded.meaning == "token":
        token_response = recorded.to_exchange(recorded.content["given"]).response
        credentials = {
            name.removeprefix("credentials."): str(value) for name, value in recorded.content["given"].items()
        }
        requests: list[Request] = []
        clock = StillClock()

        def send(request: Request) -> Response:
            requests.append(request)
            return token_response

        auth = Auth(recorded.dialect.auth, credentials, send, base_url=BASE[recorded.vendor], clock=clock)
        assert auth.headers() == {"Authorization": f"Bearer {expected_values['token']}"}
        clock.sleep(timedelta(seconds=expected_values["seconds"] - 61))
        auth.headers()
        assert len(requests) == 1, "the token is cached"
        clock.sleep(timedelta(seconds=2))
        auth.headers()
        assert len(requests) == 2, "the token is renewed a minute before it expires"
        return
    found = interpreted(recorded, recorded.to_exchange(dict(recorded.content["given"])))
    if "failure" in expected_values:
        assert found["failure"] == expected_values["failure"]
        assert expected_values["says"] in found["says"]
        if "retry_at" in expected_values:
            assert found["retry_at"] == datetime.fromisoformat(expected_values["retry_at"])
    else:
        assert found == expected_values


#: Replays that a mock derived from the vendor spec cannot answer as documented, and what no file states.
UNDERIVED = {
    ("motorweb-bdp", "status-failed"): "which headers a file may have",
    ("sitecore-cdp", "status-error"): "which identity rules the tenant has",
}
#: Times that the exchanges assume.
TIMES = {"motorweb-bdp": {"processing": 400, "url_lifetime": 900, "retention": 30 * 86_400}}


@pytest.fixture(scope="module")
def mocks() -> Iterator[batchsync_mocks.Running]:
    with batchsync_mocks.serve(seed=7) as running:
        yield running


@pytest.fixture(scope="module")
def derived_mocks() -> Iterator[batchsync_mocks.Running]:
    """Mocks of the same vendors, made from the files of their folders."""
    folders = [str(files("batchsync_specs") / vendor) for vendor in available_vendors()]
    with batchsync_mocks.serve(folders, seed=7, switches=TIMES) as running:
        yield running


@dataclass
class Replay:
    """A dialog with a mock: the vendor client, and the placeholder values known so far."""

    vendor: HttpVendor
    known: dict[str, Any]
    file: BatchFile

    def play(self, recorded: RecordedExchange, changes: dict[str, Any]) -> Exchange:
        exchange = self.vendor._exchange(recorded.call, self.known | changes, self.file)
        if recorded.meaning in {"slot", "id", "url"} and "absent" not in (found := interpreted(recorded, exchange)):
            match recorded.meaning:
                case "slot":
                    self.known |= {"allocation.id": found["slot"]["id"], "allocation.url": found["slot"]["url"]}
                case "id":
                    self.known["params.service_id"] = found["id"]
                case _:
                    self.known["found.url"] = found["url"]
        return exchange


@pytest.mark.parametrize("recorded", REPLAYED.values(), ids=["/".join(name) for name in REPLAYED])
def test_mock_response_matches_the_documentation(
    recorded: RecordedExchange, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    assert_replayed(recorded, mocks, tmp_path)


@pytest.mark.parametrize("recorded", REPLAYED.values(), ids=["/".join(name) for name in REPLAYED])
def test_derived_mock_responds_as_documented(
    recorded: RecordedExchange, derived_mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    missing = UNDERIVED.get((recorded.vendor, recorded.name))
    with pytest.raises(AssertionError) if missing else nullcontext():
        assert_replayed(recorded, derived_mocks, tmp_path)


def assert_replayed(recorded: RecordedExchange, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    """Assert that a mock responds to the request of an exchange as documented."""
    mocks.reset()
    replay, credentials = recorded.content["replay"], mocks.credentials(recorded.vendor)
    file = write_batch_file(tmp_path, recorded.vendor, replay.get("file", "nothing\n"))
    known: dict[str, Any] = {f"credentials.{name}": value for name, value in credentials.items()}
    # The idempotency key serves as allocation id until a vendor that assigns ids has returned one.
    known |= {"idempotency_key": TICKET, "target.service": "vehicle id wovr batch", "allocation.id": TICKET}
    known |= _of_file(file)
    vendor = connect(
        load_vendor(recorded.vendor),
        base_url=mocks.urls[recorded.vendor],
        credentials=credentials,
        ca_bundle=None,
        clock=StillClock(),
        user_agent="batchsync tests",
    )
    dialog = Replay(vendor, known, file)
    for step in replay["after"]:
        if isinstance(step, dict):
            mocks.advance(step["advance"])
        else:
            ensure_ok(dialog.play(EXCHANGES[recorded.vendor, step], {}))
    exchange = dialog.play(recorded, replay.get("with", {}))
    response, expected_values = recorded.content["response"], expected(recorded)
    assert exchange.response.status == response["status"], exchange.describe()
    if "json" in response and replay.get("answer") != "any":
        assert missing_members(response["json"], json.loads(exchange.response.body)) == []
    if recorded.meaning == "failure":
        assert interpreted(recorded, exchange)["failure"] == expected_values["failure"]
    elif recorded.meaning == "status":
        assert interpreted(recorded, exchange) == expected_values
    else:
        assert recorded.meaning in interpreted(recorded, exchange)


def _of_file(file: BatchFile) -> dict[str, Any]:
    return {name: item for name, item in values(file=file).items() if name.startswith("file.")}


def missing_members(documented: Any, found: Any, at: str = "") -> list[str]:
    """Return the paths of documented members that are missing from a response, or have another type."""
    if documented is None or found is None:
        return []
    if isinstance(documented, dict):
        if not isinstance(found, dict):
            return [at]
        missing = [f"{at}/{name}" for name in documented if name not in found]
        both = [name for name in documented if name in found]
        return missing + [
            path for name in both for path in missing_members(documented[name], found[name], f"{at}/{name}")
        ]
    if isinstance(documented, list):
        if not isinstance(found, list):
            return [at]
        return missing_members(documented[0], found[0], f"{at}/0") if documented and found else []
    return [] if type(documented) is type(found) else [at]
