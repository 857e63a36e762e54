"""Snapshots, HTTPS, automatic clock, status page and command line of the mocks."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import tarfile
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests
from mock_clients import GOOD_CSV, MOTORWEB, SITECORE, MotorwebClient, SitecoreClient, named, packed, record

from batchsync_mocks import Clock, Fault, serve

if TYPE_CHECKING:
    from batchsync_mocks import Running

GUEST = record("guest", "upsert", identifiers=named("1"))


def test_snapshot_restores_batches_stores_ledger_and_clock(mocks: Running) -> None:
    motorweb, sitecore = MotorwebClient(mocks), SitecoreClient(mocks)
    batch, ref = motorweb.send(GOOD_CSV), sitecore.send(packed(GUEST))
    mocks.advance(15)
    store = mocks.store(SITECORE)
    stood, before = mocks.clock.now(), [mocks.batches(name) for name in (MOTORWEB, SITECORE)]
    saved = requests.get(f"{mocks.url}/_mock/snapshot", headers=mocks.control_headers, timeout=10)
    assert saved.headers["Content-Type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(saved.content)) as tar:
        assert not any(name.endswith(("ca.key", "ca.pem")) for name in tar.getnames())
    mocks.advance(600)
    sitecore.submit(record("guest", "delete", identifiers=named("1")))
    assert mocks.store(SITECORE) == []
    restored = requests.post(
        f"{mocks.url}/_mock/restore", data=saved.content, headers=mocks.control_headers, timeout=10
    )
    assert restored.json() == {"restored": True}
    assert mocks.clock.now() == stood
    assert [mocks.batches(name) for name in (MOTORWEB, SITECORE)] == before
    assert mocks.store(SITECORE) == store
    assert sitecore.get(f"/inspect/{ref}").json()["status"]["code"] == "success"
    mocks.advance(600)
    assert motorweb.status(batch) == "COMPLETED"


def test_snapshot_can_be_restored_by_other_mocks(mocks: Running) -> None:
    SitecoreClient(mocks).submit(GUEST)
    with serve() as others:
        others.restore(io.BytesIO(mocks.snapshot()))
        assert others.store(SITECORE) == mocks.store(SITECORE)
        assert others.clock.now() == mocks.clock.now()


def tar_of(*names: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "../../evil"
            tar.addfile(member)
    return made.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no tar",
        tar_of("clock.json"),
        tar_of("clock.json", "clock.json"),
        tar_of("../evil"),
        tar_of("/etc/evil", "clock.json"),
        tar_of("clock.json", MOTORWEB, SITECORE, kind=tarfile.SYMTYPE),
        tar_of("clock.json", kind=tarfile.LNKTYPE),
        tar_of("clock.json", kind=tarfile.FIFOTYPE),
    ],
    ids=["empty", "no tar", "half", "doubled", "out of it", "absolute", "links", "hard link", "pipe"],
)
def test_invalid_snapshot_changes_nothing(mocks: Running, body: bytes) -> None:
    SitecoreClient(mocks).submit(GUEST)
    response = requests.post(f"{mocks.url}/_mock/restore", data=body, headers=mocks.control_headers, timeout=10)
    assert response.status_code == 400
    assert len(mocks.store(SITECORE)) == 1
    assert not (mocks.state_dir.parent / "evil").exists()


def test_plain_http_is_refused_on_an_https_port() -> None:
    with serve([SITECORE], https=True) as mocks:
        target = urlsplit(mocks.url)
        plain = f"http://{target.netloc}/v2/batches/inspect"
        with pytest.raises(requests.ConnectionError):
            requests.get(plain, timeout=5)
        with socket.create_connection((str(target.hostname), int(target.port or 0)), timeout=5) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            response = b"".join(iter(lambda: _received(raw), b""))
        assert not response.startswith(b"HTTP/")
        assert requests.get(f"{mocks.url}/_mock/clock", verify=str(mocks.ca), timeout=5).status_code == 200


def _received(raw: socket.socket) -> bytes:
    try:
        return raw.recv(4096)
    except ConnectionError:
        return b""


def test_automatic_clock_advances_through_every_status(mocks: Running) -> None:
    motorweb, sitecore = MotorwebClient(mocks), SitecoreClient(mocks)
    url, headers = f"{mocks.url}/_mock/clock", mocks.control_headers
    assert requests.post(url, json={"auto": True}, headers=headers, timeout=10).json()["auto"] is True
    pending, begun = motorweb.create("pending").json()["batchId"], mocks.clock.now()
    ref = str(uuid.uuid4())
    sitecore.allocate(ref, {"checksum": "0" * 32, "size": 1})
    assert {motorweb.status(pending) for _ in range(3)} == {"PENDING"}
    assert sitecore.get(f"/{ref}").json()["status"]["code"] == "uploading"
    assert mocks.clock.now() == begun, "nothing is on its way to a vendor that waits for us"
    batch = motorweb.send(GOOD_CSV)
    seen = [motorweb.call("GET", f"/batches/{batch}/reports").json()["status"] for _ in range(5)]
    assert seen == ["PRE_PROCESSING", "VALIDATING", "SCHEDULED", "PROCESSING", "COMPLETED"]
    requests.post(url, json={"auto": False}, headers=headers, timeout=10)
    other = motorweb.send(GOOD_CSV, "other")
    assert {motorweb.status(other) for _ in range(3)} == {"PRE_PROCESSING"}


def test_automatic_clock_does_not_skip_endless_phases() -> None:
    with serve(profile="never-finishes", clock=Clock("2026-03-01T12:00:00Z", frozen=True, auto=True)) as mocks:
        sitecore, motorweb = SitecoreClient(mocks), MotorwebClient(mocks)
        ref = sitecore.send(packed(GUEST))
        seen = [sitecore.get(f"/inspect/{ref}").json()["status"]["code"] for _ in range(4)]
        assert seen == ["file_uploaded", "processing", "processing", "processing"]
        batch = motorweb.send(GOOD_CSV)
        for _ in range(4):
            last = motorweb.status(batch)
        motorweb.token = motorweb.log_in().json()["access_token"]
        assert (last, motorweb.status(batch)) == ("PROCESSING", "EXPIRED")


def test_automatic_clock_is_persisted(tmp_path: object) -> None:
    with serve([SITECORE], state_dir=str(tmp_path), clock=Clock(auto=True)):
        pass
    with serve([SITECORE], state_dir=str(tmp_path)) as mocks:
        assert mocks.clock.auto is True


def test_status_page_shows_batches_faults_and_clock(mocks: Running) -> None:
    motorweb = MotorwebClient(mocks)
    mocks.arm(Fault(kind="refuse", path="<script>alert(1)</script>"))
    batch = motorweb.send(GOOD_CSV, "<b>cars</b>")
    for path in ("/_mock/", "/_mock"):
        page = requests.get(f"{mocks.url}{path}", timeout=10)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        for shown in (
            batch,
            "PRE_PROCESSING",
            "refuse",
            "2026-03-01T12:00:00.000Z",
            "&lt;b&gt;cars&lt;/b&gt;",
            "frozen",
        ):
            assert shown in page.text
        assert "<script>alert" not in page.text
        assert "Signature" not in page.text


def test_command_line_serves_a_profile_with_switches() -> None:
    command = [
        sys.executable,
        "-m",
        "batchsync_mocks",
        SITECORE,
        "--exit-with-stdin",
        "--https-only",
        "--auto",
        "--frozen",
    ]
    command += [
        "--profile",
        "flaky",
        "--profile",
        "never-finishes",
        "--seed",
        "7",
        "--switch",
        "sitecore-cdp.allocate_status=201",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready_info = json.loads(process.stdout.readline())
        base = ready_info["vendors"][SITECORE]["base_url"]
        assert base.startswith("https://")
        turned = requests.get(f"{base}/_mock/switches", verify=ready_info["ca"], timeout=10).json()["switches"]
        assert (turned["allocate_status"], turned["processing"]) == (201, 315_360_000)
        assert len(requests.get(f"{base}/_mock/faults", verify=ready_info["ca"], timeout=10).json()) == 3
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    "wrong", [["--profile", "thunder"], ["--switch", "stats"], ["--switch", "sitecore-cdp.stats=2"]]
)
def test_invalid_option_is_reported_in_a_single_line(wrong: list[str]) -> None:
    command = [sys.executable, "-m", "batchsync_mocks", *wrong]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_list_prints_profiles_and_switches() -> None:
    command = [sys.executable, "-m", "batchsync_mocks", "--list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert "lost-answer" in done.stdout
    assert "delete_refusal=409 (409 or 400)" in done.stdout
