"""The mocks as a process of their own: they announce themselves, survive kill -9, and end with their parent."""

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

import lading_mocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def standing(ready: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    command = [sys.executable, "-m", "lading_mocks", "--ready-file", str(ready), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process, awaited(ready, process)
        finally:
            process.kill()


def awaited(ready: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while not ready.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    said: dict[str, Any] = json.loads(ready.read_text())
    return said


@pytest.mark.parametrize("option", ["--ready-file", "--ca-out"])
def test_a_file_of_somebody_elses_is_not_replaced(tmp_path: Path, option: str) -> None:
    (tmp_path / "jobs.yaml").write_text("version: 1")
    command = [sys.executable, "-m", "lading_mocks", "--https", option, "jobs.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lading_mocks: jobs.yaml is already there and none of ours")
    assert (tmp_path / "jobs.yaml").read_text() == "version: 1"


def test_files_of_an_earlier_start_are_replaced(tmp_path: Path) -> None:
    ready, ca = tmp_path / "ready.json", tmp_path / "ca.pem"
    for _ in range(2):
        with standing(ready, "--https", "--ca-out", str(ca)) as (_, said):
            assert said["ca"] == str(ca)
        kept = ready.read_text()
        ready.unlink()
    ready.write_text(kept)
    command = [sys.executable, "-m", "lading_mocks", "--exit-with-stdin", "--ready-file", str(ready)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert ready.read_text() != kept


def oracle(said: dict[str, Any], vendor: str, page: str) -> Any:
    url = f"{said['vendors'][vendor]['base_url']}/_mock/{page}"
    return requests.get(url, timeout=10).json()


def test_the_ready_file_says_all_a_client_needs(tmp_path: Path) -> None:
    with standing(tmp_path / "ready.json") as (process, said):
        assert set(said) == {"pid", "vendors", "clock_url", "ca"}
        assert said["pid"] == process.pid
        assert set(said["vendors"]) == {MOTORWEB, SITECORE}
        assert set(said["vendors"][MOTORWEB]["credentials"]) == {"client_id", "client_secret"}
        assert set(said["vendors"][SITECORE]["credentials"]) == {"client_key", "api_token"}
        assert requests.get(said["clock_url"], timeout=10).json()["frozen"] is False
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert json.loads(process.stdout.read()) == said


def test_a_killed_mock_goes_on_with_its_batches_clock_and_books(tmp_path: Path) -> None:
    arguments = (MOTORWEB, SITECORE, "--state-dir", str(tmp_path / "state"), "--frozen")
    good, bad = record("guest", "upsert", email="a@example.com"), record("guest", "delete", email="b@example.com")
    data, refs = packed(good, bad), [str(uuid.uuid4()), str(uuid.uuid4())]
    with standing(tmp_path / "one.json", *arguments) as (process, said):
        auth = tuple(said["vendors"][SITECORE]["credentials"].values())
        base = said["vendors"][SITECORE]["base_url"]
        for ref in refs:
            allocated = requests.put(f"{base}/v2/batches/{ref}", json=announced(data), auth=auth, timeout=10).json()
            assert put(allocated["location"]["href"], data, **upload_headers(data)).status_code == 200
            requests.post(said["clock_url"], json={"advance": 10}, timeout=10)
        token, batch = create_motorweb(said, b"vin\n1HGCM82633A004352\nbad\n")
        before = [oracle(said, vendor, page) for vendor in (MOTORWEB, SITECORE) for page in ("ledger", "batches")]
        assert [entry["fate"] for entry in before[2]["entries"]] == ["accepted", "rejected", "pending", "pending"]
        stood = oracle(said, SITECORE, "clock")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    with standing(tmp_path / "two.json", *arguments) as (_, said):
        assert oracle(said, SITECORE, "clock") == stood
        after = [oracle(said, vendor, page) for vendor in (MOTORWEB, SITECORE) for page in ("ledger", "batches")]
        assert after == before
        requests.post(said["clock_url"], json={"advance": 600}, timeout=10)
        assert oracle(said, SITECORE, "ledger?summary=1")["rejected"] == 2
        (guest,) = oracle(said, SITECORE, "store")["held"]
        assert guest["value"]["email"] == "a@example.com"
        url = f"{said['vendors'][MOTORWEB]['base_url']}/batch/v1/batches/{batch}"
        view = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()
        assert (view["status"], view["rowsProcessed"], view["validationErrors"]) == ("COMPLETED", 1, 1)


def create_motorweb(said: dict[str, Any], body: bytes) -> tuple[str, str]:
    base, key = said["vendors"][MOTORWEB]["base_url"], said["vendors"][MOTORWEB]["credentials"]
    form = {"grant_type": "client_credentials", **key}
    token = requests.post(f"{base}/auth/v1/token", data=form, timeout=10).json()["access_token"]
    wish = {"batchServiceId": SERVICE, "userBatchReference": "mine"}
    headers = {"Authorization": f"Bearer {token}"}
    made = requests.post(f"{base}/batch/v1/batches", json=wish, headers=headers, timeout=10).json()
    assert put(made["url"], body).status_code == 200
    return token, made["batchId"]


def test_a_mock_ends_when_its_standard_input_does(tmp_path: Path) -> None:
    with standing(tmp_path / "ready.json", SITECORE, "--exit-with-stdin") as (process, _):
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_https_is_served_with_a_certificate_authority_that_stays_the_same(tmp_path: Path) -> None:
    arguments = (SITECORE, "--https", "--ca-out", str(tmp_path / "ca.pem"), "--state-dir", str(tmp_path / "state"))
    with standing(tmp_path / "one.json", *arguments) as (_, said):
        assert said["clock_url"].startswith("https://")
        assert said["ca"] == str(tmp_path / "ca.pem")
        assert requests.get(said["clock_url"], verify=said["ca"], timeout=10).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(said["clock_url"], timeout=10)
        kept = (tmp_path / "ca.pem").read_bytes()
    with standing(tmp_path / "two.json", *arguments) as (_, said):
        assert (tmp_path / "ca.pem").read_bytes() == kept
        assert requests.get(said["clock_url"], verify=said["ca"], timeout=10).status_code == 200


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with lading_mocks.serve([MOTORWEB]) as running:
        port = running.url.rpartition(":")[2]
        command = [sys.executable, "-m", "lading_mocks", MOTORWEB, "--port", port]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


def test_a_state_directory_that_is_no_state_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "clock.json").write_text("not json")
    command = [sys.executable, "-m", "lading_mocks", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    assert b"clock.json" in done.stderr
    assert len(done.stderr.splitlines()) == 1
