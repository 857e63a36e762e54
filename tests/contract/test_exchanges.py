"""Every documented exchange, checked against the dialect offline, and replayed against the bundled mock over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

import batchsync_mocks
from batchsync.core.vendor_calls import CallName, Endpoint, Part
from batchsync.spec.vendor_folder import load_exchanges, load_folder
from batchsync.spec.vendor_spec import available_vendors, load_vendor
from batchsync.system_clock import SystemClock
from batchsync.vendors.auth import Auth
from batchsync.vendors.bundled_mocks import BundledMocks, MockedTime
from batchsync.vendors.recorded import BASE_URL, client_deviations, dialect_of
from batchsync.vendors.replay import MockPlayer
from batchsync.vendors.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.vendor_exchange import RecordedExchange

NOW = datetime(2025, 3, 7, 16, tzinfo=UTC)
EXCHANGES = {(vendor, exchange.name): exchange for vendor in available_vendors() for exchange in load_exchanges(vendor)}
REPLAYED = {name: item for name, item in EXCHANGES.items() if item.replay}
IDS = ["/".join(name) for name in REPLAYED]
#: Replays of vendors that have a mock of their own, besides the one that is derived from their spec.
WRITTEN = {name: item for name, item in REPLAYED.items() if name[0] in batchsync_mocks.VENDORS}
#: Replays that a mock derived from the vendor spec cannot answer as documented, and what no file states.
UNDERIVED = {
    ("motorweb-bdp", "status-failed"): "which headers a file may have",
    ("sitecore-cdp", "status-error"): "which identity rules the tenant has",
}
#: Times that the exchanges assume.
TIMES = {"motorweb-bdp": {"processing": 400, "url_lifetime": 900, "retention": 30 * 86_400}}


class StillClock:
    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def sleep(self, duration: timedelta) -> None:
        self.at += duration


@pytest.mark.parametrize("vendor", available_vendors())
def test_every_file_of_a_bundled_vendor_is_valid(vendor: str) -> None:
    _, found = load_folder(vendor)
    assert {item.name for item in found.exchanges} == {name for owner, name in EXCHANGES if owner == vendor}
    assert found.facts


@pytest.mark.parametrize("name", EXCHANGES, ids=["/".join(name) for name in EXCHANGES])
def test_client_sends_the_documented_request_and_understands_the_response(name: tuple[str, str]) -> None:
    recorded = EXCHANGES[name]
    assert client_deviations(load_vendor(name[0], recorded.settings), recorded) == ()


def altered(recorded: RecordedExchange, part: str, **changes: object) -> RecordedExchange:
    parts: dict[str, Any] = {part: {**getattr(recorded, part), **changes}}
    return replace(recorded, **parts)


@pytest.mark.parametrize(
    ("name", "part", "changes", "at"),
    [
        ("create", "request", {"method": "PUT"}, "request.method"),
        ("create", "request", {"url": "/batch/v2/batches"}, "request.url"),
        ("create", "request", {"headers": {"Content-Type": "text/plain"}}, "request.headers.Content-Type"),
        ("create", "request", {"json": {"batchServiceId": "other"}}, "request.json"),
        ("create", "given", {"params.service_id": "other"}, "request.json"),
        ("create", "response", {"status": 202, "json": {"batchId": "x"}}, "meaning"),
        ("create", "meaning", {"slot": {"id": "x", "until": None}}, "meaning.slot"),
        ("token", "request", {"form": {}}, "request.form"),
        ("token", "meaning", {"seconds": 3600}, "meaning.seconds"),
        ("upload", "request", {"file": False}, "request.file"),
        ("status-complete", "response", {"json": {"status": "PENDING"}}, "meaning.status"),
        ("status-complete", "meaning", {"verdict": "mixed"}, "meaning.verdict"),
        ("create-429", "meaning", {"failure": "permanent"}, "meaning.failure"),
        ("create-429", "meaning", {"says": "something else"}, "meaning.says"),
        ("create-429", "meaning", {"retry_at": "2022-10-26T18:02:01+00:00"}, "meaning.retry_at"),
        ("template", "meaning", {"columns": ["vin"]}, "meaning.columns"),
        ("services", "meaning", {"id": "other"}, "meaning.id"),
    ],
)
def test_difference_from_the_documentation_is_found(name: str, part: str, changes: dict[str, object], at: str) -> None:
    recorded = altered(EXCHANGES["motorweb-bdp", name], part, **changes)
    rules = load_vendor("motorweb-bdp", recorded.settings)
    assert at in {item.at for item in client_deviations(rules, recorded)}


def test_parts_of_a_multipart_body_are_compared() -> None:
    rules, recorded = load_vendor("motorweb-bdp"), EXCHANGES["motorweb-bdp", "upload"]
    dialect = dialect_of(rules)
    parts = (
        Part(name="job", json={"kind": "{params.kind}"}),
        Part(name="note", text="a"),
        Part(name="file", filename="a.csv"),
    )
    upload = replace(dialect.calls[CallName.UPLOAD], parts=parts, headers={})
    rules = replace(rules, dialect=replace(dialect, calls={**dialect.calls, CallName.UPLOAD: upload}))
    stated = {"parts": {"job": {"kind": "cars"}, "note": "a"}, "headers": {}}
    recorded = altered(altered(recorded, "request", **stated), "given", **{"params.kind": "cars"})
    assert client_deviations(rules, recorded) == ()
    recorded = altered(recorded, "request", parts={"job": {"kind": "ships"}, "more": "b"})
    found = [item.at for item in client_deviations(rules, recorded)]
    assert found == ["request.parts.job", "request.parts.more", "request.parts.note"]


@pytest.mark.parametrize("name", [name for name, item in EXCHANGES.items() if name == ("motorweb-bdp", "token")])
def test_documented_token_is_cached_and_renewed_a_minute_before_it_expires(name: tuple[str, str]) -> None:
    recorded = EXCHANGES[name]
    credentials = {key.removeprefix("credentials."): str(value) for key, value in recorded.given.items()}
    requests: list[Request] = []
    clock = StillClock()

    def send(request: Request) -> Response:
        requests.append(request)
        text = '{"access_token": "eyJ-not-a-token", "expires_in": 3599}'
        return Response(status=200, body=text.encode())

    auth = Auth(dialect_of(load_vendor(name[0])).auth, credentials, send, base_url=BASE_URL, clock=clock)
    request = Request(method="GET", url=BASE_URL, endpoint=Endpoint.API)
    assert auth.headers(request) == {"Authorization": f"Bearer {recorded.meaning['token']}"}
    clock.sleep(timedelta(seconds=int(str(recorded.meaning["seconds"])) - 61))
    auth.headers(request)
    assert len(requests) == 1, "the token is cached"
    clock.sleep(timedelta(seconds=2))
    auth.headers(request)
    assert len(requests) == 2, "the token is renewed a minute before it expires"


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


def player_of(vendor: str, running: batchsync_mocks.Running, folder: Path) -> MockPlayer:
    """Return what plays the exchanges of a vendor at running mocks."""
    mocks = BundledMocks(
        base_urls=running.urls,
        credentials={vendor: running.credentials(vendor)},
        clock_url=f"{running.url}/_mock/clock",
        control_token=running.control_token,
    )
    return MockPlayer(
        rules_of=lambda settings: load_vendor(vendor, settings),
        exchanges={name: item for (owner, name), item in EXCHANGES.items() if owner == vendor},
        mocks=mocks,
        clock=MockedTime(mocks, SystemClock(lambda _: None)),
        folder=folder,
    )


@pytest.mark.parametrize("name", WRITTEN, ids=["/".join(name) for name in WRITTEN])
def test_mock_response_matches_the_documentation(
    name: tuple[str, str], mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    assert player_of(name[0], mocks, tmp_path).deviations(REPLAYED[name]) == ()


@pytest.mark.parametrize("name", REPLAYED, ids=IDS)
def test_derived_mock_responds_as_documented(
    name: tuple[str, str], derived_mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    found = player_of(name[0], derived_mocks, tmp_path).deviations(REPLAYED[name])
    assert bool(found) is (name in UNDERIVED), found


@pytest.mark.parametrize(
    ("part", "changes", "at"),
    [
        ("response", {"status": 200}, "response.status"),
        ("response", {"json": {"undocumented": 1}}, "response.json.undocumented"),
        ("meaning", {"failure": "unclear"}, "meaning"),
    ],
)
def test_difference_of_the_mock_is_found(
    part: str, changes: dict[str, object], at: str, mocks: batchsync_mocks.Running, tmp_path: Path
) -> None:
    recorded = REPLAYED["motorweb-bdp", "create"]
    recorded = replace(recorded, meaning=changes) if part == "meaning" else altered(recorded, part, **changes)
    found = player_of("motorweb-bdp", mocks, tmp_path).deviations(recorded)
    assert at in {item.at for item in found or ()}
