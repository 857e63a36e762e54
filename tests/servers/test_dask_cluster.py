"""A Dask cluster with certificates, as `executor: {dask: cluster}`: syncs, `doctor`, and a scheduler that is killed."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import batchsync_mocks
from batchsync.core.executor_choice import ExecutorChoice, TaskLimits
from batchsync.errors import UnavailableError
from batchsync.executors.opening import DaskAccess, ExecutionSettings, make_executor
from kit import executor_tasks as tasks
from kit.dask_cluster import DaskCluster, dask_cluster, write_certificates
from kit.deployment import CDP, JOBS, Deployment, write_sources
from kit.executor_tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

GUESTS = 30_000


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A cluster of two workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask") / "cluster") as found:
        yield found


@contextmanager
def deployed(folder: Path, cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Yield a deployment with many guests, which a cluster prepares."""
    folder.mkdir()
    for name, value in cluster.settings().items():
        monkeypatch.setenv(name, value)
    (folder / "jobs.yaml").write_text(f"{JOBS}executor: {{dask: cluster}}\n", encoding="utf-8")
    write_sources(folder, GUESTS)
    with batchsync_mocks.serve(state_dir=folder / "vendors") as mocks:
        yield Deployment(folder, mocks)


def connected(cluster: DaskCluster, folder: Path, certificates: Path | None = None) -> Executor:
    place = certificates or cluster.folder
    access = DaskAccess(
        address=cluster.address, ca=place / "ca.pem", certificate=place / "cert.pem", key=place / "key.pem"
    )
    settings = ExecutionSettings(state_folder=folder, limits=TaskLimits(tries=2, seconds=60), dask=access)
    executor = make_executor(ExecutorChoice(kind="dask", cluster=True), settings)
    assert executor is not None
    return executor


def test_cluster_prepares_what_is_sent_once(dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with deployed(tmp_path / "sync", dask, monkeypatch) as deployment:
        deployment.run("sync", "guests", timeout=100)
        delivered = deployment.delivered(CDP)
    assert set(delivered.values()) == {1}
    assert len(delivered) == GUESTS - 1


def test_doctor_examines_each_worker(dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with deployed(tmp_path / "doctor", dask, monkeypatch) as deployment:
        checks = deployment.json("doctor", expect=0)["checks"]
    found = {item["check"]: item for item in checks}
    assert found["executor"]["found"] == "dask: 2 workers"
    workers = [item for name, item in found.items() if name.startswith("worker tls://127.0.0.1:")]
    assert len(workers) == 2
    assert all(item["ok"] and item["found"].endswith("; shares the state folder") for item in workers)


def test_tasks_run_on_the_workers_of_the_cluster(dask: DaskCluster, tmp_path: Path) -> None:
    with connected(dask, tmp_path) as executor:
        tried, killed = Task(tmp_path / "tried"), Task(tmp_path / "killed", failing=1)
        assert [executor.submit(tasks.note, tried).result()] == tried.tries()
        assert executor.submit(tasks.die, killed).result() == killed.tries()[1]


def test_certificate_of_another_authority_is_refused(dask: DaskCluster, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_certificates(tmp_path / "other")
    with (
        connected(dask, tmp_path, tmp_path / "other") as executor,
        pytest.raises(UnavailableError, match=r"^the Dask scheduler at tls://.* cannot be reached: ") as raised,
    ):
        executor.submit(tasks.note, Task(tmp_path / "task")).result()
    assert "certificates" in raised.value.hint


def test_killed_scheduler_ends_the_command_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        dask_cluster(tmp_path / "cluster", workers=1) as cluster,
        deployed(tmp_path / "sync", cluster, monkeypatch) as deployment,
    ):
        process = subprocess.Popen(
            deployment.command("sync", "guests"),
            cwd=deployment.folder,
            env=deployment.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        cluster.wait_until(lambda: "Receive client connection: Client" in cluster.log("scheduler"))
        cluster.kill("scheduler")
        printed = process.communicate(timeout=100)[0].decode()
        assert process.returncode == 3, printed
        # Lost, or not reached once more, if the client was not ready yet.
        assert "the Dask scheduler at tls://127.0.0.1:" in printed
        assert "then run the same command again; nothing is lost" in printed
        assert "distributed" not in printed
        cluster.start_scheduler()
        cluster.start_worker("worker-1")
        monkeypatch.setenv("BATCHSYNC_DASK_ADDRESS", cluster.address)
        deployment.run("sync", "guests", timeout=100)
        delivered = deployment.delivered(CDP)
    assert set(delivered.values()) == {1}
    assert len(delivered) == GUESTS - 1
