"""Each fault profile really strikes, on the wire, and the same seed brings the same faults."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from mock_clients import (
    GOOD_CSV,
    MOTORWEB,
    SITECORE,
    MotorwebClient,
    SitecoreClient,
    announced,
    named,
    packed,
    put,
    record,
    upload_headers,
)

import lading_mocks
from lading_mocks import Clock, Fault, profiles, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading_mocks import Running

GUESTS = [record("guest", "upsert", identifiers=named(str(number))) for number in range(3)]
NOBODY = record("guest", "delete", identifiers=named("nobody"))


def under(profile: Any, seed: int = 7, **more: Any) -> Running:
    return serve(profile=profile, seed=seed, clock=Clock("2026-03-01T12:00:00Z", frozen=True), **more)


def patiently(ask: Any, *good: int, tries: int = 60) -> requests.Response:
    """Ask until an answer with one of these statuses comes whole."""
    for _ in range(tries):
        with suppress(requests.RequestException):
            answer = ask()
            if answer.status_code in (good or (200, 201)):
                return answer
    pytest.fail(f"no good answer in {tries} tries")


def a_day_at_motorweb(mocks: Running, number: int = 0) -> None:
    client = object.__new__(MotorwebClient)
    client.running, client.prefix, client.url = mocks, "/batch/v1", mocks.urls[MOTORWEB]

    def call(method: str, path: str, **more: Any) -> requests.Response:
        answer = MotorwebClient.call(client, method, path, **more)
        if answer.status_code == 401:
            client.token = patiently(client.log_in).json()["access_token"]
        return answer

    client.token = patiently(client.log_in).json()["access_token"]
    for attempt in range(200):
        reference = f"cars {number} {attempt}"
        with suppress(requests.RequestException):
            made = call("POST", "/batches", json={"batchServiceId": SERVICE, "userBatchReference": reference})
            if made.status_code == 201 and put(made.json()["url"], GOOD_CSV + b"bad,,\r\n").status_code == 200:
                break
    batch = made.json()["batchId"]
    for _ in range(12):
        patiently(lambda: call("GET", f"/batches/{batch}"))
        mocks.advance(60)
    report = patiently(lambda: call("GET", f"/batches/{batch}/reports"))
    patiently(lambda: requests.get(report.json()["url"], timeout=10))
    patiently(lambda: call("GET", f"/batches/{batch}/errors"))


def a_day_at_sitecore(mocks: Running, number: int = 0) -> None:
    client = SitecoreClient(mocks)
    data = packed(*GUESTS, NOBODY)
    for attempt in range(30):
        ref = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {attempt}"))
        with suppress(requests.RequestException):
            made = client.allocate(ref, announced(data))
            if made.status_code == 200:
                href = made.json()["location"]["href"]
                patiently(lambda href=href: put(href, data, **upload_headers(data)))
                break
    for _ in range(5):
        patiently(lambda: client.get(f"/inspect/{ref}"))
        mocks.advance(5)
    log = patiently(lambda: client.get(f"/inspect/{ref}")).json()["status"]["log"]
    patiently(lambda: requests.get(log, timeout=10))


SERVICE = "8600aa22-e4bf-4fe3-96be-7978832807a0"
STRIKING = [name for name in profiles.names() if profiles.profile(name).faults]


@pytest.mark.parametrize("name", STRIKING)
def test_every_fault_of_every_profile_strikes_and_the_work_can_still_be_done(name: str) -> None:
    with under(name) as mocks:
        speed = {"pre_processing": 60, "validating": 120, "scheduled": 120, "processing": 300}
        mocks.switch(MOTORWEB, **speed)
        mocks.switch(SITECORE, queue=5, processing=10)
        for number in range(12):
            a_day_at_motorweb(mocks, number)
            a_day_at_sitecore(mocks, number)
            if all(fault["struck"] for fault in mocks.faults()):
                break
        assert [fault for fault in mocks.faults() if not fault["struck"]] == []
        # Lost answers and early resets make batches that nobody followed, but no row goes astray.
        assert {entry["fate"] for vendor in (MOTORWEB, SITECORE) for entry in mocks.ledger(vendor)} >= {"accepted"}


def conversation(seed: int) -> str:
    with under("storm+revoked+throttle", seed) as mocks:
        a_day_at_motorweb(mocks)
        a_day_at_sitecore(mocks)
        return mocks.transcript()


def test_one_seed_gives_one_transcript_byte_for_byte() -> None:
    first, again, other = conversation(7), conversation(7), conversation(8)
    assert first == again
    assert first != other
    entries = [json.loads(line) for line in first.splitlines()]
    assert any(entry["faults"] and entry["status"] is None for entry in entries)
    assert all("digest" in entry for entry in entries if entry["status"] == 200 and not entry["faults"])


def test_a_transcript_holds_no_secret() -> None:
    with under(None) as mocks:
        a_day_at_motorweb(mocks)
        a_day_at_sitecore(mocks)
        told = requests.get(f"{mocks.url}/_mock/transcript", timeout=10).text
        secrets = [value for name in (MOTORWEB, SITECORE) for value in mocks.credentials(name).values()]
    # The client key is a part of the storage path, as at Sitecore.
    assert [one for one in secrets if one in told] == ["not-a-real-client-key-of-a-mock"]
    assert "eyJ" not in told
    assert "Signature=..." in told
    assert len(told.splitlines()) > 20


@pytest.fixture
def motorweb_under() -> Iterator[Any]:
    opened = []

    def start(*faults: Fault, profile: Any = None) -> MotorwebClient:
        opened.append(under(profile))
        client = MotorwebClient(opened[-1])
        opened[-1].arm(*faults)
        return client

    yield start
    for one in opened:
        one.close()


def test_an_upload_broken_in_mid_body_leaves_nothing(motorweb_under: Any) -> None:
    motorweb = motorweb_under(Fault(kind="break_upload", path="/_storage", after=1 << 16))
    made = motorweb.create().json()
    with pytest.raises(requests.ConnectionError):
        put(made["url"], b"x" * (8 << 20))
    assert motorweb.status(made["batchId"]) == "PENDING"
    assert put(made["url"], GOOD_CSV).status_code == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_half_closed_connection_takes_the_whole_request_and_says_nothing(scheme: str) -> None:
    https = scheme == "https"
    with under(None, https=https) as mocks:
        client = SitecoreClient.__new__(SitecoreClient)
        auth = tuple(mocks.credentials(SITECORE).values())
        url, ref, data = mocks.urls[SITECORE], str(uuid.uuid4()), packed(*GUESTS)
        client.auth, verify = auth, str(mocks.ca) if https else True
        target = f"{url}/v2/batches/{ref}"
        href = requests.put(target, json=announced(data), auth=auth, verify=verify, timeout=10).json()["location"][
            "href"
        ]
        mocks.arm(Fault(kind="half_close", path="/_storage"))
        with pytest.raises(requests.ConnectionError):
            requests.put(href, data=data, headers=upload_headers(data), verify=verify, timeout=10)
        status = requests.get(f"{url}/v2/batches/inspect/{ref}", auth=auth, verify=verify, timeout=10).json()["status"]
        assert status["code"] == "file_uploaded"


def test_throttling_says_when_to_come_again_in_seconds_and_as_a_date(motorweb_under: Any) -> None:
    motorweb = motorweb_under(
        Fault(kind="throttle", path="/batch-services", retry_after=30),
        Fault(kind="throttle", path="/batch-services", nth=2, retry_after=60, retry_as="date"),
    )
    first, second = (motorweb.call("GET", "/batch-services") for _ in range(2))
    assert (first.status_code, first.headers["Retry-After"]) == (429, "30")
    now, then = (parsedate_to_datetime(second.headers[name]) for name in ("Date", "Retry-After"))
    assert (second.status_code, (then - now).total_seconds()) == (429, 60)


def test_an_amnesiac_vendor_does_not_know_its_batch_for_once(motorweb_under: Any) -> None:
    motorweb = motorweb_under(Fault(kind="vanish", path="/batches/", method="GET"))
    batch = motorweb.create().json()["batchId"]
    assert motorweb.call("GET", f"/batches/{batch}").status_code == 404
    assert motorweb.status(batch) == "PENDING"


def test_a_status_goes_backwards(motorweb_under: Any) -> None:
    motorweb = motorweb_under(Fault(kind="rewind", seconds=400, path="/batches/[^/]+$", nth=2))
    batch = motorweb.send(GOOD_CSV)
    motorweb.running.advance(600)
    assert [motorweb.status(batch) for _ in range(3)] == ["COMPLETED", "SCHEDULED", "COMPLETED"]


def test_a_revoked_token_gets_401_and_a_new_one_works(motorweb_under: Any) -> None:
    motorweb = motorweb_under(Fault(kind="revoke", path="/batch-services"))
    assert motorweb.call("GET", "/batch-services").status_code == 401
    motorweb.token = motorweb.log_in().json()["access_token"]
    assert motorweb.call("GET", "/batch-services").status_code == 200


@pytest.mark.parametrize(("vendor", "status"), [(MOTORWEB, 400), (SITECORE, 403)])
def test_a_signed_url_is_found_expired_in_the_words_of_its_storage(vendor: str, status: int) -> None:
    with under(None) as mocks:
        data = packed(*GUESTS)
        if vendor == MOTORWEB:
            url = MotorwebClient(mocks).create().json()["url"]
        else:
            url = SitecoreClient(mocks).allocate(str(uuid.uuid4()), announced(data)).json()["location"]["href"]
        mocks.arm(Fault(kind="expire", path="/_storage"))
        answer = put(url, data, **(upload_headers(data) if vendor == SITECORE else {}))
        assert answer.status_code == status
        assert "expired" in answer.text


def test_a_corrupt_log_arrives_under_a_good_status() -> None:
    with under(None) as mocks:
        client = SitecoreClient(mocks)
        ref = client.send(packed(NOBODY))
        mocks.advance(15)
        log = client.get(f"/inspect/{ref}").json()["status"]["log"]
        whole = requests.get(log, timeout=10).content
        mocks.arm(Fault(kind="corrupt", path="log.gz"))
        broken = requests.get(log, timeout=10)
        assert broken.status_code == 200
        assert len(broken.content) == len(whole)
        assert broken.content != whole


def test_a_stuck_vendor_never_ends(motorweb_under: Any) -> None:
    motorweb = motorweb_under(profile="stuck")
    batch = motorweb.send(GOOD_CSV)
    motorweb.running.advance(3000)
    assert motorweb.status(batch) == "PROCESSING"
    motorweb.running.advance(40 * 86_400)
    motorweb.token = motorweb.log_in().json()["access_token"]
    assert motorweb.status(batch) == "EXPIRED"
    with under("stuck") as mocks:
        client = SitecoreClient(mocks)
        ref = client.send(packed(*GUESTS))
        mocks.advance(40 * 86_400)
        assert client.get(f"/inspect/{ref}").json()["status"]["code"] == "processing"


def test_liar_and_slow_turn_switches() -> None:
    with under("liar+slow") as mocks:
        assert (mocks.switches(MOTORWEB).liar, mocks.switches(SITECORE).processing) == (True, 1_296_000)


def test_thirty_days_of_a_slow_vendor_pass_in_two_seconds_with_an_automatic_clock() -> None:
    began = time.monotonic()
    with serve(profile="slow", seed=7, clock=Clock("2026-03-01T12:00:00Z", frozen=True)) as mocks:
        motorweb, sitecore = MotorwebClient(mocks), SitecoreClient(mocks)
        requests.post(f"{mocks.url}/_mock/clock", json={"auto": True}, timeout=10)
        ref = sitecore.send(packed(*GUESTS))
        seen = [sitecore.get(f"/inspect/{ref}").json()["status"]["code"] for _ in range(3)]
        assert seen == ["file_uploaded", "processing", "success"]
        motorweb.token = motorweb.log_in().json()["access_token"]
        batch, statuses = motorweb.send(GOOD_CSV), []
        for _ in range(6):
            motorweb.token = motorweb.log_in().json()["access_token"]
            statuses.append(motorweb.status(batch))
        assert statuses == ["PRE_PROCESSING", "VALIDATING", "SCHEDULED", "PROCESSING", "COMPLETED", "COMPLETED"]
        assert mocks.clock.now() - Clock("2026-03-01T12:00:00Z", frozen=True).now() >= 55 * 86_400
    assert time.monotonic() - began < 2


def test_profiles_add_up_and_come_from_files(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("faults: [{kind: refuse, nth: 2}]\nswitches: {sitecore-cdp: {queue: 1}}\n")
    both = profiles.profile(["slow", str(own)])
    assert (both.name, len(both.faults), both.switches[SITECORE]["queue"]) == ("slow+mine", 2, 1)
    with under([own]) as mocks:
        assert mocks.faults()[0]["nth"] == 2
        mocks.arm(Fault(kind="reset"))
        mocks.reset()
        assert [fault["kind"] for fault in mocks.faults()] == ["refuse"]


@pytest.mark.parametrize(
    "text",
    [
        "faults: [",
        "[1]",
        "fault: []",
        "faults: [{kind: explode}]",
        "faults: 3",
        "switches: {sitecore-cdp: 3}",
        "switches: 1",
    ],
)
def test_a_profile_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yaml"):
        serve(profile=own)


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="amnesia, backwards, bulk, corrupt-log"):
        serve(profile="thunder")
    with pytest.raises(ValueError, match="unknown"):
        serve(profile="storm", switches={"unknown": {}})


def test_a_profile_without_a_seed_tells_the_seed_it_drew() -> None:
    with serve(profile="storm") as one, serve(profile="storm", seed=one.seed) as two:
        assert one.seed == two.seed


def test_chance_keeps_to_its_bounds() -> None:
    with lading_mocks.serve([MOTORWEB], seed=1) as mocks:
        client = MotorwebClient(mocks)
        mocks.arm(Fault(kind="status", status=500, chance=0.5, most=5, path="/batch-services"))
        statuses = [client.call("GET", "/batch-services").status_code for _ in range(40)]
    assert statuses.count(500) == 5
    assert statuses[:3] != [500, 500, 500]


def test_a_cut_answer_ends_before_its_length() -> None:
    with under(None) as mocks:
        mocks.arm(Fault(kind="cut", path="/inspect"))
        target = urlsplit(mocks.urls[SITECORE])
        raw = http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)
        raw.request("GET", "/v2/batches/inspect")
        with pytest.raises(http.client.IncompleteRead):
            raw.getresponse().read()
        raw.close()
