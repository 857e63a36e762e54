"""Mocks as a separate process: ready file, resumption after kill -9, exit with the parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import requests
from mock_clients import MOTORWEB, SERVICE, SITECORE, announced, packed, put, record, upload_headers

import batchsync_mocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def running_process(ready: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    command = [sys.executable, "-m", "batchsync_mocks", "--ready-file", str(ready), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process, read_ready_file(ready, process)
        finally:
            process.kill()


def read_ready_file(ready: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while not ready.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    ready_info: dict[str, Any] = json.loads(ready.read_text())
    return ready_info


@pytest.mark.parametrize("option", ["--ready-file", "--ca-out"])
def test_foreign_file_is_not_overwritten(tmp_path: Path, option: str) -> None:
    (tmp_path / "jobs.yaml").write_text("version: 1")
    command = [sys.executable, "-m", "batchsync_mocks", "--https", option, "jobs.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("batchsync_mocks: jobs.yaml already exists and was not written by the mocks")
    assert (tmp_path / "jobs.yaml").read_text() == "version: 1"


def test_files_of_an_earlier_start_are_overwritten(tmp_path: Path) -> None:
    ready, ca = tmp_path / "ready.json", tmp_path / "ca.pem"
    for _ in range(2):
        with running_process(ready, "--https", "--ca-out", str(ca)) as (_, ready_info):
            assert ready_info["ca"] == str(ca)
        kept = ready.read_text()
        ready.unlink()
    ready.write_text(kept)
    command = [sys.executable, "-m", "batchsync_mocks", "--exit-with-stdin", "--ready-file", str(ready)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert ready.read_text() != kept


def oracle(ready_info: dict[str, Any], vendor: str, page: str) -> Any:
    url = f"{ready_info['vendors'][vendor]['base_url']}/_mock/{page}"
    return requests.get(url, headers=control_headers(ready_info), timeout=10).json()


def control_headers(ready_info: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {ready_info['control_token']}"}


def advance(ready_info: dict[str, Any], seconds: float) -> None:
    body, headers = {"advance": seconds}, control_headers(ready_info)
    assert requests.post(ready_info["clock_url"], json=body, headers=headers, timeout=10).status_code == 200


def test_ready_file_contains_addresses_and_credentials(tmp_path: Path) -> None:
    with running_process(tmp_path / "ready.json") as (process, ready_info):
        assert set(ready_info) == {"pid", "vendors", "clock_url", "control_token", "ca"}
        assert ready_info["pid"] == process.pid
        assert set(ready_info["vendors"]) == {MOTORWEB, SITECORE}
        assert set(ready_info["vendors"][MOTORWEB]["credentials"]) == {"client_id", "client_secret"}
        assert set(ready_info["vendors"][SITECORE]["credentials"]) == {"client_key", "api_token"}
        assert requests.get(ready_info["clock_url"], timeout=10).json()["frozen"] is False
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert json.loads(process.stdout.read()) == ready_info


def test_killed_mock_resumes_with_batches_clock_and_ledger(tmp_path: Path) -> None:
    arguments = (MOTORWEB, SITECORE, "--state-dir", str(tmp_path / "state"), "--frozen")
    good, bad = record("guest", "upsert", email="a@example.com"), record("guest", "delete", email="b@example.com")
    data, refs = packed(good, bad), [str(uuid.uuid4()), str(uuid.uuid4())]
    with running_process(tmp_path / "one.json", *arguments) as (process, ready_info):
        auth = tuple(ready_info["vendors"][SITECORE]["credentials"].values())
        base = ready_info["vendors"][SITECORE]["base_url"]
        for ref in refs:
            allocated = requests.put(f"{base}/v2/batches/{ref}", json=announced(data), auth=auth, timeout=10).json()
            assert put(allocated["location"]["href"], data, **upload_headers(data)).status_code == 200
            advance(ready_info, 10)
        token, batch = create_motorweb(ready_info, b"vin\n1HGCM82633A004352\nbad\n")
        before = [oracle(ready_info, vendor, page) for vendor in (MOTORWEB, SITECORE) for page in ("ledger", "batches")]
        assert [entry["outcome"] for entry in before[2]["entries"]] == ["accepted", "rejected", "pending", "pending"]
        stood = oracle(ready_info, SITECORE, "clock")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    with running_process(tmp_path / "two.json", *arguments) as (_, ready_info):
        assert oracle(ready_info, SITECORE, "clock") == stood
        after = [oracle(ready_info, vendor, page) for vendor in (MOTORWEB, SITECORE) for page in ("ledger", "batches")]
        assert after == before
        advance(ready_info, 600)
        assert oracle(ready_info, SITECORE, "ledger?summary=1")["rejected"] == 2
        (guest,) = oracle(ready_info, SITECORE, "store")["objects"]
        assert guest["value"]["email"] == "a@example.com"
        url = f"{ready_info['vendors'][MOTORWEB]['base_url']}/batch/v1/batches/{batch}"
        view = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()
        assert (view["status"], view["rowsProcessed"], view["validationErrors"]) == ("COMPLETED", 1, 1)


def create_motorweb(ready_info: dict[str, Any], body: bytes) -> tuple[str, str]:
    base, key = ready_info["vendors"][MOTORWEB]["base_url"], ready_info["vendors"][MOTORWEB]["credentials"]
    form = {"grant_type": "client_credentials", **key}
    token = requests.post(f"{base}/auth/v1/token", data=form, timeout=10).json()["access_token"]
    body_fields = {"batchServiceId": SERVICE, "userBatchReference": "mine"}
    headers = {"Authorization": f"Bearer {token}"}
    made = requests.post(f"{base}/batch/v1/batches", json=body_fields, headers=headers, timeout=10).json()
    assert put(made["url"], body).status_code == 200
    return token, made["batchId"]


def test_mock_exits_when_stdin_closes(tmp_path: Path) -> None:
    with running_process(tmp_path / "ready.json", SITECORE, "--exit-with-stdin") as (process, _):
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_https_keeps_its_certificate_authority(tmp_path: Path) -> None:
    arguments = (SITECORE, "--https", "--ca-out", str(tmp_path / "ca.pem"), "--state-dir", str(tmp_path / "state"))
    with running_process(tmp_path / "one.json", *arguments) as (_, ready_info):
        assert ready_info["clock_url"].startswith("https://")
        assert ready_info["ca"] == str(tmp_path / "ca.pem")
        assert requests.get(ready_info["clock_url"], verify=ready_info["ca"], timeout=10).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(ready_info["clock_url"], timeout=10)
        kept = (tmp_path / "ca.pem").read_bytes()
    with running_process(tmp_path / "two.json", *arguments) as (_, ready_info):
        assert (tmp_path / "ca.pem").read_bytes() == kept
        assert requests.get(ready_info["clock_url"], verify=ready_info["ca"], timeout=10).status_code == 200


def test_port_in_use_is_reported_in_a_single_line() -> None:
    with batchsync_mocks.serve([MOTORWEB]) as running:
        port = running.url.rpartition(":")[2]
        command = [sys.executable, "-m", "batchsync_mocks", MOTORWEB, "--port", port]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


def test_invalid_state_directory_is_reported_in_a_single_line(tmp_path: Path) -> None:
    (tmp_path / "clock.json").write_text("not json")
    command = [sys.executable, "-m", "batchsync_mocks", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    assert b"clock.json" in done.stderr
    assert len(done.stderr.splitlines()) == 1
