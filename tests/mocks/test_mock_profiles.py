"""Fault profiles: every fault has its effect over HTTP, and equal seeds produce equal faults."""

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

import batchsync_mocks
from batchsync_mocks import Clock, Fault, profiles, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync_mocks import Running

GUESTS = [record("guest", "upsert", identifiers=named(str(number))) for number in range(3)]
UNKNOWN_GUEST = record("guest", "delete", identifiers=named("unknown"))


def serve_with_profile(profile: Any, seed: int = 7, **more: Any) -> Running:
    return serve(profile=profile, seed=seed, clock=Clock("2026-03-01T12:00:00Z", frozen=True), **more)


def with_retries(send: Any, *good: int, tries: int = 60) -> requests.Response:
    """Repeat a request until a complete response with an expected status arrives."""
    for _ in range(tries):
        with suppress(requests.RequestException):
            response = send()
            if response.status_code in (good or (200, 201)):
                return response
    pytest.fail(f"no successful response in {tries} attempts")


def use_motorweb(mocks: Running, number: int = 0) -> None:
    client = object.__new__(MotorwebClient)
    client.running, client.prefix, client.url = mocks, "/batch/v1", mocks.urls[MOTORWEB]

    def call(method: str, path: str, **more: Any) -> requests.Response:
        response = MotorwebClient.call(client, method, path, **more)
        if response.status_code == 401:
            client.token = with_retries(client.log_in).json()["access_token"]
        return response

    client.token = with_retries(client.log_in).json()["access_token"]
    for attempt in range(200):
        reference = f"cars {number} {attempt}"
        with suppress(requests.RequestException):
            made = call("POST", "/batches", json={"batchServiceId": SERVICE, "userBatchReference": reference})
            if made.status_code == 201 and put(made.json()["url"], GOOD_CSV + b"bad,,\r\n").status_code == 200:
                break
    batch = made.json()["batchId"]
    for _ in range(12):
        with_retries(lambda: call("GET", f"/batches/{batch}"))
        mocks.advance(60)
    report = with_retries(lambda: call("GET", f"/batches/{batch}/reports"))
    with_retries(lambda: requests.get(report.json()["url"], timeout=10))
    with_retries(lambda: call("GET", f"/batches/{batch}/errors"))


def use_sitecore(mocks: Running, number: int = 0) -> None:
    client = SitecoreClient(mocks)
    data = packed(*GUESTS, UNKNOWN_GUEST)
    for attempt in range(30):
        ref = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {attempt}"))
        with suppress(requests.RequestException):
            made = client.allocate(ref, announced(data))
            if made.status_code == 200:
                href = made.json()["location"]["href"]
                with_retries(lambda href=href: put(href, data, **upload_headers(data)))
                break
    for _ in range(5):
        with_retries(lambda: client.get(f"/inspect/{ref}"))
        mocks.advance(5)
    log = with_retries(lambda: client.get(f"/inspect/{ref}")).json()["status"]["log"]
    with_retries(lambda: requests.get(log, timeout=10))


SERVICE = "8600aa22-e4bf-4fe3-96be-7978832807a0"
WITH_FAULTS = [name for name in profiles.names() if profiles.profile(name).faults]


@pytest.mark.parametrize("name", WITH_FAULTS)
def test_every_profile_fault_hits_and_work_still_completes(name: str) -> None:
    with serve_with_profile(name) as mocks:
        speed = {"pre_processing": 60, "validating": 120, "scheduled": 120, "processing": 300}
        mocks.switch(MOTORWEB, **speed)
        mocks.switch(SITECORE, queue=5, processing=10)
        for number in range(12):
            use_motorweb(mocks, number)
            use_sitecore(mocks, number)
            if all(fault["hits"] for fault in mocks.faults()):
                break
        assert [fault for fault in mocks.faults() if not fault["hits"]] == []
        # Lost responses leave batches without a client, but no row is lost.
        assert {entry["outcome"] for vendor in (MOTORWEB, SITECORE) for entry in mocks.ledger(vendor)} >= {"accepted"}


def conversation(seed: int) -> str:
    with serve_with_profile("storm+revoked+throttle", seed) as mocks:
        use_motorweb(mocks)
        use_sitecore(mocks)
        return mocks.transcript()


def test_equal_seeds_give_equal_transcripts() -> None:
    first, again, other = conversation(7), conversation(7), conversation(8)
    assert first == again
    assert first != other
    entries = [json.loads(line) for line in first.splitlines()]
    assert any(entry["faults"] and entry["status"] is None for entry in entries)
    assert all("digest" in entry for entry in entries if entry["status"] == 200 and not entry["faults"])


def test_transcript_contains_no_secret() -> None:
    with serve_with_profile(None) as mocks:
        use_motorweb(mocks)
        use_sitecore(mocks)
        transcript = requests.get(f"{mocks.url}/_mock/transcript", headers=mocks.control_headers, timeout=10).text
        secrets = [value for name in (MOTORWEB, SITECORE) for value in mocks.credentials(name).values()]
    # The client key is a part of the storage path, as at Sitecore.
    assert [secret for secret in secrets if secret in transcript] == ["not-a-real-client-key-of-a-mock"]
    assert "eyJ" not in transcript
    assert "Signature=..." in transcript
    assert len(transcript.splitlines()) > 20


@pytest.fixture
def motorweb_under() -> Iterator[Any]:
    opened = []

    def start(*faults: Fault, profile: Any = None) -> MotorwebClient:
        opened.append(serve_with_profile(profile))
        client = MotorwebClient(opened[-1])
        opened[-1].arm(*faults)
        return client

    yield start
    for item in opened:
        item.close()


def test_upload_interrupted_in_its_body_stores_nothing(motorweb_under: Any) -> None:
    motorweb = motorweb_under(Fault(kind="break_upload", path="/_storage", after=1 << 16))
    made = motorweb.create().json()
    with pytest.raises(requests.ConnectionError):
        put(made["url"], b"x" * (8 << 20))
    assert motorweb.status(made["batchId"]) == "PENDING"
    assert put(made["url"], GOOD_CSV).status_code == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_half_closed_connection_reads_the_request_without_response(scheme: str) -> None:
    https = scheme == "https"
    with serve_with_profile(None, https=https) as mocks:
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


def test_throttling_sends_retry_after_in_seconds_and_as_a_date(motorweb_under: Any) -> None:
    motorweb = motorweb_under(
        Fault(kind="throttle", path="/batch-services", retry_after=30),
        Fault(kind="throttle", path="/batch-services", nth=2, retry_after=60, retry_as="date"),
    )
    first, second = (motorweb.call("GET", "/batch-services") for _ in range(2))
    assert (first.status_code, first.headers["Retry-After"]) == (429, "30")
    now, then = (parsedate_to_datetime(second.headers[name]) for name in ("Date", "Retry-After"))
    assert (second.status_code, (then - now).total_seconds()) == (429, 60)


def test_intermittent_404_profile_hides_a_batch_temporarily(motorweb_under: Any) -> None:
    motorweb = motorweb_under(Fault(kind="vanish", path="/batches/", method="GET"))
    batch = motorweb.create().json()["batchId"]
    assert motorweb.call("GET", f"/batches/{batch}").status_code == 404
    assert motorweb.status(batch) == "PENDING"


def test_stale_status_profile_returns_an_earlier_status(motorweb_under: Any) -> None:
    motorweb = motorweb_under(Fault(kind="rewind", seconds=400, path="/batches/[^/]+$", nth=2))
    batch = motorweb.send(GOOD_CSV)
    motorweb.running.advance(600)
    assert [motorweb.status(batch) for _ in range(3)] == ["COMPLETED", "SCHEDULED", "COMPLETED"]


def test_revoked_token_gets_401_and_a_new_token_works(motorweb_under: Any) -> None:
    motorweb = motorweb_under(Fault(kind="revoke", path="/batch-services"))
    assert motorweb.call("GET", "/batch-services").status_code == 401
    motorweb.token = motorweb.log_in().json()["access_token"]
    assert motorweb.call("GET", "/batch-services").status_code == 200


@pytest.mark.parametrize(("vendor", "status"), [(MOTORWEB, 400), (SITECORE, 403)])
def test_expired_profile_returns_the_error_of_the_storage(vendor: str, status: int) -> None:
    with serve_with_profile(None) as mocks:
        data = packed(*GUESTS)
        if vendor == MOTORWEB:
            url = MotorwebClient(mocks).create().json()["url"]
        else:
            url = SitecoreClient(mocks).allocate(str(uuid.uuid4()), announced(data)).json()["location"]["href"]
        mocks.arm(Fault(kind="expire", path="/_storage"))
        response = put(url, data, **(upload_headers(data) if vendor == SITECORE else {}))
        assert response.status_code == status
        assert "expired" in response.text


def test_corrupt_log_has_a_success_status() -> None:
    with serve_with_profile(None) as mocks:
        client = SitecoreClient(mocks)
        ref = client.send(packed(UNKNOWN_GUEST))
        mocks.advance(15)
        log = client.get(f"/inspect/{ref}").json()["status"]["log"]
        whole = requests.get(log, timeout=10).content
        mocks.arm(Fault(kind="corrupt", path="log.gz"))
        broken = requests.get(log, timeout=10)
        assert broken.status_code == 200
        assert len(broken.content) == len(whole)
        assert broken.content != whole


def test_never_finishes_profile_keeps_batches_in_processing(motorweb_under: Any) -> None:
    motorweb = motorweb_under(profile="never-finishes")
    batch = motorweb.send(GOOD_CSV)
    motorweb.running.advance(3000)
    assert motorweb.status(batch) == "PROCESSING"
    motorweb.running.advance(40 * 86_400)
    motorweb.token = motorweb.log_in().json()["access_token"]
    assert motorweb.status(batch) == "EXPIRED"
    with serve_with_profile("never-finishes") as mocks:
        client = SitecoreClient(mocks)
        ref = client.send(packed(*GUESTS))
        mocks.advance(40 * 86_400)
        assert client.get(f"/inspect/{ref}").json()["status"]["code"] == "processing"


def test_false_success_and_slow_set_switches() -> None:
    with serve_with_profile("false-success+slow") as mocks:
        assert (mocks.switches(MOTORWEB).false_success, mocks.switches(SITECORE).processing) == (True, 1_296_000)


def test_automatic_clock_skips_thirty_days_in_two_seconds() -> None:
    began = time.monotonic()
    with serve(profile="slow", seed=7, clock=Clock("2026-03-01T12:00:00Z", frozen=True)) as mocks:
        motorweb, sitecore = MotorwebClient(mocks), SitecoreClient(mocks)
        requests.post(f"{mocks.url}/_mock/clock", json={"auto": True}, headers=mocks.control_headers, timeout=10)
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


def test_profiles_are_merged_and_read_from_files(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("faults: [{kind: refuse, nth: 2}]\nswitches: {sitecore-cdp: {queue: 1}}\n")
    both = profiles.profile(["slow", str(own)])
    assert (both.name, len(both.faults), both.switches[SITECORE]["queue"]) == ("slow+mine", 2, 1)
    with serve_with_profile([own]) as mocks:
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
def test_invalid_profile_is_refused_by_name(tmp_path: Path, text: str) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yaml"):
        serve(profile=own)


def test_unknown_profile_error_lists_bundled_profiles() -> None:
    with pytest.raises(ValueError, match="bulk, corrupt-log, cut, expired"):
        serve(profile="thunder")
    with pytest.raises(ValueError, match="unknown"):
        serve(profile="storm", switches={"unknown": {}})


def test_profile_without_a_seed_exposes_the_drawn_seed() -> None:
    with serve(profile="storm") as first, serve(profile="storm", seed=first.seed) as second:
        assert first.seed == second.seed


def test_chance_respects_its_limits() -> None:
    with batchsync_mocks.serve([MOTORWEB], seed=1) as mocks:
        client = MotorwebClient(mocks)
        mocks.arm(Fault(kind="status", status=500, chance=0.5, max_hits=5, path="/batch-services"))
        statuses = [client.call("GET", "/batch-services").status_code for _ in range(40)]
    assert statuses.count(500) == 5
    assert statuses[:3] != [500, 500, 500]


def test_cut_response_ends_before_its_content_length() -> None:
    with serve_with_profile(None) as mocks:
        mocks.arm(Fault(kind="cut", path="/inspect"))
        target = urlsplit(mocks.urls[SITECORE])
        raw = http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)
        raw.request("GET", "/v2/batches/inspect")
        with pytest.raises(http.client.IncompleteRead):
            raw.getresponse().read()
        raw.close()
