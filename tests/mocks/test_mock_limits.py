"""Large files, hostile input and concurrency."""

from __future__ import annotations

import gzip
import json
import resource
import shutil
import socket
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests
from mock_clients import (
    GOOD_CSV,
    MOTORWEB,
    SITECORE,
    MotorwebClient,
    SitecoreClient,
    named,
    order,
    packed,
    put,
    read_log,
    record,
)

import batchsync_mocks
from batchsync_mocks.sitecore import gzip_lines

if TYPE_CHECKING:
    from batchsync_mocks import Running

SIZE = 192 << 20


class Endless:
    """A body of zeros, generated while it is sent."""

    def __init__(self, size: int) -> None:
        self.left = self.len = size

    def read(self, most: int = -1) -> bytes:
        piece = min(self.left, 1 << 20 if most < 0 else most)
        self.left -= piece
        return bytes(piece)


def resident(pid: int) -> int:
    """Return the resident memory of a process, in bytes; small systems have no `ps`, others no `/proc`."""
    statm = Path(f"/proc/{pid}/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) << 10


def test_large_upload_is_streamed(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "batchsync_mocks", MOTORWEB, "--exit-with-stdin", "--ready-file", str(ready)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready_info = json.loads(process.stdout.readline())
        client = ClientOf(ready_info)
        before = resident(process.pid)
        assert requests.put(client.allocate(), data=Endless(SIZE), timeout=60).status_code == 200
        assert resident(process.pid) - before < SIZE // 8
        headers = {"Authorization": f"Bearer {ready_info['control_token']}"}
        requests.post(ready_info["clock_url"], json={"advance": 200}, headers=headers, timeout=10)
        (batch,) = requests.get(f"{client.url}/_mock/batches", timeout=60).json()["batches"]
        assert batch["status"] == "FAILED"
        assert resident(process.pid) - before < SIZE // 8
        assert process.stdin is not None
        process.stdin.close()


class ClientOf(MotorwebClient):
    """Return a client of a mock in a separate process."""

    def __init__(self, ready_info: dict[str, dict[str, dict[str, dict[str, str]]]]) -> None:
        vendor = ready_info["vendors"][MOTORWEB]
        self.prefix, self.url = "/batch/v1", str(vendor["base_url"])
        form = {"grant_type": "client_credentials", **vendor["credentials"]}
        self.token = requests.post(f"{self.url}/auth/v1/token", data=form, timeout=10).json()["access_token"]

    def allocate(self) -> str:
        return str(self.create().json()["url"])


def test_gzip_bomb_in_a_single_line_is_a_parse_error(sitecore: SitecoreClient, mocks: Running) -> None:
    good = json.dumps(record("guest", "upsert", email="a@example.com")).encode()
    ref = sitecore.send(gzip.compress(bytes(64 << 20) + b"\n" + good))
    mocks.advance(15)
    status = sitecore.get(f"/{ref}").json()["status"]
    assert [line["message"] for line in read_log(status["log"])] == ["Failed to parse import line"]
    assert len(mocks.store(SITECORE)) == 1


def test_gzip_bomb_above_the_limit_fails_the_file(
    sitecore: SitecoreClient, mocks: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gzip_lines, "EXPANDED_LIMIT", 1 << 20)
    ref = sitecore.send(gzip.compress(bytes(2 << 20)))
    monkeypatch.setattr(gzip_lines, "LINES_LIMIT", 10)
    many = sitecore.send(gzip.compress(b"\n" * 11))
    mocks.advance(15)
    assert [sitecore.get(f"/{item}").json()["status"] for item in (ref, many)] == [{"code": "error"}] * 2


def test_concurrent_creates_with_the_same_reference_create_a_single_batch(motorweb: MotorwebClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: motorweb.create("mine").status_code, range(16)))
    assert sorted(statuses) == [201] + [409] * 15


def test_concurrent_uploads_and_polls_lose_nothing(sitecore: SitecoreClient, mocks: Running) -> None:
    def work(number: int) -> None:
        ref = sitecore.send(packed(record("guest", "upsert", email=f"{number}@example.com")))
        mocks.advance(7)
        assert sitecore.get(f"/inspect/{ref}").status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    mocks.advance(15)
    assert {batch["status"] for batch in mocks.batches(SITECORE)} == {"success"}
    assert len(mocks.store(SITECORE)) == len(mocks.ledger(SITECORE)) == 24


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"PUT /_storage/user-upload/%ff?%ff=%ff&X-Goog-Signature=%ff HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"POST /auth/v1/token HTTP/1.1\r\nContent-Length: -7\r\n\r\n",
    ],
)
def test_invalid_requests_do_not_stop_the_mock(mocks: Running, motorweb: MotorwebClient, garbage: bytes) -> None:
    target = urlsplit(mocks.url)
    with socket.create_connection((str(target.hostname), target.port or 0), timeout=10) as raw:
        raw.sendall(garbage)
        assert raw.recv(10)
    assert motorweb.call("GET", "/batch-services").status_code == 200


def test_silent_client_does_not_block_others_under_https() -> None:
    with batchsync_mocks.serve([SITECORE], https=True) as running:
        target = urlsplit(running.url)
        with socket.create_connection((str(target.hostname), target.port or 0), timeout=10):
            response = requests.get(f"{running.url}/_mock/clock", verify=str(running.ca), timeout=5)
            assert response.status_code == 200


def test_only_a_temporary_state_directory_is_removed(tmp_path: Path) -> None:
    with batchsync_mocks.serve([MOTORWEB]) as fleeting:
        assert fleeting.state_dir.exists()
    with batchsync_mocks.serve([MOTORWEB], state_dir=tmp_path / "kept") as lasting:
        MotorwebClient(lasting).send(GOOD_CSV)
    assert not fleeting.state_dir.exists()
    with batchsync_mocks.serve([MOTORWEB], state_dir=tmp_path / "kept") as again:
        assert [batch["uploads"] for batch in again.batches(MOTORWEB)] == [1]


def test_ledger_and_store_are_rebuilt_from_the_uploads(tmp_path: Path) -> None:
    def observed_state(running: Running) -> tuple[object, ...]:
        return running.ledger(SITECORE, values=True), running.store(SITECORE), running.batches(SITECORE)

    clock = batchsync_mocks.Clock("2026-03-01T12:00:00Z", frozen=True)
    with batchsync_mocks.serve([SITECORE], state_dir=tmp_path, clock=clock) as running:
        client = SitecoreClient(running)
        client.submit(record("order", "insert", **order()), record("guest", "upsert", email="a@example.com"))
        client.submit(record("guest", "delete", identifiers=named("1")), record("guest", "delete", city="Cork"))
        before = observed_state(running)
    shutil.rmtree(tmp_path / SITECORE / "made")
    with batchsync_mocks.serve([SITECORE], state_dir=tmp_path) as running:
        assert observed_state(running) == before
        assert len(running.store(SITECORE)) == 2


def test_incomplete_upload_of_a_killed_mock_is_removed(tmp_path: Path) -> None:
    half = tmp_path / MOTORWEB / "uploads" / ".incoming.half"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half a file")
    with batchsync_mocks.serve([MOTORWEB], state_dir=tmp_path):
        assert not half.exists()


def test_upload_to_an_unallocated_object_is_refused(sitecore: SitecoreClient) -> None:
    url = f"{sitecore.url}/_storage/sitecore-batch-service-mock/key/{uuid.uuid4()}/import.gz"
    assert put(url, b"x").status_code == 403
