"""Results of a lookup in object storage: each key once, also if the process is killed around the upload."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kit.s3_server import KEY_ID, SECRET, S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.deployment import Deployment
    from kit.forward_proxy import NamedDeployment
    from kit.scripted_server import Request


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An empty bucket, whose credentials the environment has."""
    monkeypatch.setenv("LAKE_KEY_ID", KEY_ID)
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    with S3Server() as server:
        yield server


def in_storage(deployment: Deployment, s3: S3Server) -> None:
    """Let the vehicles write their results to the bucket."""
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    references = {"access_key_id": "${LAKE_KEY_ID}", "secret_access_key": "${LAKE_SECRET}"}
    lake = {"storage": "s3", "bucket": "exports", "endpoint": s3.url, "credentials": references}
    text = text.replace("results: {path: out/", "results: {connection: lake, path: out/")
    file.write_text(text.replace("jobs:\n", f"  lake: {json.dumps(lake)}\njobs:\n"), encoding="utf-8")


def ids(s3: S3Server) -> list[str]:
    """Return the keys of the results."""
    header, *lines = s3.objects["out/vehicles.csv"].decode().splitlines()
    return [line.split(",")[header.split(",").index("id")] for line in lines]


def test_killed_upload_leaves_each_answer_once(named: NamedDeployment, s3: S3Server) -> None:
    named.connect()
    in_storage(named, s3)
    puts: list[Request] = []

    def fault(request: Request) -> None:
        if request.method == "PUT":
            s3.put("out/vehicles.csv", request.body)
            puts.append(request)

    # The object is there, and the process is killed before it learns that.
    s3.fault = fault
    named.kill_when(lambda: bool(puts), "sync", "vehicles")
    s3.fault = lambda _: None
    named.run("resume", "vehicles")
    found = ids(s3)
    assert len(found) == len(set(found)) == 19
    assert "unchanged 19" in named.run("sync", "vehicles")
    assert ids(s3) == found


def test_mocks_leave_storage_alone(deployment: Deployment, s3: S3Server) -> None:
    in_storage(deployment, s3)
    deployment.run("sync", "vehicles")
    assert s3.requests == []
    assert len(deployment.results("lake/out/vehicles.csv").read_text(encoding="utf-8").splitlines()) == 20


def test_storage_that_refuses_results_keeps_them_for_resume(
    named: NamedDeployment, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    named.connect()
    in_storage(named, s3)
    monkeypatch.setenv("LAKE_KEY_ID", "AKIDWRONG")
    named.run("sync", "vehicles", expect=3)
    assert "out/vehicles.csv: access denied" in named.log
    assert "AKIDWRONG" not in named.log
    monkeypatch.setenv("LAKE_KEY_ID", KEY_ID)
    named.run("resume", "vehicles")
    assert len(ids(s3)) == 19
